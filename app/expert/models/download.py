"""Fetches a file over HTTP: an interruption costs nothing, and damage is never accepted.

What has arrived stays in a part file, and the next attempt, by this process or a later one, asks
only for the rest (RFC 9110, 14: range requests). The whole file is hashed at the end, whatever the
server said about it. A token goes only to the server it is for, never to where that redirects.
"""

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import OpenerDirector, Request, build_opener

from expert._version import __version__
from expert.errors import ExpertError, NetworkNeededError, ResourceError, VerificationError
from expert.models.responses import Redirects, Retry, check_start, refusal
from expert.store.locks import exclusive

Progress = Callable[[int, int], None]

ATTEMPTS = 5
"""How often in a row an attempt may bring nothing."""
GAIN = 64 * 1024
"""Bytes that count as progress; a server that gives less each time would keep us for ever."""
TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as dead."""
PACE_S, PACE_BYTES = 60.0, 16 * 1024
"""A connection that brings less than this many bytes in this many seconds is given up."""
LONGEST_WAIT = 120.0
"""Seconds; a server that wants more patience is told to the user instead."""
SPARE = 64 << 20
"""Bytes of disk that stay free."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on a server, and what its bytes must be."""

    url: str
    size: int
    digest: str
    """SHA-256, or the SHA-1 that git gives a file it keeps itself; in hex."""
    commit: str = ""
    """The state of the repository it belongs to; empty: unknown."""
    token: str | None = field(default=None, repr=False)
    """Proves to this server, and to no other, who asks."""

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


def download(remote: Remote, part: Path, progress: Progress | None = None) -> Path:
    """Bring the file *part* to completion and return it; what it holds already is kept.

    Raises:
        NetworkNeededError: the server cannot be reached, or gave up for now.
        NotFoundError: the server does not have it, or not for this user.
        VerificationError: what came is not what was announced.
        ResourceError: the disk is too full, or another process fetches the same file.
    """
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive(part.with_suffix(".lock"), 0.0, "fetching this file"):
        began_earlier = _size(part) > 0
        _complete(remote, part, progress)
        if not is_right(part, remote.digest) and began_earlier:
            # What an earlier run left may be at fault; only a whole fetch tells.
            part.unlink()
            _complete(remote, part, progress)
        if not is_right(part, remote.digest):
            part.unlink()
            raise VerificationError(
                f"What was fetched is not {remote.name}.",
                f"It has the announced size and another content than {remote.digest[:16]}….",
                "Try again; if it happens again, the server or the way to it is not to be trusted.",
            )
    return part


def is_right(path: Path, digest: str) -> bool:
    """Tell whether a file has the content that *digest* names, by SHA-256 or as a git blob."""
    if len(digest) == 64:
        found = hashlib.sha256()
    else:
        found = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            found.update(block)
    return found.hexdigest() == digest


def check_space(folder: Path, size: int) -> None:
    """Refuse what would fill the disk of *folder*.

    Raises:
        ResourceError: fewer than *size* bytes and a reserve are free.
    """
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise ResourceError(
            f"There is not enough room in {folder}.",
            f"{(size + SPARE) / 1e6:.0f} MB are needed, and {free / 1e6:.0f} MB are free.",
            "Free some disk space, or set EXPERT_HOME to a folder on a larger disk.",
        )


def _complete(remote: Remote, part: Path, progress: Progress | None) -> None:
    """Ask for what is missing until nothing is."""
    opener, failures = build_opener(Redirects(remote)), 0
    if _size(part) > remote.size:
        part.unlink()
    check_space(part.parent, remote.size - _size(part))
    while (have := _size(part)) < remote.size:
        try:
            _attempt(opener, remote, part, progress)
        except Retry as trouble:
            if trouble.start_again:
                part.unlink(missing_ok=True)
            failures = 0 if _size(part) - have >= GAIN else failures + 1
            wait = 0.5 * 2**failures if trouble.wait is None else trouble.wait
            if failures == ATTEMPTS or wait > LONGEST_WAIT:
                raise _gave_up(remote, trouble, wait) from trouble
            time.sleep(wait)


def _attempt(opener: OpenerDirector, remote: Remote, part: Path, progress: Progress | None) -> None:
    """Fetch the rest of the file over one connection.

    Raises:
        Retry: it was cut, or the server asks to come back later.
    """
    have = _size(part)
    request = Request(remote.url, headers={"User-Agent": f"expert/{__version__}"})
    request.add_header("Accept-Encoding", "identity")
    if have:
        request.add_header("Range", f"bytes={have}-")
    if remote.token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {remote.token}")
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
            start = check_start(remote, response, have)
            _receive(remote, response, part, start, progress)
    except HTTPError as error:
        with error:
            raise refusal(remote, error, have) from None
    except (OSError, HTTPException) as error:
        raise Retry(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _receive(
    remote: Remote, response: HTTPResponse, part: Path, start: int, progress: Progress | None
) -> None:
    """Append what comes to the first *start* bytes of the part file."""
    try:
        file = part.open("r+b" if start else "wb")
    except OSError as error:
        raise _disk(part, error) from error
    with file:
        file.truncate(start)
        file.seek(start)
        done, mark, marked = start, time.monotonic(), start
        while block := response.read1(_BLOCK):
            done += len(block)
            if done > remote.size:
                raise Retry("more came than was announced", start_again=True)
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                raise _disk(part, error) from error
            if progress is not None:
                progress(done, remote.size)
            if time.monotonic() - mark > PACE_S:
                if done - marked < PACE_BYTES:
                    raise Retry("the connection is too slow")
                mark, marked = time.monotonic(), done
    if done < remote.size:
        raise Retry("the connection was cut")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _gave_up(remote: Remote, trouble: Retry, wait: float) -> ExpertError:
    patience = f" The server asks to wait {wait:.0f} seconds." if wait > LONGEST_WAIT else ""
    return NetworkNeededError(
        f"{remote.name} could not be fetched.",
        f"{str(trouble)[:200].capitalize()}.{patience}",
        "Run the same command again later; it goes on where it stopped.",
    )


def _disk(part: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"Cannot write {part}.", f"{error.strerror or error}.", "Free some disk space."
    )
