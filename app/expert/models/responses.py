"""What a server's answer to a request for a file means, and which answers are refused."""

import re
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPMessage, HTTPResponse
from typing import IO, TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request

from expert.errors import ExpertError, NetworkNeededError, NotFoundError, VerificationError

if TYPE_CHECKING:
    from expert.models.download import Remote

LATER = (408, 425, 429, 500, 502, 503, 504)
_HEX = re.compile("[0-9a-f]+")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Retry(Exception):
    """An attempt that ended early; the next one may bring the rest."""

    def __init__(self, why: str, wait: float | None = None, *, start_again: bool = False) -> None:
        super().__init__(why)
        self.wait = wait
        """Seconds, as the server asked; None: our own choice."""
        self.start_again = start_again
        """What has arrived is of no use."""


class Redirects(HTTPRedirectHandler):
    """Follows redirects to other hosts, without the token and never to less protection."""

    max_redirections = 5

    def __init__(self, remote: "Remote") -> None:
        self.remote = remote

    def http_error_302(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> object:
        try:
            _check_origin(self.remote, headers)
            return super().http_error_302(req, fp, code, msg, headers)
        except ExpertError:
            fp.close()
            raise
        except ValueError as error:
            fp.close()
            raise _wrong(self.remote, f"The server leads nowhere: {error}") from error

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
            raise _wrong(self.remote, f"The server leads to a {new.scheme!a} address")
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        same_server = (old.scheme, old.netloc) == (new.scheme, new.netloc)
        if made is not None and same_server and self.remote.token is not None:
            made.add_unredirected_header("Authorization", f"Bearer {self.remote.token}")
        return made


def check_start(remote: "Remote", response: HTTPResponse, have: int) -> int:
    """Return at which byte of the file an answer begins, given that *have* are there.

    Raises:
        VerificationError: it is not the file that was announced, or another part of it.
    """
    headers = response.headers
    _check_origin(remote, headers)
    if headers.get("Content-Encoding", "identity") != "identity":
        raise _wrong(remote, f"It is encoded as {headers['Content-Encoding'][:40]!a}")
    length = headers.get("Content-Length")
    if response.status == 200:
        if length is not None and length.strip() != str(remote.size):
            raise _wrong(remote, f"The server has {length[:40]} bytes of it, not {remote.size}")
        return 0
    if response.status != 206:
        raise _wrong(remote, f"The server answers {response.status}")
    found = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if found is None or int(found[1]) != have or found[2] not in ("*", str(remote.size)):
        raise _wrong(remote, "The server sends another part than it was asked for")
    return have


def _check_origin(remote: "Remote", headers: Message) -> None:
    """Compare what the hub itself says about a file; other hosts' tags mean other things."""
    commit = headers.get("X-Repo-Commit")
    if commit is not None and remote.commit not in ("", commit):
        raise _wrong(remote, f"It is of the commit {commit[:40]!a}, not {remote.commit}")
    tag = headers.get("X-Linked-Etag") or (headers.get("ETag") if commit else None) or ""
    tag = tag.removeprefix("W/").strip('"')
    comparable = len(tag) == len(remote.digest) and _HEX.fullmatch(tag)
    if comparable and tag != remote.digest:
        raise _wrong(remote, f"The server names the content {tag[:16]}…")
    size = headers.get("X-Linked-Size")
    if size is not None and size.strip() != str(remote.size):
        raise _wrong(remote, f"The server has {size[:40]} bytes of it, not {remote.size}")


def refusal(remote: "Remote", error: HTTPError, have: int) -> Exception:
    """Return what an answer of the kind 3xx to 5xx means."""
    if error.code in LATER:
        return Retry(f"the server answers {error.code}", _wait(error.headers.get("Retry-After")))
    if error.code == 416 and have:
        return Retry("the server has no such part", 0.0, start_again=True)
    if error.code in (401, 403):
        return no_access(remote.name)
    if error.code in (404, 410):
        return NotFoundError(
            f"The server does not have {remote.name}.",
            f"It answers {error.code} for {_shown(remote.url)}.",
            "Check the name, or see `expert model list --available`.",
        )
    if error.code < 400 or error.code == 416:
        return _wrong(remote, f"The server answers {error.code} {str(error.reason)[:80]!a}")
    return NetworkNeededError(
        f"{remote.name} could not be fetched.", f"The server answers {error.code}.", "Try later."
    )


def no_access(name: str) -> NotFoundError:
    """Return the refusal of what a server keeps for some."""
    return NotFoundError(
        f"{name} is not there, or not for everybody.",
        "The server wants to know who asks.",
        "Accept its terms on its page if it has any, and set HF_TOKEN to a token of yours.",
    )


def _wait(text: str | None) -> float | None:
    """Return seconds from a Retry-After, which holds seconds or a date."""
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    from datetime import UTC, datetime

    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _shown(url: str) -> str:
    """Return an address without its query, which may hold a signature."""
    return url.partition("?")[0]


def _wrong(remote: "Remote", why: str) -> ExpertError:
    return VerificationError(
        f"The server's answer for {remote.name} is not what was announced.",
        f"{why}.",
        "Run the same command again; if it goes on, look at the repository's page.",
    )
