"""A teacher behind an OpenAI-compatible address: one question at a time, patient, from any thread.

Source: OpenAI, "Create chat completion", as llama.cpp, vLLM, Ollama and others offer it.
"""

from __future__ import annotations

import json
import os
import random
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from expert.dataset.rows import HALF
from expert.errors import NetworkNeededError, UsageError

if TYPE_CHECKING:
    from expert.types import Message

PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Statuses after which the same question may be asked again."""
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Address:
    """Where a teacher is, and how it is asked; seconds."""

    url: str
    """Up to and with `/v1`."""
    model: str
    variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key."""
    max_tokens: int = 512
    parallel: int = 8
    timeout: float = 300.0
    tries: int = 6
    wait: float = 1.0
    """Before the second try; each further wait is up to twice as long."""


class Endpoint:
    """Answers by asking a server.

    Raises:
        UsageError: the address is none, or there is no key for it.
    """

    def __init__(self, address: Address) -> None:
        import httpx2

        parts = urlsplit(address.url)
        key = os.environ.get(address.variable, "").strip()
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{address.url} is no address.", "", "Give http(s)://HOST/v1.")
        if not key and parts.hostname not in LOCAL:
            raise UsageError(
                f"There is no key for {parts.hostname}.",
                f"The environment variable {address.variable} is not set.",
                "Set it; a key is never read from a file or an option.",
            )
        self.address, self.name = address, f"{address.model} at {parts.hostname}"
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx2.Limits(max_connections=address.parallel)
        self._http = httpx2.Client(headers=headers, timeout=address.timeout, limits=limits)
        self._stopped = threading.Event()

    def close(self) -> None:
        """Let go of the connections; whoever waits for another try gives up."""
        self._stopped.set()
        self._http.close()

    def answer(self, messages: tuple[Message, ...]) -> str | None:
        """Return the answer; None if it was cut short or is empty.

        Raises:
            UsageError: the server refuses the request for good.
            NetworkNeededError: it cannot be reached, or keeps failing.
        """
        import httpx2

        why = ""
        for attempt in range(self.address.tries):
            wait = random.uniform(0.5, 1.0) * self.address.wait * 2.0**attempt
            try:
                response = self._http.post(
                    f"{self.address.url.rstrip('/')}/chat/completions", json=self._body(messages)
                )
                if response.status_code == 200:
                    return text_of(response.json())
                why = f"{response.status_code}: {response.text[:200]}"
                if response.status_code not in PASSING:
                    raise UsageError(
                        f"{self.name} refuses the question.", why, "Check the model and the key."
                    )
                with suppress(KeyError, ValueError):
                    wait = max(wait, min(900.0, float(response.headers["retry-after"])))
            except (httpx2.HTTPError, httpx2.StreamError, ValueError, RuntimeError) as error:
                why = f"{type(error).__name__}: {error}"
            if self._stopped.is_set() or attempt + 1 == self.address.tries:
                break
            self._stopped.wait(wait)
        raise NetworkNeededError(
            f"{self.name} gives no answer.",
            f"It was asked {attempt + 1} times; the last time: {why}.",
            "What it has answered is kept: run the same command again to go on.",
        )

    def _body(self, messages: tuple[Message, ...]) -> dict[str, Any]:
        return {
            "model": self.address.model,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "temperature": 0,
            "max_tokens": self.address.max_tokens,
        }


def text_of(reply: Any) -> str | None:
    """Return the text of a whole answer; None if it was cut short, even inside a character, or is
    empty.

    Raises:
        ValueError: the reply is not one of this protocol.
    """
    try:
        choice = reply["choices"][0]
        text = choice["message"]["content"]
        if text is not None and not isinstance(text, str):
            raise ValueError("the content is no text")
        if choice["finish_reason"] != "stop" or HALF.search(text or ""):
            return None
        return (text or "").strip() or None
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"the reply has no answer: {json.dumps(reply)[:100]}") from error
