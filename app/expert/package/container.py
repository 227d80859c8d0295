"""The `.expert` file: its layout, and what its first bytes say.

A package is a canonical ustar archive: `expert.json`, `expert.json.sig` if it is signed, then
`files/PATH` or `files/PATH.zst` in the manifest's order, then 1,024 zero bytes. Everything after
the manifest follows from it, so a reader compares instead of interpreting.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from expert.errors import NotFoundError, VerificationError
from expert.package import tar
from expert.package.codec import decode_manifest, package_id
from expert.package.keys import PublicKey
from expert.package.limits import LIMITS, Limits
from expert.package.manifest import File, Manifest

MANIFEST, SIGNATURE = "expert.json", "expert.json.sig"


@dataclass(frozen=True)
class Preview:
    """What the first bytes of a package say; its signature is already known to be right."""

    manifest: Manifest
    manifest_bytes: bytes
    signature: bytes | None
    signer: PublicKey | None
    """None: nobody signed it."""
    limits: Limits = LIMITS

    @cached_property
    def id(self) -> str:
        """The SHA-256 of the manifest, which names the package's content."""
        return package_id(self.manifest_bytes)

    @property
    def payload_offset(self) -> int:
        """Where the first file's header stands."""
        signature = 0 if self.signature is None else tar.member_size(len(self.signature))
        return tar.member_size(len(self.manifest_bytes)) + signature

    @property
    def total_size(self) -> int:
        """Bytes of the whole package."""
        files = sum(tar.member_size(file.packed_size) for file in self.manifest.files)
        return self.payload_offset + files + len(tar.END)


def member_name(file: File) -> str:
    """Return the name a file has in the archive."""
    return f"files/{file.path}" + (".zst" if file.encoding == "zstd" else "")


def preview(start: bytes, limits: Limits = LIMITS) -> Preview:
    """Return what a package's first `limits.preview` bytes say, after checking its signature.

    Raises:
        VerificationError: the bytes are not the start of a package, or the signature is wrong.
    """
    manifest_bytes, offset = _member(start, 0, MANIFEST, limits.manifest)
    signature, signer = None, None
    following = tar.parse_header(start[offset : offset + tar.BLOCK])
    if following is not None and following[0] == SIGNATURE:
        from expert.package.sshsig import MANIFEST as PURPOSE
        from expert.package.sshsig import verify

        signature, offset = _member(start, offset, SIGNATURE, limits.signature)
        signer = verify(manifest_bytes, signature, PURPOSE)
    manifest = decode_manifest(manifest_bytes, limits)
    return Preview(manifest, manifest_bytes, signature, signer, limits)


def _member(start: bytes, offset: int, name: str, limit: int) -> tuple[bytes, int]:
    """Return the contents of the member at *offset* and where the next one begins."""
    found = tar.parse_header(start[offset : offset + tar.BLOCK])
    if found is None or found[0] != name:
        raise damaged(f"There is no canonical header of {name} at byte {offset}.")
    size = found[1]
    if size > limit:
        raise damaged(f"{name} is larger than {limit >> 10} KiB.")
    offset += tar.BLOCK
    data = start[offset : offset + size]
    pad = start[offset + size : offset + size + tar.padding(size)]
    if len(data) != size or pad != bytes(tar.padding(size)):
        raise damaged(f"{name} is cut off, or not padded with zeros.")
    return data, offset + size + tar.padding(size)


def inspect(path: Path, limits: Limits = LIMITS) -> Preview:
    """Return the preview of a package on disk, with one read of its first 64 KiB.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: it is not a package, its signature is wrong, or its size is not right.
    """
    with open_package(path) as stream:
        return inspect_stream(stream, path, limits)


def inspect_stream(stream: BinaryIO, path: Path, limits: Limits = LIMITS) -> Preview:
    """Do what `inspect` does with an open stream; *path* is what errors call it."""
    with naming(path):
        found = preview(stream.read(limits.preview), limits)
        size = stream.seek(0, os.SEEK_END)
        if size != found.total_size:
            raise damaged(f"It has {size} bytes, and its manifest calls for {found.total_size}.")
    return found


def open_package(path: Path) -> BinaryIO:
    """Open a regular file for reading, following no symbolic link at its end.

    Raises:
        NotFoundError: there is none, or it cannot be read.
    """
    try:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        stream = os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb")
        if path.is_file():
            return stream
        stream.close()
        why = "it is not a regular file"
    except OSError as error:
        why = error.strerror or str(error)
    raise NotFoundError(f"Cannot open the package {path}.", f"{why}.", "Check the path.")


def damaged(why: str) -> VerificationError:
    """Return the refusal of a package whose bytes are not what they must be."""
    return VerificationError("The package is damaged.", why, "Get it again from its publisher.")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say which file a refusal is about."""
    try:
        yield
    except VerificationError as error:
        raise VerificationError(f"{path}: {error.what}", error.why, error.fix) from error
