"""How varied a data set is: by embeddings where there is a model for them, else by n-grams.

Measured on a sample that is drawn in one reading (reservoir sampling: Vitter 1985), so that memory
does not grow with the data.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from expert.dataset.dedupe import Sameness
from expert.dataset.reading import Skipped, Source, read_rows
from expert.dataset.rows import Row
from expert.dataset.writing import row_file

Progress = Callable[[int, int], None]
Vectors = NDArray[np.float32]
SAMPLE = 5000
BATCH = 256
_WORD = re.compile(r"\w+|[^\w\s]")


class Embedder(Protocol):
    """Turns texts into vectors of length 1."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text."""


class Grams:
    """Vectors of hashed words and pairs of words (Weinberger et al. 2009, the hashing trick)."""

    size = 1024

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text: float32, shape (texts, size), each of length 1."""
        rows = np.zeros((len(texts), self.size), np.float32)
        for row, text in zip(rows, texts, strict=True):
            words = _words(text)
            for gram in (*words, *_pairs(words, 2)):
                code = crc32(gram.encode("utf-8", "replace"))
                row[code % self.size] += 1 if code & 0x80000000 else -1
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        norms[norms == 0] = 1
        unit: Vectors = rows / norms
        return unit


@dataclass(frozen=True)
class Diversity:
    """How varied a sample is."""

    rows: int
    sampled: int
    measured_by: str
    distinct: dict[str, float] = field(default_factory=dict)
    """Different n-grams of all n-grams, for n of 1, 2 and 3 (Li et al. 2016)."""
    similarity: float = 0.0
    """Mean cosine of two different rows; lower is more varied."""
    nearest: float = 0.0
    """Mean cosine of a row and the one most like it."""
    alike: float = 0.0
    """Share of the rows with another at least as like as the threshold."""
    vendi: float = 0.0
    """How many entirely different rows would be as varied (Friedman and Dieng 2022)."""
    skipped: int = 0


@dataclass(frozen=True)
class Measure:
    """What is embedded, and by what."""

    embedder: Embedder
    name: str
    same: Sameness = Sameness()
    """Which text of a row; its threshold has no meaning here."""
    threshold: float = 0.85
    """Cosine from which two rows count as alike."""
    sample: int = SAMPLE
    seed: int = 1


def diversity(
    source: Source,
    measure: Measure,
    skipped: Skipped | None = None,
    progress: Progress = lambda done, total: None,
) -> Diversity:
    """Measure a sample of the rows.

    Raises:
        ExpertError: as `read_rows` does, or the embedding fails.
    """
    texts = (measure.same.text(row) for row in read_rows(source, skipped))
    rows, sample = drawn(texts, measure.sample, measure.seed)
    parts = []
    for start in range(0, len(sample), BATCH):
        parts.append(measure.embedder.embed(sample[start : start + BATCH]))
        progress(min(start + BATCH, len(sample)), len(sample))
    vectors = np.concatenate(parts)
    nearest = _nearest(vectors)
    return Diversity(
        rows=rows,
        sampled=len(sample),
        measured_by=measure.name,
        distinct={str(n): distinct(sample, n) for n in (1, 2, 3)},
        similarity=_mean_similarity(vectors),
        nearest=float(nearest.mean()),
        alike=float((nearest >= measure.threshold).mean()),
        vendi=vendi(vectors),
        skipped=skipped.count if skipped else 0,
    )


def drawn(texts: Iterable[str], size: int, seed: int) -> tuple[int, list[str]]:
    """Return how many texts there are, and *size* of them drawn evenly."""
    rng, count = random.Random(seed), 0
    sample: list[str] = []
    for text in texts:
        count += 1
        if len(sample) < size:
            sample.append(text)
        elif (place := rng.randrange(count)) < size:
            sample[place] = text
    return count, sample


def distinct(texts: Iterable[str], size: int) -> float:
    """Return the share of different n-grams of words among all of them."""
    seen: set[str] = set()
    total = 0
    for text in texts:
        grams = _pairs(_words(text), size)
        total += len(grams)
        seen.update(grams)
    return len(seen) / total if total else 0.0


def vendi(vectors: Vectors) -> float:
    """Return e to the entropy of the eigenvalues of the cosines, divided by their number.

    The eigenvalues come from the smaller of the two products, which share those above zero.
    """
    count, size = vectors.shape
    product = vectors @ vectors.T if count <= size else vectors.T @ vectors
    values = np.linalg.eigvalsh(product.astype(np.float64) / count)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def thin(
    source: Source,
    target: Path,
    measure: Measure,
    skipped: Skipped | None = None,
    progress: Progress = lambda done, total: None,
) -> tuple[int, int]:
    """Write the rows that no earlier kept one is as like as the threshold; return rows and kept.

    The vectors of kept rows stay in memory: four bytes a number.

    Raises:
        ResourceError: the target cannot be written.
        ExpertError: as `read_rows` does.
    """
    kept, rows = np.zeros((BATCH, 0), np.float32), 0
    count = 0
    with row_file(target) as write:
        for batch in _batches(read_rows(source, skipped)):
            vectors = measure.embedder.embed([measure.same.text(row) for row in batch])
            for row, vector in zip(batch, vectors, strict=True):
                if kept.shape[1] == 0:
                    kept = np.zeros((BATCH, len(vector)), np.float32)
                if not count or float((kept[:count] @ vector).max()) < measure.threshold:
                    if count == len(kept):
                        kept = np.concatenate([kept, np.zeros_like(kept)])
                    kept[count] = vector
                    count += 1
                    write(row)
            rows += len(batch)
            progress(rows, 0)
    return rows, count


def _batches(items: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _pairs(words: Sequence[str], size: int) -> list[str]:
    return [" ".join(words[i : i + size]) for i in range(len(words) - size + 1)]


def _mean_similarity(vectors: Vectors) -> float:
    count = len(vectors)
    if count < 2:
        return 0.0
    total = vectors.sum(axis=0, dtype=np.float64)
    own = float((vectors.astype(np.float64) ** 2).sum())
    return (float(total @ total) - own) / (count * (count - 1))


def _nearest(vectors: Vectors) -> NDArray[np.float32]:
    """Return for each row the cosine to the other row most like it."""
    found = np.zeros(len(vectors), np.float32)
    if len(vectors) < 2:
        return found
    for start in range(0, len(vectors), BATCH):
        block = vectors[start : start + BATCH] @ vectors.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -1
        found[start : start + BATCH] = block.max(axis=1)
    return found
