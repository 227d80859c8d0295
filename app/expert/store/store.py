"""The store of one user: its blobs, its lock, its database, and a place for what is half done."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from expert.errors import ResourceError
from expert.store.blobs import Blobs
from expert.store.files import Files
from expert.store.locks import TIMEOUT, exclusive


@dataclass(frozen=True, slots=True)
class Store:
    """Everything under one data folder."""

    root: Path
    files: Files = field(default_factory=Files)

    @property
    def blobs(self) -> Blobs:
        return Blobs(self.root / "blobs" / "sha256", self.files)

    @property
    def database(self) -> Path:
        return self.root / "expert.db"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def staging(self) -> Path:
        """Half-done work; whatever is here when nobody holds the lock is rubbish."""
        return self.root / "staging"

    @contextmanager
    def changing(self, timeout: float = TIMEOUT) -> Iterator[Path]:
        """Hold the lock, and yield an empty folder to prepare things in.

        What an earlier, killed process left there is removed first.

        Raises:
            ResourceError: another process is changing the store, or the disk fails.
        """
        with exclusive(self.lock, timeout), _disk_errors(self.root):
            self.clear_staging()
            folder = self.staging / os.urandom(8).hex()
            self.files.make_folder(folder)
            try:
                yield folder
            finally:
                self.clear_staging()

    def clear_staging(self) -> None:
        """Remove all half-done work."""
        for folder, names, files in os.walk(self.staging, topdown=False):
            for name in files:
                self.files.remove(Path(folder, name))
            for name in names:
                self.files.remove_folder(Path(folder, name))


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"The store in {root} cannot be changed.",
            f"{error.strerror or error}.",
            "Free some disk space, or make the folder writable; what was installed still is.",
        ) from error
