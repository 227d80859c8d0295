"""Making `.expert` files: from a source folder, and from another package with a new signature.

A source folder holds `manifest.json` and the files it speaks of. Packing it twice gives the same
bytes: no times, owners or orders of a file system get in. Signing copies the stored members, so it
changes nothing but the signature, whatever zstd made them.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from expert.errors import NotFoundError, UsageError, VerificationError
from expert.package import tar
from expert.package.codec import decode_draft, decode_manifest, encode_manifest
from expert.package.container import (
    MANIFEST,
    SIGNATURE,
    Preview,
    inspect,
    member_name,
    naming,
    open_package,
)
from expert.package.keys import PrivateKey
from expert.package.limits import BLOCK, LIMITS
from expert.package.manifest import File, Manifest
from expert.package.output import new_file, new_folder
from expert.package.rules import references
from expert.package.validate import Progress, validate

SOURCE_MANIFEST = "manifest.json"
LEVEL = 3
"""zstd's level; the highest costs a hundred times as long for weights and saves nothing more."""
WORTH = 0.9
"""A file is stored compressed only if that leaves less than this part of it: quantised weights
are not, and are checked six times as fast."""


def read_source(folder: Path) -> Manifest:
    """Return the manifest of a source folder.

    Raises:
        NotFoundError: there is none.
        VerificationError: it is not valid.
    """
    path = folder / SOURCE_MANIFEST
    with open_source(path) as stream, naming(path):
        return decode_draft(stream.read(LIMITS.manifest + 1))


def pack(
    folder: Path, target: Path, key: PrivateKey | None = None, progress: Progress | None = None
) -> Preview:
    """Write the package of a source folder, signed if there is a *key*.

    Raises:
        NotFoundError: the folder, its manifest or a file of it is missing.
        VerificationError: the manifest is not valid, or a file changed meanwhile.
        ResourceError: the package cannot be written.
    """
    draft = read_source(folder)
    with new_file(target) as out, ExitStack() as stack:
        members = []
        for path in references(draft):
            source = stack.enter_context(open_source(folder / path))
            members.append(_store(path, source, stack, target.parent))
        files = tuple(member.file for member in members)
        manifest = encode_manifest(msgspec.structs.replace(draft, files=files))
        decode_manifest(manifest)
        _write_head(out, manifest, _signature(manifest, key))
        total = sum(file.packed_size for file in files)
        for member in members:
            _write_member(out, member)
            if progress is not None:
                progress(out.tell(), total)
        out.write(tar.END)
    return inspect(target)


def sign(package: Path, key: PrivateKey, target: Path | None = None) -> Preview:
    """Sign *package* in place or as *target*; all but the signature stays as it is.

    Raises:
        NotFoundError: there is no such package.
        VerificationError: it is not sound.
        ResourceError: the result cannot be written.
    """
    return attach(package, _signature(inspect(package).manifest_bytes, key), target)


def attach(package: Path, signature: bytes | None, target: Path | None = None) -> Preview:
    """Replace the signature of *package* by one made elsewhere, or take it off.

    Raises:
        NotFoundError: there is no such package.
        VerificationError: it is not sound, or the signature is not one of its manifest.
        ResourceError: the result cannot be written.
    """
    old = validate(package)
    if signature is not None:
        from expert.package.sshsig import MANIFEST as PURPOSE
        from expert.package.sshsig import verify

        verify(old.manifest_bytes, signature, PURPOSE)
    target = target or package
    with open_package(package) as stream, new_file(target) as out:
        stream.seek(old.payload_offset)
        _write_head(out, old.manifest_bytes, signature)
        while block := stream.read(BLOCK):
            out.write(block)
    return inspect(target)


def assemble(
    manifest: bytes, signature: bytes | None, contents: Callable[[str], Path], target: Path
) -> Preview:
    """Write a package again from its manifest, its signature and its unpacked files.

    Raises:
        VerificationError: a file is not what the manifest says, or was compressed by another zstd
            than this one.
        ResourceError: the package cannot be written.
    """
    files = decode_manifest(manifest).files
    with new_file(target) as out, ExitStack() as stack:
        _write_head(out, manifest, signature)
        for file in files:
            source = stack.enter_context(open_package(contents(file.path)))
            member = _store(file.path, source, stack, target.parent)
            if member.file != file:
                raise VerificationError(
                    f"{file.path} cannot be packed as it was.",
                    "It is damaged, or another version of zstd packed it.",
                    "Use the package file itself.",
                )
            _write_member(out, member)
        out.write(tar.END)
    return inspect(target)


def extract(package: Path, target: Path, progress: Progress | None = None) -> Preview:
    """Unpack *package* into the new folder *target*, from which it can be packed again.

    Raises:
        NotFoundError: there is no such package.
        UsageError: the folder exists.
        VerificationError: the package is not sound.
        ResourceError: the folder cannot be written.
    """
    with new_folder(target) as draft:

        def create(file: File) -> BinaryIO:
            path = draft / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb")

        found = validate(package, create, progress)
        write_source_manifest(found.manifest, draft)
    return found


def write_source_manifest(manifest: Manifest, folder: Path) -> None:
    """Write *manifest* the way authors keep it: indented, without the list of files."""
    source = msgspec.structs.replace(manifest, files=())
    text = msgspec.json.format(msgspec.json.encode(source), indent=2)
    (folder / SOURCE_MANIFEST).write_bytes(text + b"\n")


@dataclass(frozen=True, slots=True)
class _Member:
    """A file as it will be stored, and where its bytes are."""

    file: File
    stored: BinaryIO


def open_source(path: Path) -> BinaryIO:
    """Open a file of a source folder.

    Raises:
        NotFoundError: it is missing.
        UsageError: it is a symbolic link, which could lead anywhere.
    """
    if path.is_symlink():
        raise UsageError(
            f"{path} is a symbolic link.", "Packages hold plain files.", "Put the file itself here."
        )
    if not path.parent.is_dir():
        raise NotFoundError(f"There is no folder {path.parent}.", "", "Check the path.")
    return open_package(path)


def _store(path: str, source: BinaryIO, stack: ExitStack, scratch: Path) -> _Member:
    """Compress a file if that pays, and describe it."""
    import zstandard

    size = os.fstat(source.fileno()).st_size
    scratch_file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115  closed by the stack
    packed = stack.enter_context(scratch_file)
    raw, stored = hashlib.sha256(), hashlib.sha256()
    # The default of no threads: their number changes the bytes.
    encoder = zstandard.ZstdCompressor(LEVEL, write_content_size=True).compressobj(size=size)
    for block in _blocks(source):
        raw.update(block)
        _both(packed, stored, encoder.compress(block))
    _both(packed, stored, encoder.flush())
    if packed.tell() >= WORTH * size or size > LIMITS.ratio * packed.tell():
        return _Member(File(path=path, size=size, sha256=raw.hexdigest()), source)
    file = File(
        path=path,
        size=size,
        sha256=raw.hexdigest(),
        encoding="zstd",
        stored_size=packed.tell(),
        stored_sha256=stored.hexdigest(),
    )
    return _Member(file, packed)


def _both(packed: BinaryIO, digest: "hashlib._Hash", data: bytes) -> None:
    packed.write(data)
    digest.update(data)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    stream.seek(0)
    while block := stream.read(BLOCK):
        yield block


def _signature(manifest: bytes, key: PrivateKey | None) -> bytes | None:
    if key is None:
        return None
    from expert.package import sshsig

    return sshsig.sign(manifest, key, sshsig.MANIFEST)


def _write_head(out: BinaryIO, manifest: bytes, signature: bytes | None) -> None:
    for name, data in ((MANIFEST, manifest), (SIGNATURE, signature)):
        if data is not None:
            out.write(tar.header(name, len(data)) + data + bytes(tar.padding(len(data))))


def _write_member(out: BinaryIO, member: _Member) -> None:
    file = member.file
    out.write(tar.header(member_name(file), file.packed_size))
    digest, size = hashlib.sha256(), 0
    for block in _blocks(member.stored):
        out.write(block)
        digest.update(block)
        size += len(block)
    if (size, digest.hexdigest()) != (file.packed_size, file.packed_sha256):
        raise VerificationError(
            f"{file.path} changed while it was packed.", "", "Pack again when it is at rest."
        )
    out.write(bytes(tar.padding(size)))
