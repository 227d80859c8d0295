"""Similarity without a model, by n-grams of words and of characters.

Two measures. The nearest example: vectors of words and pairs of words, weighted by TF-IDF (Salton
and Buckley 1988), compared by cosine. And all examples of an expert together: multinomial naive
Bayes (McCallum and Nigam 1998) over the same grams, and over groups of three and four characters,
which forgive typing errors and word endings. Everything lives in sparse tables (gram to documents
or owners), so a request costs only its own grams.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Vector = NDArray[np.float64]
MAX_SHARE = 0.12
"""A gram in a larger share of all documents tells nothing and is not looked up."""
ADDED = 0.5
"""Lidstone smoothing of the counts of grams."""


def word_grams(words: Sequence[str]) -> list[str]:
    """Return the words and the pairs of neighbours."""
    pairs = [f"{first} {second}" for first, second in zip(words, words[1:], strict=False)]
    return [*words, *pairs]


def char_grams(words: Iterable[str]) -> list[str]:
    """Return the groups of three and four characters inside each word and at its ends."""
    grams = []
    for word in words:
        padded = f"^{word[:24]}$"
        for size in (3, 4):
            grams += [padded[i : i + size] for i in range(len(padded) - size + 1)]
    return grams


class Table(Struct):
    """A sparse matrix with a row for each gram, as compressed rows; bytes, so that it is cached."""

    rows: dict[str, int]
    starts: bytes
    """Where each row begins, and at last the end: int32."""
    columns: bytes
    """The column of each entry: int32."""
    weights: bytes
    """The value of each entry: float32."""
    size: int
    """How many columns there are."""

    def sums(self, rows: Sequence[int], factors: Sequence[float] | None = None) -> Vector:
        """Return the sum of some rows, each times its factor."""
        number = np.array(rows, np.int64)
        starts = np.frombuffer(self.starts, np.int32)
        first = starts[number]
        lengths = starts[number + 1] - first
        ends = lengths.cumsum()
        # The places of all entries of all rows, without a loop over the rows.
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(
            first - ends + lengths, lengths
        )
        weights = np.frombuffer(self.weights, np.float32)[places]
        if factors is not None:
            weights = weights * np.repeat(np.array(factors), lengths)
        columns = np.frombuffer(self.columns, np.int32)[places]
        return np.bincount(columns, weights, self.size).astype(np.float64, copy=False)


def table(entries: Mapping[str, Sequence[tuple[int, float]]], size: int) -> Table:
    """Return the table with these (column, value) pairs for each gram."""
    pairs = [pair for row in entries.values() for pair in row]
    lengths = [len(row) for row in entries.values()]
    return Table(
        rows={gram: number for number, gram in enumerate(entries)},
        starts=np.cumsum([0, *lengths], dtype=np.int32).tobytes(),
        columns=np.array([column for column, _ in pairs], np.int32).tobytes(),
        weights=np.array([value for _, value in pairs], np.float32).tobytes(),
        size=size,
    )


class Postings(Struct):
    """For each gram, which documents have it and how strongly; documents have length 1."""

    idf: dict[str, float]
    unknown: float
    """The weight of a gram that no document has."""
    table: Table
    """Of the grams that are not too common."""

    def similarities(self, grams: Sequence[str]) -> Vector:
        """Return the cosine between *grams* and every document."""
        counts = Counter(grams)
        weights = {
            gram: (1 + math.log(count)) * self.idf.get(gram, self.unknown)
            for gram, count in counts.items()
        }
        known = [gram for gram in weights if gram in self.table.rows]
        rows = [self.table.rows[gram] for gram in known]
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return self.table.sums(rows, [weights[gram] for gram in known]) / norm


class Bayes(Struct):
    """For each gram, how much it speaks for each owner of the documents it occurs in."""

    totals: list[float]
    """What each owner loses for every gram, because it has so many."""
    table: Table

    def evidence(self, grams: Iterable[str]) -> Vector:
        """Return the log likelihood of *grams* under each owner, divided by their root number.

        Grams of one text depend on each other; the root keeps long texts from being too sure.
        """
        rows = self.table.rows
        known = sorted(rows[gram] for gram in set(grams) if gram in rows)
        scores: Vector = self.table.sums(known) - np.array(self.totals) * len(known)
        scores /= math.sqrt(len(known)) or 1.0
        return scores


@dataclass
class Weighting:
    """The inverse document frequencies of a collection."""

    documents: Sequence[Sequence[str]]
    idf: dict[str, float] = field(init=False)
    unknown: float = field(init=False)
    common: set[str] = field(init=False)

    def __post_init__(self) -> None:
        frequency = Counter(gram for grams in self.documents for gram in set(grams))
        size = len(self.documents)
        self.idf = {gram: math.log(1 + size / count) for gram, count in frequency.items()}
        self.unknown = math.log(1 + size)
        limit = max(3, MAX_SHARE * size)
        self.common = {gram for gram, count in frequency.items() if count > limit}

    def vector(self, grams: Sequence[str]) -> dict[str, float]:
        """Return the weights of a document's grams, of length 1."""
        weights = {
            gram: (1 + math.log(count)) * self.idf[gram] for gram, count in Counter(grams).items()
        }
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {gram: weight / norm for gram, weight in weights.items()}


def by_document(documents: Sequence[Sequence[str]]) -> Postings:
    """Index each document of grams by itself."""
    weighting = Weighting(documents)
    lists: dict[str, list[tuple[int, float]]] = {
        gram: [] for gram in weighting.idf if gram not in weighting.common
    }
    for document, grams in enumerate(documents):
        for gram, weight in weighting.vector(grams).items():
            if gram in lists:
                lists[gram].append((document, weight))
    idf = {gram: round(value, 5) for gram, value in weighting.idf.items()}
    return Postings(idf, weighting.unknown, table(lists, len(documents)))


def bayes(documents: Sequence[Sequence[str]], owners: Sequence[int], size: int) -> Bayes:
    """Learn which grams speak for which of *size* owners; a gram counts once a document."""
    counts: list[Counter[str]] = [Counter() for _ in range(size)]
    for grams, owner in zip(documents, owners, strict=True):
        counts[owner].update(set(grams))
    lists: dict[str, list[tuple[int, float]]] = {}
    for owner, counter in enumerate(counts):
        for gram, count in counter.items():
            lists.setdefault(gram, []).append((owner, math.log(1 + count / ADDED)))
    room = ADDED * max(len(lists), 1)
    totals = [math.log(sum(counter.values()) + room) for counter in counts]
    return Bayes(totals, table(lists, size))
