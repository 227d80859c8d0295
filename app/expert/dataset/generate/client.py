"""One request to a provider: sent, waited for, and sent again where that costs nothing."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from expert.dataset.generate.plan import Endpoint
from expert.dataset.generate.providers import (
    DIALECTS,
    Malformed,
    Reply,
    take_event,
    take_line,
)
from expert.errors import ExpertError, NetworkNeededError, UsageError
from expert.screen import one_line

if TYPE_CHECKING:
    import httpx2

LARGEST = 64 << 20
"""Characters of a reply, with all that is around its text."""
TOLD = 300
"""Characters of what a server says that are shown."""


@dataclass(frozen=True)
class Patience:
    """How often and how long to wait; seconds."""

    tries: int = 8
    first: float = 1.0
    """The first wait; each further one is up to twice as long (exponential, with full jitter)."""
    most: float = 60.0
    asked: float = 900.0
    """The longest wait that a server may ask for by Retry-After."""


class Refused(Exception):
    """A server refused in a way that passes; *wait*: for how long it says, if it does."""

    def __init__(self, why: str, wait: float | None) -> None:
        super().__init__(why)
        self.wait = wait


class Client:
    """Asks one endpoint. A refusal of one request makes all of them wait."""

    def __init__(
        self, http: httpx2.AsyncClient, endpoint: Endpoint, key: str, patience: Patience
    ) -> None:
        self._http, self._endpoint, self._key = http, endpoint, key
        self._dialect = DIALECTS[endpoint.provider]
        self._patience = patience
        self._not_before = 0.0
        self.retries = 0
        """Requests sent again."""

    async def ask(self, system: str, text: str) -> Reply:
        """Return the reply, which may have been cut short: then `complete` is false.

        Sent again is only what was refused before any work: what may have been billed never.

        Raises:
            UsageError: the key, the model or the request is wrong.
            NetworkNeededError: the endpoint cannot be reached, or keeps refusing.
        """
        body = self._dialect.body(self._endpoint, system, text)
        for attempt in range(self._patience.tries):
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            try:
                return await self._once(body)
            except Refused as refusal:
                why = str(refusal)
                wait = self._wait(attempt, refusal.wait)
                self._not_before = max(self._not_before, time.monotonic() + wait)
                self.retries += 1
        raise self._unreachable(f"It was tried {self._patience.tries} times; the last time: {why}")

    def _wait(self, attempt: int, asked: float | None) -> float:
        if asked is not None and asked > self._patience.asked:
            raise self._unreachable(f"It asks to wait {asked:.0f} seconds")
        longest = min(self._patience.most, self._patience.first * 2.0**attempt)
        return max(asked or 0.0, random.uniform(0.0, longest))

    async def _once(self, body: dict[str, object]) -> Reply:
        import httpx2

        reply = Reply()
        try:
            async with (
                asyncio.timeout(self._endpoint.seconds),
                self._http.stream(
                    "POST",
                    self._endpoint.address + self._dialect.path,
                    json=body,
                    headers=self._dialect.headers(self._key),
                ) as response,
            ):
                if response.status_code != 200:
                    await self._refuse(response)
                await self._receive(response, reply)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise Refused(self._told(str(error) or type(error).__name__), None) from error
        except (httpx2.HTTPError, httpx2.StreamError, TimeoutError, Malformed) as error:
            return replace(
                reply, complete=False, error=self._told(str(error) or "it took too long")
            )
        return replace(reply, error=self._told(reply.error)) if reply.error else reply

    async def _receive(self, response: httpx2.Response, reply: Reply) -> None:
        """Take in a reply as it comes."""
        streamed = "json" not in response.headers.get("content-type", "")
        parts: list[str] = []
        size = 0
        async for part in response.aiter_text():
            size += len(part)
            if size > LARGEST:
                raise Malformed("the reply does not end")
            parts.append(part)
            if streamed and "\n" in part:
                *lines, rest = "".join(parts).split("\n")
                parts = [rest]
                for line in lines:
                    take_line(self._dialect, line, reply)
        if streamed:
            take_line(self._dialect, "".join(parts), reply)
        else:
            take_event(self._dialect, "".join(parts), reply)

    async def _refuse(self, response: httpx2.Response) -> None:
        """Raise what a status means."""
        import httpx2

        text = ""
        with suppress(httpx2.HTTPError, httpx2.StreamError):
            text = (await response.aread())[: 1 << 16].decode("utf-8", "replace")
        status = response.status_code
        told = self._told(f"{status}: {text}")
        if status in (408, 409, 425, 429) or status >= 500:
            raise Refused(told, retry_after(response.headers))
        if status in (401, 403):
            raise UsageError(
                f"{self._endpoint.address} refuses the key in {self._endpoint.variable}.",
                told,
                "Set the environment variable to a key that is valid there.",
            )
        if status == 402:
            raise UsageError(
                f"{self._endpoint.address} says that the account is empty.", told, "Fill it up."
            )
        raise UsageError(
            f"{self._endpoint.address} refuses the request.",
            told,
            "Check the model's name, the url and max_tokens in the plan.",
        )

    def _unreachable(self, why: str) -> ExpertError:
        return NetworkNeededError(
            f"{self._endpoint.address} gives no reply.",
            f"{why}.",
            "What was made is kept: run the same command again later to go on.",
        )

    def _told(self, text: str) -> str:
        """Return what a server said, short, harmless, and without the key."""
        if self._key:
            text = text.replace(self._key, "[key]")
        return one_line(text)[:TOLD]


def retry_after(headers: httpx2.Headers) -> float | None:
    """Return the seconds that a server asks to wait (RFC 9110, section 10.2.3), if it does."""
    with suppress(KeyError, ValueError):
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    value = headers.get("retry-after", "")
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError, TypeError):
        when = parsedate_to_datetime(value)
        return max(0.0, (when.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    return None
