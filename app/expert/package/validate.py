"""Checks every byte of a package, and hands the files on while it does.

The order is header, signature, manifest, stored hash, frame, raw hash: no byte reaches the
decompressor before the signed hash of the stored form has been found right.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from expert.errors import ResourceError
from expert.package import tar
from expert.package.container import (
    Preview,
    damaged,
    inspect_stream,
    member_name,
    naming,
    open_package,
)
from expert.package.limits import BLOCK
from expert.package.manifest import File

Progress = Callable[[int, int], None]
Sink = Callable[[File], BinaryIO | None]
"""Returns where a file's raw bytes go, or None if they are only to be checked."""


def validate(path: Path, sink: Sink | None = None, progress: Progress | None = None) -> Preview:
    """Check the package at *path*, and write each file's raw bytes to what *sink* returns for it.

    What was written counts only once this function has returned, because a file's hash is known at
    its end. The streams are closed here. *progress* is told bytes done and bytes in all.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: something is damaged, hostile, or not as signed.
        ResourceError: the bytes could not be written.
    """
    with open_package(path) as stream:
        return validate_stream(stream, path, sink, progress)


def validate_stream(
    stream: BinaryIO, path: Path, sink: Sink | None = None, progress: Progress | None = None
) -> Preview:
    """Do what `validate` does with an open stream; *path* is what errors call it."""
    found = inspect_stream(stream, path)
    with naming(path):
        _Check(stream, found, progress).run(sink)
    return found


@dataclass(slots=True)
class _Check:
    """One pass over the files of an open package."""

    stream: BinaryIO
    found: Preview
    progress: Progress | None

    def run(self, sink: Sink | None) -> None:
        self.stream.seek(self.found.payload_offset)
        for file in self.found.manifest.files:
            self._member(file, sink(file) if sink is not None else None)
        if self.stream.read(len(tar.END) + 1) != tar.END:
            raise damaged("It does not end with two blocks of zeros.")

    def _member(self, file: File, target: BinaryIO | None) -> None:
        try:
            if self.stream.read(tar.BLOCK) != tar.header(member_name(file), file.packed_size):
                raise damaged(f"There is no canonical header of {member_name(file)}.")
            start = self.stream.tell()
            if file.encoding == "raw":
                self._copy(file.path, file.size, file.sha256, target)
            else:
                self._unpack(file, start, target)
        finally:
            if target is not None:
                target.close()
        self.stream.seek(start + file.packed_size)
        pad = tar.padding(file.packed_size)
        if self.stream.read(pad) != bytes(pad):
            raise damaged(f"{member_name(file)} is not padded with zeros.")

    def _unpack(self, file: File, start: int, target: BinaryIO | None) -> None:
        from expert.package.zstd_frame import frame_problem

        self._copy(member_name(file), file.packed_size, file.packed_sha256, None)
        self.stream.seek(start)
        window = self.found.limits.window
        problem = frame_problem(self.stream, file.packed_size, file.size, window)
        if problem is not None:
            raise damaged(f"{member_name(file)}: {problem}.")
        self.stream.seek(start)
        self._decompress(file, window, target)

    def _copy(self, name: str, size: int, sha256: str, target: BinaryIO | None) -> None:
        digest = hashlib.sha256()
        left = size
        while left:
            block = self.stream.read(min(BLOCK, left))
            if not block:
                raise damaged(f"{name} is cut off.")
            digest.update(block)
            _write(target, block)
            left -= len(block)
            self._tell()
        if digest.hexdigest() != sha256:
            raise damaged(f"{name} has another content than its manifest says.")

    def _decompress(self, file: File, window: int, target: BinaryIO | None) -> None:
        import zstandard

        digest = hashlib.sha256()
        left = file.size
        decoder = zstandard.ZstdDecompressor(max_window_size=window)
        # Reading from the decoder bounds what it gives at once; feeding it does not.
        with decoder.stream_reader(self.stream, closefd=False) as reader:
            while left:
                try:
                    block = reader.read(min(BLOCK, left))
                except zstandard.ZstdError:
                    raise damaged(f"{file.path} cannot be decompressed.") from None
                if not block:
                    raise damaged(f"{file.path} is shorter than its manifest says.")
                digest.update(block)
                _write(target, block)
                left -= len(block)
        if digest.hexdigest() != file.sha256:
            raise damaged(f"{file.path} has another content than its manifest says.")

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.stream.tell(), self.found.total_size)


def _write(target: BinaryIO | None, block: bytes) -> None:
    if target is None:
        return
    try:
        target.write(block)
    except OSError as error:
        raise ResourceError(
            "The files of the package could not be written.",
            f"{error.strerror or error}.",
            "Free some disk space and try again; nothing was changed.",
        ) from error
