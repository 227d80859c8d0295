"""A language model's endpoint on this machine, which writes rows and misbehaves on request.

It speaks the streams of OpenAI's chat completions (DeepSeek's too) and of Anthropic's messages.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-very-secret-0123456789"


def row(number: int) -> dict[str, Any]:
    """Return a row that is unlike all others."""
    mark = hashlib.sha256(str(number).encode()).hexdigest()
    return {"prompt": f"Count {mark[:14]} in {mark[20:34]}", "answer": f"grep -c {mark[:14]} x.txt"}


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    """Seconds of the monotonic clock."""


@dataclass
class Endpoint:
    """What it writes, how it will misbehave, and what it was asked."""

    key: str | None = KEY
    """None: any key, or none, is right."""
    delay: float = 0.0
    """Seconds before a reply begins."""
    make: Callable[[int], dict[str, Any]] = row
    faults: list[str] = field(default_factory=list)
    """Taken one by one, one a request: `status N`, `wait S` and `date S` (429 with Retry-After),
    `drop`, `cut`, `malformed`, `prose`, `empty`, `slow S`, `fewer`, `more`, `twice`, `fenced`,
    `wrapped`, `no usage`, `negative usage`, `plain` (not streamed), `error`, `endless`, `echo`."""
    rule: Callable[[int], str] = field(default=lambda number: "")
    """The fault of the n-th request, where `faults` has none."""
    usage: tuple[int, int] = (200, 400)
    seen: list[Seen] = field(default_factory=list)
    address: str = ""
    made: int = 0
    most: int = 0
    """Requests that were under way at once, at most."""
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, seen: Seen) -> str:
        """Note a request, and return its fault."""
        with self._lock:
            self.seen.append(seen)
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            return self.faults.pop(0) if self.faults else self.rule(len(self.seen) - 1)

    def end(self) -> None:
        """Note that a request is over."""
        with self._lock:
            self._under_way -= 1

    def rows(self, count: int) -> list[dict[str, Any]]:
        """Return new rows."""
        with self._lock:
            first, self.made = self.made, self.made + count
        return [self.make(number) for number in range(first, first + count)]


@contextmanager
def running(endpoint: Endpoint) -> Iterator[Endpoint]:
    """Serve *endpoint* on a free port of this machine."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"endpoint": endpoint}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    endpoint.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    endpoint: Endpoint
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.endpoint.begin(Seen(self.path, headers, body, time.monotonic()))
        try:
            with suppress(OSError):  # the client may have had enough
                self._reply(headers, body, *fault.partition(" ")[::2])
        finally:
            self.endpoint.end()

    def _reply(
        self, headers: dict[str, str], body: dict[str, Any], fault: str, number: str
    ) -> None:
        given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if self.endpoint.key is not None and given != self.endpoint.key:
            self._tell(401, {"error": {"message": f"Incorrect API key provided: {given}"}})
        elif fault == "status":
            self._tell(int(number), {"error": {"message": "not now"}})
        elif fault in ("wait", "date"):
            date = formatdate(time.time() + float(number), usegmt=True)
            self._tell(429, {}, {"Retry-After": number if fault == "wait" else date})
        elif fault == "echo":
            self._tell(400, {"error": {"message": f"you sent {given} to \x1b[31mus"}})
        elif fault == "drop":
            self.close_connection = True
        else:
            time.sleep(self.endpoint.delay)
            wanted = int(re.search(r"Write (\d+) new rows", _asked(body))[1])  # type: ignore[index]  # every request says so
            self._stream(self._text(wanted, fault), fault, number)

    def _text(self, wanted: int, fault: str) -> str:
        if fault in ("prose", "empty"):
            return "I am sorry, I cannot do that {today}." if fault == "prose" else ""
        count = {"fewer": wanted // 2, "more": wanted * 2}.get(fault, wanted)
        rows = self.endpoint.rows(count)
        if fault == "twice":
            rows = [rows[0]] * count
        if fault == "wrapped":
            return json.dumps({"rows": rows})
        lines = "\n".join(json.dumps(one) for one in rows)
        return f"Here they are:\n```json\n{lines}\n```" if fault == "fenced" else lines

    def _stream(self, text: str, fault: str, number: str) -> None:
        anthropic = self.path.endswith("/v1/messages")
        sent, received = self.endpoint.usage
        if fault == "negative":
            sent = -1
        if fault == "plain":
            self._tell(200, (_message if anthropic else _completion)(text, sent, received))
            return
        events = (_anthropic if anthropic else _openai)(text, sent, received, fault == "no")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for place, event in enumerate(events):
            if fault == "slow":
                time.sleep(float(number))
            if place == 3 and fault == "cut":
                self.close_connection = True
                return
            if place == 2 and fault == "malformed":
                event = 'data: {"choices": [{"delta": {"content": \n\n'
            if place == 2 and fault == "error":
                event = 'data: {"type": "error", "error": {"message": "overloaded"}}\n\n'
            while fault == "endless" and place == 2:
                self._chunk(": keep-alive " + "x" * 65536 + "\n")
            self._chunk(event)
        self._chunk("")

    def _chunk(self, text: str) -> None:
        raw = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))

    def _tell(
        self, status: int, value: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing."""


def _asked(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def _pieces(text: str) -> list[str]:
    size = max(1, len(text) // 6 + 1)
    return [text[i : i + size] for i in range(0, len(text), size)]


def _openai(text: str, sent: int, received: int, silent: bool) -> Iterator[str]:
    """Yield the events of a chat completion."""
    yield ": keep-alive\n\n"
    for piece in _pieces(text):
        chunk = {"choices": [{"delta": {"content": piece}, "finish_reason": None}], "usage": None}
        yield f"data: {json.dumps(chunk)}\n\n"
    end: dict[str, Any] = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    yield f"data: {json.dumps(end)}\n\n"
    if not silent:
        usage = {"prompt_tokens": sent, "completion_tokens": received}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def _anthropic(text: str, sent: int, received: int, silent: bool) -> Iterator[str]:
    """Yield the events of a message."""
    first = {} if silent else {"usage": {"input_tokens": sent, "output_tokens": 1}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": first},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    for piece in _pieces(text):
        delta = {"type": "text_delta", "text": piece}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    usage = {} if silent else {"usage": {"output_tokens": received}}
    events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **usage})
    events.append({"type": "message_stop"})
    for event in events:
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def _completion(text: str, sent: int, received: int) -> dict[str, Any]:
    usage = {"prompt_tokens": sent, "completion_tokens": received}
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": usage}


def _message(text: str, sent: int, received: int) -> dict[str, Any]:
    usage = {"input_tokens": sent, "output_tokens": received}
    return {"type": "message", "content": [{"type": "text", "text": text}], "usage": usage}
