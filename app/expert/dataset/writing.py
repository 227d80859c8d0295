"""Rows into files, which appear complete or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from expert.dataset.rows import Row
from expert.errors import UsageError
from expert.package.output import new_file

SUFFIXES = (".jsonl", ".jsonl.zst")


def check_target(target: Path, *, force: bool) -> None:
    """Refuse a file that cannot become a data set, before any work.

    Raises:
        UsageError: its name is wrong, it exists, or its folder does not.
    """
    if not target.name.endswith(SUFFIXES):
        raise UsageError(
            f"{target} cannot hold rows.", "", f"Give a name that ends in {' or '.join(SUFFIXES)}."
        )
    if target.is_dir() or (target.exists() and not force):
        raise UsageError(
            f"{target} exists.", "Nothing is overwritten.", "Choose another name, or add --force."
        )
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is no folder.", "", "Make it, or choose another.")


@contextmanager
def row_file(target: Path) -> Iterator[Callable[[Row], None]]:
    """Yield what writes a row; the file is there when the block ends well.

    Raises:
        ResourceError: it cannot be written.
    """
    with new_file(target) as stream, packed(stream, target) as plain:
        yield lambda row: _write(plain, row)


def _write(stream: BinaryIO, row: Row) -> None:
    stream.write(row.line())


@contextmanager
def packed(stream: BinaryIO, target: Path) -> Iterator[BinaryIO]:
    """Yield a stream that packs for a name that ends in .zst."""
    if target.suffix != ".zst":
        yield stream
        return
    compressor = zstandard.ZstdCompressor(level=9).stream_writer(stream, closefd=False)
    with compressor, io.BufferedWriter(cast(io.RawIOBase, compressor), 1 << 16) as plain:
        yield cast(BinaryIO, plain)
