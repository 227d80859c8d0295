"""The protocols of the providers: what is sent, and what the events of a stream mean.

Sources: OpenAI, "Chat completions" with `stream`; DeepSeek, the same; Anthropic, "Messages" with
`anthropic-version: 2023-06-01`; server-sent events as in the HTML standard.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from expert.dataset.generate.budget import Usage
from expert.dataset.generate.plan import Endpoint


class Malformed(ValueError):
    """A reply does not follow its protocol."""


@dataclass
class Reply:
    """What has come of a reply so far."""

    text: str = ""
    sent: int | None = None
    received: int | None = None
    """Tokens, once the provider says how many."""
    complete: bool = False
    """Whether the reply came to its own end."""
    error: str = ""
    """What the provider said went wrong within the stream."""

    @property
    def usage(self) -> Usage | None:
        """The tokens used, if the provider said so."""
        if self.sent is None or self.received is None:
            return None
        return Usage(self.sent, self.received)


class Dialect(Protocol):
    """How one kind of provider is spoken to."""

    path: str

    def headers(self, key: str) -> dict[str, str]:
        """Return what a request carries beside its body."""

    def body(self, endpoint: Endpoint, system: str, text: str) -> dict[str, Any]:
        """Return a request's body."""

    def take(self, event: dict[str, Any], reply: Reply) -> None:
        """Take in one event of a stream, or a whole reply where the server does not stream."""


class OpenAI:
    """Chat completions, as many servers offer them."""

    path = "/chat/completions"

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def body(self, endpoint: Endpoint, system: str, text: str) -> dict[str, Any]:
        own = urlsplit(endpoint.address).hostname == "api.openai.com"
        limit = "max_completion_tokens" if own else "max_tokens"
        return {
            "model": endpoint.name,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": text},
            ],
            "temperature": endpoint.temperature,
            limit: endpoint.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def take(self, event: dict[str, Any], reply: Reply) -> None:
        if error := event.get("error"):
            reply.error = _told(error)
        for choice in event.get("choices") or ():
            part = choice.get("delta") or choice.get("message") or {}
            reply.text += part.get("content") or ""
            reply.complete |= choice.get("finish_reason") is not None
        if usage := event.get("usage"):
            reply.sent, reply.received = _count(usage, "prompt_tokens", "completion_tokens")


class Anthropic:
    """Messages."""

    path = "/v1/messages"

    def headers(self, key: str) -> dict[str, str]:
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}

    def body(self, endpoint: Endpoint, system: str, text: str) -> dict[str, Any]:
        return {
            "model": endpoint.name,
            "system": system,
            "messages": [{"role": "user", "content": text}],
            "temperature": min(endpoint.temperature, 1.0),
            "max_tokens": endpoint.max_tokens,
            "stream": True,
        }

    def take(self, event: dict[str, Any], reply: Reply) -> None:
        kind = event.get("type")
        if kind == "error":
            reply.error = _told(event.get("error"))
        elif kind == "message_start":
            reply.sent = _count(event["message"]["usage"], "input_tokens", "output_tokens")[0]
        elif kind == "content_block_delta":
            reply.text += event["delta"].get("text") or ""
        elif kind == "message_delta":
            reply.received = int(event["usage"]["output_tokens"])
        elif kind == "message_stop":
            reply.complete = True
        elif kind == "message":
            reply.text = "".join(part.get("text", "") for part in event["content"])
            reply.sent, reply.received = _count(event["usage"], "input_tokens", "output_tokens")
            reply.complete = True


DIALECTS: dict[str, Dialect] = {
    "openai": OpenAI(),
    "deepseek": OpenAI(),
    "anthropic": Anthropic(),
}


def take_line(protocol: Dialect, line: str, reply: Reply) -> None:
    """Take in one line of a stream of server-sent events.

    Raises:
        Malformed: it makes no sense.
    """
    if not line.startswith("data:"):
        return
    data = line.removeprefix("data:").strip()
    if data == "[DONE]":
        reply.complete = True
    elif data:
        take_event(protocol, data, reply)


def take_event(protocol: Dialect, data: str, reply: Reply) -> None:
    """Take in the JSON of one event.

    Raises:
        Malformed: it makes no sense.
    """
    try:
        protocol.take(json.loads(data), reply)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from error


def _count(usage: dict[str, Any], sent: str, received: str) -> tuple[int, int]:
    numbers = int(usage[sent]), int(usage[received])
    if min(numbers) < 0:
        raise ValueError("a number of tokens is below zero")
    return numbers


def _told(error: object) -> str:
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)
