"""Rows that say the same: exact ones by hash, near ones by MinHash, the first of each kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from expert.dataset.minhash import MinHash, NearIndex
from expert.dataset.reading import Skipped, Source, read_rows
from expert.dataset.rows import Row, normal
from expert.dataset.writing import row_file
from expert.errors import ResourceError

By = Literal["all", "prompt", "answer"]
Progress = Callable[[int, int], None]
SHOWN = 5


@dataclass
class Deduplicated:
    """What was kept and what was not."""

    rows: int = 0
    kept: int = 0
    exact: int = 0
    near: int = 0
    skipped: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)
    """A few near duplicates, each after the row that it nearly is."""


@dataclass(frozen=True)
class Sameness:
    """When two rows are the same."""

    by: By = "all"
    """What is compared."""
    threshold: float | None = 0.8
    """Share of character groups that near ones have in common; None: only exact ones."""
    seed: int = 1

    def text(self, row: Row) -> str:
        """Return what is compared of a row."""
        if self.by == "all" or row.text is not None:
            return row.content
        return row.answer if self.by == "answer" else row.asked


def fingerprint(text: str) -> bytes:
    """Return eight bytes for a text, whatever its case and spacing."""
    return blake2b(normal(text).encode("utf-8", "replace"), digest_size=8).digest()


def dedupe(
    source: Source,
    target: Path,
    same: Sameness,
    skipped: Skipped | None = None,
    progress: Progress = lambda done, total: None,
) -> Deduplicated:
    """Write the rows of *source* that are not the same as an earlier one.

    Two readings: the first finds which rows share a band with any other, and only those are kept in
    memory and compared in the second.

    Raises:
        ResourceError: the target, or a temporary file, cannot be written.
        ExpertError: as `read_rows` does.
    """
    done = Deduplicated()
    strict = skipped is None
    suspects = None if same.threshold is None else _suspects(source, same, strict, progress)
    index = NearIndex(same.threshold or 1.0, same.seed)
    seen: set[bytes] = set()
    shown: list[str] = []
    with row_file(target) as write:
        for number, row in enumerate(read_rows(source, skipped)):
            done.rows += 1
            progress(done.rows, 0 if suspects is None else len(suspects))
            text = same.text(row)
            mark = fingerprint(text)
            if mark in seen:
                done.exact += 1
                continue
            seen.add(mark)
            if suspects is not None and suspects[number]:
                like = index.add(text)
                if like is not None:
                    done.near += 1
                    if len(done.examples) < SHOWN:
                        done.examples.append((shown[like], text))
                    continue
                shown.append(text[:200])
            done.kept += 1
            write(row)
    done.skipped = skipped.count if skipped else 0
    return done


def _suspects(
    source: Source, same: Sameness, strict: bool, progress: Progress
) -> NDArray[np.bool_]:
    """Return for each row whether any band of it is also another row's, exact copies aside."""
    hashing = MinHash(same.threshold or 1.0, same.seed)
    bands = hashing.bands.count
    rows = read_rows(source, None if strict else Skipped())
    try:
        with tempfile.TemporaryFile() as file:
            new = _write_keys(file, rows, same, hashing, progress)
            file.flush()
            found = np.zeros(len(new), bool)
            if not new:
                return found
            keys = np.memmap(file, np.uint64, "r", shape=(len(new), bands))
            fresh = np.flatnonzero(np.frombuffer(bytes(new), bool))
            for band in range(bands):
                column = keys[fresh, band]
                order = np.argsort(column, kind="stable")
                equal = column[order[1:]] == column[order[:-1]]
                found[fresh[order[1:][equal]]] = True
                found[fresh[order[:-1][equal]]] = True
            return found
    except OSError as error:
        raise ResourceError(
            "The signatures of the rows cannot be kept.",
            f"{error.strerror or error}.",
            f"Free space in {tempfile.gettempdir()}, or find exact duplicates only (--exact).",
        ) from error


def _write_keys(
    file: BinaryIO, rows: Iterable[Row], same: Sameness, hashing: MinHash, progress: Progress
) -> bytearray:
    """Write the bands of every row, and return which rows are no exact copies."""
    seen: set[bytes] = set()
    new = bytearray()
    nothing = bytes(8 * hashing.bands.count)
    for number, row in enumerate(rows):
        progress(number + 1, 0)
        text = same.text(row)
        mark = fingerprint(text)
        new.append(mark not in seen)
        seen.add(mark)
        file.write(hashing.keys(hashing.groups(text)).tobytes() if new[-1] else nothing)
    return new
