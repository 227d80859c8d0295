"""An OpenAI-compatible server on this machine that answers, and misbehaves on request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class TeacherServer:
    """What it was asked, and how it will misbehave."""

    reply: Callable[[str], str]
    """The answer to the last message of a conversation."""
    faults: list[str] = field(default_factory=list)
    """One for each coming request: `status N`, `cut`, `malformed`, `no choices`, `length`,
    `empty`, `hang up`, `wait S`."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""
    most: int = 0
    """Requests that were answered at the same time."""
    under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    state: TeacherServer

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer, or misbehave."""
        state = self.state
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with state.lock:
            state.under_way += 1
            state.most = max(state.most, state.under_way)
            fault = state.faults.pop(0) if state.faults else ""
            state.asked.append(body)
            state.keys.append(self.headers.get("authorization", ""))
        try:
            self.respond(fault, body)
        finally:
            with state.lock:
                state.under_way -= 1

    def respond(self, fault: str, body: dict[str, Any]) -> None:
        """Send what a fault wants, or the answer."""
        word, _, value = fault.partition(" ")
        if word == "wait":
            time.sleep(float(value))
        if word == "status":
            self.send(int(value), b'{"error": {"message": "not now"}}')
            return
        if fault == "hang up":
            self.close_connection = True
            return
        text = self.state.reply(body["messages"][-1]["content"])
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if fault == "length":
            choice["finish_reason"] = "length"
        if fault == "empty":
            choice["message"] = {"role": "assistant", "content": " "}
        reply = json.dumps({"choices": [] if fault == "no choices" else [choice]}).encode()
        if fault == "malformed":
            reply = b"{" + reply
        self.send(200, reply, len(reply) + 10 if fault == "cut" else None)

    def send(self, status: int, body: bytes, length: int | None = None) -> None:
        """Send a reply; with a *length* that promises more than there is."""
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None


@contextmanager
def teacher_server(reply: Callable[[str], str]) -> Iterator[TeacherServer]:
    """Serve on a free port until the block ends."""
    state = TeacherServer(reply)
    handler = type("Bound", (Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
