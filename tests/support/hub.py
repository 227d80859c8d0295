"""A hub on this machine, on two ports: one that knows repositories, one that has the bytes.

It speaks the routes of the Hugging Face Hub that are used, and misbehaves on request: `faults` are
taken one by one, one for each request for a file's bytes.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

FIRST, SECOND = "1" * 40, "2" * 40


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    place: str
    """`hub` or `store`."""
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Hub:
    """What it holds, how it will misbehave, and what it was asked."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files by `ORG/REPO@COMMIT`."""
    heads: dict[str, str] = field(default_factory=dict)
    """The newest commit by `ORG/REPO`."""
    faults: list[str] = field(default_factory=list)
    """For requests for bytes: `cut N` bytes sent, `status N`, `wait S`, `same size`, `longer`,
    `shorter`, `ignore range`, `wrong range`, `gzip`, `slow`."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent instead of the hub's own."""
    redirect: str | None = "store"
    """`store`, None for bytes from the hub itself, or any address."""
    metadata: Callable[[dict[str, Any]], Any] = field(default=lambda found: found)
    """Changes what is said about a repository."""
    refuse: int | None = None
    """A status for every question about repositories."""
    seen: list[Seen] = field(default_factory=list)
    address: str = ""
    store: str = ""
    plain: tuple[str, ...] = ()
    """Files that git keeps itself, without a SHA-256."""

    def add(self, name: str, files: dict[str, bytes], commit: str = FIRST) -> None:
        """Publish a state of a repository as its newest."""
        self.repositories[f"{name}@{commit}"] = files
        self.heads[name] = commit

    def asked(self, place: str) -> list[Seen]:
        """Return the requests that reached a server."""
        return [one for one in self.seen if one.place == place]

    def describe(self, name: str, commit: str) -> dict[str, Any]:
        """Return what the hub says about a repository."""
        siblings = []
        for path, data in self.repositories[f"{name}@{commit}"].items():
            row: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git_id(data)}
            if path not in self.plain:
                digest = hashlib.sha256(data).hexdigest()
                row["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 130}
            siblings.append(row)
        card = {"license": "apache-2.0"}
        found = {"id": name, "sha": commit, "siblings": siblings, "cardData": card, "tags": []}
        changed: dict[str, Any] = self.metadata(found)
        return changed


def git_id(data: bytes) -> str:
    """Return what git calls a file of these contents."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve *hub* on two free ports of this machine."""
    servers = []
    for place in ("hub", "store"):
        handler = type("Handler", (_Handler,), {"hub": hub, "place": place})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    hub.address, hub.store = (f"http://127.0.0.1:{one.server_address[1]}" for one in servers)
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


@contextmanager
def as_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve *hub*, and let this process and those it starts take it for the real one."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    place: str
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.hub.seen.append(Seen(self.place, "GET", self.path, dict(self.headers)))
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/models/"):
            self._tell(path.removeprefix("/api/models/"))
            return
        name, _, rest = path.strip("/").partition("/resolve/")
        commit, _, file = rest.partition("/")
        data = self.hub.repositories.get(f"{name}@{commit}", {}).get(file)
        if data is None:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif self.place == "hub" and self.hub.redirect is not None:
            target = self.hub.store + self.path if self.hub.redirect == "store" else None
            headers = {"Location": target or self.hub.redirect}
            self._answer(302, b"", headers | self._own_headers(commit, data))
        else:
            own = self._own_headers(commit, data) if self.place == "hub" else {}
            self._send(data, own)

    def _tell(self, path: str) -> None:
        name, _, revision = path.partition("/revision/")
        commit = self.hub.heads.get(name) if revision in ("", "main") else revision
        if self.hub.refuse is not None:
            self._answer(self.hub.refuse, b"{}", {})
        elif f"{name}@{commit}" not in self.hub.repositories:
            code = "RevisionNotFound" if name in self.hub.heads else "RepoNotFound"
            self._answer(404, b"{}", {"X-Error-Code": code})
        else:
            found = self.hub.describe(name, str(commit))
            self._answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def _own_headers(self, commit: str, data: bytes) -> dict[str, str]:
        digest = hashlib.sha256(data).hexdigest()
        own = {"X-Repo-Commit": commit, "X-Linked-Etag": f'"{digest}"'}
        return own | {"X-Linked-Size": str(len(data))} | self.hub.headers

    def _send(self, data: bytes, own: dict[str, str]) -> None:
        fault, _, number = (self.hub.faults.pop(0) if self.hub.faults else "").partition(" ")
        start, status, headers = 0, 200, dict(own)
        asked = self.headers.get("Range")
        if asked is not None and fault != "ignore":
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        if fault == "status":
            status, body = int(number), b""
        elif fault == "wait":
            status, body, headers = 429, b"", {"Retry-After": number}
        elif fault == "same":
            body = bytes([body[0] ^ 1]) + body[1:]
        elif fault == "longer":
            body += b"more"
        elif fault == "shorter":
            body = body[:-4]
        elif fault == "wrong":
            headers["Content-Range"] = f"bytes 1-{len(data) - 1}/{len(data)}"
        elif fault == "gzip":
            headers["Content-Encoding"] = "gzip"
        if fault == "cut":
            self._answer(status, body, headers, int(number))
        elif fault == "endless":
            self._endless(body, headers)
        else:
            self._answer(status, body, headers)

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, text in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, text)
        self.end_headers()
        with suppress(OSError):  # the client may have had enough
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            if cut and self.hub.faults[:1] == ["hang"]:
                self.hub.faults.pop(0)
                time.sleep(60)

    def _endless(self, body: bytes, headers: dict[str, str]) -> None:
        """Send more than there is, without saying how much."""
        self.send_response(200)
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):
            self.wfile.write(body + body + body)

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing."""
