"""The bundle format: packages and base models in one file.

It is a ustar archive with the headers of `expert.package.tar`: `bundle.json`, then the members that
it lists, in its order. It is not signed itself: packages are judged by their own signatures, and a
base model by the identity that the experts' manifests sign.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec

from expert.errors import ResourceError, UsageError, VerificationError
from expert.package import tar
from expert.package.container import damaged, naming, open_package
from expert.package.limits import BLOCK
from expert.package.manifest import Count, Sha256
from expert.package.names import collision, path_problem
from expert.package.output import new_file
from expert.store.blobs import file_digest

INDEX = "bundle.json"
MAX_INDEX = 4 << 20
Progress = Callable[[int, int], None]


class BundleMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a bundle."""

    kind: Literal["package", "base"]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    size: Count
    sha256: Sha256
    requested: bool = False
    """Of a package: it is wanted for itself, not only needed by another one."""

    @property
    def path(self) -> str:
        """Its name in the archive."""
        return f"{self.kind}s/{self.name}"


class BundleIndex(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in a bundle."""

    schema: Literal[1]
    members: tuple[BundleMember, ...]
    statements: tuple[str, ...] = ()
    """What publishers say about their keys, each signed."""


def describe(kind: Literal["package", "base"], path: Path, *, requested: bool) -> BundleMember:
    """Return the entry of a file.

    Raises:
        UsageError: it is too large, or its name is not safe on every system.
    """
    size = path.stat().st_size
    if size > tar.MAX_SIZE:
        raise UsageError(f"{path} is too large for a bundle.", "The limit is 8 GiB.", "")
    if problem := path_problem(path.name):
        raise UsageError(f"{path} cannot be in a bundle.", f"Its name: {problem}.", "Rename it.")
    return BundleMember(kind, path.name, size, file_digest(path), requested)


def write_bundle(
    target: Path,
    members: Sequence[tuple[BundleMember, Path]],
    statements: Sequence[str],
    progress: Progress | None,
) -> None:
    """Write a bundle of files.

    Raises:
        VerificationError: a file changed meanwhile.
        ResourceError: the bundle cannot be written.
    """
    index = BundleIndex(1, tuple(member for member, _ in members), tuple(statements))
    data = msgspec.json.encode(index, order="sorted")
    total = sum(tar.member_size(member.size) for member, _ in members)
    with new_file(target) as out:
        out.write(tar.header(INDEX, len(data)) + data + bytes(tar.padding(len(data))))
        for member, path in members:
            out.write(tar.header(member.path, member.size))
            with path.open("rb") as source:
                _copy(source, out, member, progress, total)
            out.write(bytes(tar.padding(member.size)))
        out.write(tar.END)


def unpack_bundle(path: Path, folder: Path, progress: Progress | None) -> BundleIndex:
    """Unpack a bundle into an existing *folder*, as `packages` and `bases`, checking every byte.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: it is not a bundle, or damaged.
        ResourceError: the folder cannot be written.
    """
    with open_package(path) as stream, naming(path):
        index = _read_index(stream)
        total = sum(tar.member_size(member.size) for member in index.members)
        for member in index.members:
            if stream.read(tar.BLOCK) != tar.header(member.path, member.size):
                raise damaged(f"There is no canonical header of {member.path}.")
            place = folder / member.path
            try:
                place.parent.mkdir(exist_ok=True)
                with place.open("xb") as out:
                    _copy(stream, out, member, progress, total)
            except OSError as error:
                raise ResourceError(
                    f"The bundle cannot be unpacked into {folder}.",
                    f"{error.strerror or error}.",
                    "Free some disk space.",
                ) from error
            pad = tar.padding(member.size)
            if stream.read(pad) != bytes(pad):
                raise damaged(f"{member.path} is not padded with zeros.")
        if stream.read(len(tar.END) + 1) != tar.END:
            raise damaged("It does not end with two blocks of zeros.")
    return index


def _read_index(stream: BinaryIO) -> BundleIndex:
    found = tar.parse_header(stream.read(tar.BLOCK))
    if found is None or found[0] != INDEX or found[1] > MAX_INDEX:
        raise VerificationError(
            "This is not a bundle.",
            f"It does not begin with {INDEX}.",
            "Make one with `expert bundle create`.",
        )
    data = stream.read(found[1])
    pad = tar.padding(found[1])
    try:
        index = msgspec.json.decode(data, type=BundleIndex)
    except (ValueError, RecursionError) as error:
        raise damaged(f"Its index cannot be read: {str(error)[:100]!a}.") from None
    names = [member.path for member in index.members]
    bad = next((name for name in names if path_problem(name)), None) or collision(names)
    if bad is not None or stream.read(pad) != bytes(pad):
        raise damaged(f"Its index is not padded, or lists a name it must not: {bad!a}.")
    return index


def _copy(
    source: BinaryIO,
    out: BinaryIO,
    member: BundleMember,
    progress: Progress | None,
    total: int,
) -> None:
    digest = hashlib.sha256()
    left = member.size
    while left:
        block = source.read(min(BLOCK, left))
        if not block:
            raise damaged(f"{member.path} is cut off.")
        digest.update(block)
        out.write(block)
        left -= len(block)
        if progress is not None:
            progress(min(source.tell(), total), total)
    if digest.hexdigest() != member.sha256:
        raise damaged(f"{member.path} has another content than the index says.")
