"""The store's changes to the file system, each one a method.

Everything that changes the disk goes through here, so that a test can stop the process before any
single step, or lose what was not yet synchronised, and look at what is left.
"""

import os
from pathlib import Path


class Files:
    """Changes to files and folders; reading needs no such care."""

    def make_folder(self, path: Path) -> None:
        """Create *path* and its parents, for the owner only."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def sync(self, path: Path) -> None:
        """Wait until a file's contents are on the disk."""
        with path.open("r+b") as stream:
            os.fsync(stream.fileno())

    def sync_folder(self, path: Path) -> None:
        """Wait until a folder's names are on the disk."""
        if os.name == "nt":
            return  # NTFS journals names, and folders cannot be opened there.
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def protect(self, path: Path) -> None:
        """Make a file read-only."""
        path.chmod(0o444)

    def rename(self, old: Path, new: Path) -> None:
        """Put *old* where *new* is, in one step."""
        if os.name == "nt" and new.exists():
            new.chmod(0o644)
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        if os.name == "nt" and path.exists():
            path.chmod(0o644)
        path.unlink(missing_ok=True)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder, if it is there."""
        if path.exists():
            path.rmdir()
