"""Files named by the SHA-256 of their contents: read-only, shared by all that have the same.

A file gets its name only after its contents are on the disk, so a name is a promise. Where the
name is already taken the promise is checked again, because a disk may have broken it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from expert.errors import VerificationError
from expert.store.files import Files

_DIGEST = re.compile("[0-9a-f]{64}")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system says about a blob; unchanged, so are its contents."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Blobs:
    """The blobs under one folder."""

    root: Path
    files: Files

    def path(self, digest: str) -> Path:
        """Return where the blob of this hash is, or would be."""
        if not _DIGEST.fullmatch(digest):
            raise VerificationError(f"{digest[:80]!a} is not a SHA-256.", "", "Check the source.")
        return self.root / digest[:2] / digest

    def adopt(self, staged: Iterable[tuple[Path, str]]) -> None:
        """Make complete files blobs; each has been found to have the hash it comes with.

        When this returns, all of them are on the disk under their names.
        """
        folders = set()
        for path, digest in staged:
            target = self.path(digest)
            if self.is_sound(digest):
                self.files.remove(path)
                continue
            if not target.parent.is_dir():
                self.files.make_folder(target.parent)
                folders |= {self.root, self.root.parent}
            self.files.sync(path)
            self.files.protect(path)
            self.files.rename(path, target)
            folders.add(target.parent)
        for folder in sorted(folders):
            self.files.sync_folder(folder)

    def is_sound(self, digest: str) -> bool:
        """Read a whole blob and tell whether it is there and right."""
        try:
            return file_digest(self.path(digest)) == digest
        except OSError:
            return False

    def stamp(self, digest: str) -> Stamp | None:
        """Return the file system's view of a blob, None if it is not there."""
        try:
            found = self.path(digest).lstat()
        except OSError:
            return None
        return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    def remove(self, digest: str) -> None:
        """Remove a blob, if it is there."""
        self.files.remove(self.path(digest))

    def __iter__(self) -> Iterator[str]:
        """Yield the hash of every blob, sorted."""
        for path in sorted(self.root.glob("??/*")):
            if _DIGEST.fullmatch(path.name):
                yield path.name


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits."""
    import hashlib  # with OpenSSL, which listing what is installed does not need

    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
