"""One lock for all changes to a store; it ends with the process that holds it.

Readers need none: they see the database's last committed state.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from expert.errors import ResourceError

if TYPE_CHECKING:
    import filelock

TIMEOUT = 120.0
"""Seconds to wait for another process; an install of a large package takes some."""


@contextmanager
def exclusive(
    path: Path, timeout: float = TIMEOUT, work: str = "changing the installed experts"
) -> Iterator[None]:
    """Hold the lock file at *path*, as the only process on this machine; *work* is what for.

    Raises:
        ResourceError: another process holds it for longer than *timeout* seconds, or the file
            system has no locks.
    """
    import filelock

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _native_lock(path)
        lock.acquire(timeout)
    except filelock.Timeout:
        raise ResourceError(
            f"Another Expert is {work}.",
            f"It has held {path} for more than {timeout:g} seconds.",
            "Wait for it to end, then try again.",
        ) from None
    except (OSError, NotImplementedError) as error:
        raise ResourceError(
            f"The store cannot be locked: {path}.",
            f"{getattr(error, 'strerror', None) or error}.",
            "Make the folder writable, or set EXPERT_HOME to a folder on a local disk.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _native_lock(path: Path) -> "filelock.BaseFileLock":
    """Return this thread's lock of *path*; taking it again while it is held is no waiting."""
    import filelock

    if os.name == "nt":
        return filelock.WindowsFileLock(path, mode=0o600, is_singleton=True)
    # The library's fall-back, a file that stands for a lock, would outlive a killed process.
    return filelock.UnixFileLock(
        path, mode=0o600, is_singleton=True, fallback_to_soft=False, preserve_lock_file=True
    )
