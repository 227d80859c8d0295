"""The first format's packages: gzipped tars of PEFT files, read into a source folder.

Only the files that are known and harmless are taken out; that format also carried tokenizers and
pickles. Headers are read one block at a time, because a tar library would follow links and hold
names of any length in memory. Its signatures cannot be checked: they never covered the weights.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from expert.errors import VerificationError
from expert.package.container import open_package
from expert.package.legacy import CONFIG, GRAMMAR, WEIGHTS, Migrated, migrate_manifest
from expert.package.limits import BLOCK, LIMITS, MIB
from expert.package.manifest import BaseIdentity
from expert.package.output import new_folder
from expert.package.pack import write_source_manifest

MANIFEST = "manifest.json"
_KNOWN = {
    MANIFEST: (MANIFEST, 1 * MIB),
    WEIGHTS: (WEIGHTS, LIMITS.total),
    CONFIG: (CONFIG, 1 * MIB),
    GRAMMAR: (GRAMMAR, 1 * MIB),
    "README.md": ("README.md", 1 * MIB),
    "LICENSE": ("LICENSE.txt", 1 * MIB),
}
"""Files that are taken over: their present names, and how large they may be."""
_MAX_MEMBERS = 100
_MEMBER = tarfile.BLOCKSIZE
_UNREADABLE = (OSError, EOFError, zlib.error, tarfile.TarError, ValueError)


def migrate(old: Path, target: Path, publisher: str, identity: BaseIdentity) -> Migrated:
    """Turn a package or folder of the first format into the source folder *target*.

    Raises:
        NotFoundError: there is no such file.
        UsageError: the folder exists.
        VerificationError: it is not of that format, or hostile.
        ResourceError: the folder cannot be written.
    """
    with new_folder(target) as draft:
        left = _from_folder(old, draft) if old.is_dir() else _from_archive(old, draft)
        files = frozenset(path.name for path in draft.iterdir())
        for name in (MANIFEST, WEIGHTS, CONFIG):
            if name not in files:
                raise _refusal(old, f"It holds no {name}.")
        data = (draft / MANIFEST).read_bytes()
        migrated = migrate_manifest(data, publisher, identity, files)
        write_source_manifest(migrated.manifest, draft)
    notes = [f"left out: {name!a}" for name in left]
    return Migrated(migrated.manifest, [*migrated.notes, *notes])


def _from_folder(old: Path, draft: Path) -> list[str]:
    left = []
    for path in sorted(old.iterdir()):
        if path.name in _KNOWN and path.is_file() and not path.is_symlink():
            with open_package(path) as stream:
                blocks = iter(partial(stream.read, BLOCK), b"")
                _take(old, path.name, path.stat().st_size, blocks, draft)
        else:
            left.append(path.name)
    return left


def _from_archive(old: Path, draft: Path) -> list[str]:
    left = []
    with open_package(old) as file:
        try:
            with gzip.open(file) as stream:
                for name, size, blocks in _members(stream, old):
                    if name in _KNOWN:
                        _take(old, name, size, blocks, draft)
                    else:
                        left.append(name)
        except _UNREADABLE as error:
            raise _refusal(old, f"It is not a gzipped tar archive: {str(error)[:100]!a}.") from None
    return left


def _members(stream: gzip.GzipFile, old: Path) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Yield name, size and contents of each regular file, by its own header alone."""
    total = 0
    for _ in range(_MAX_MEMBERS):
        block = stream.read(_MEMBER)
        if not block.strip(b"\0"):
            _finish(stream)
            return
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        total += info.size
        if info.size < 0 or total > LIMITS.total:
            raise _refusal(old, f"It unpacks to more than {LIMITS.total >> 30} GiB.")
        blocks = _contents(stream, info.size)
        if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield info.name.removeprefix("./"), info.size, blocks
        for _ in blocks:
            pass
        stream.read(-info.size % _MEMBER)
    raise _refusal(old, f"It has more than {_MAX_MEMBERS} members.")


def _finish(stream: gzip.GzipFile) -> None:
    """Read to the end of the stream, where its checksum is compared."""
    if len(stream.read(BLOCK)) < _MEMBER or stream.read(1):
        raise EOFError("it does not end as a tar archive does")


def _contents(stream: gzip.GzipFile, size: int) -> Iterator[bytes]:
    while size:
        block = stream.read(min(BLOCK, size))
        if not block:
            raise EOFError("it is cut off")
        size -= len(block)
        yield block


def _take(old: Path, name: str, size: int, blocks: Iterator[bytes], draft: Path) -> None:
    new_name, limit = _KNOWN[name]
    if size > limit:
        raise _refusal(old, f"{name} is too large.")
    if (draft / new_name).exists():
        raise _refusal(old, f"It holds {name} twice.")
    with (draft / new_name).open("xb") as out:
        for block in blocks:
            out.write(block)


def _refusal(old: Path, why: str) -> VerificationError:
    return VerificationError(
        f"{old} is not a package of the first format.", why, "Give a .expert file or its folder."
    )
