"""Similarity without a model, by n-grams of words and of characters.

Two measures. The nearest example: vectors of words and pairs of words, weighted by TF-IDF (Salton
and Buckley 1988), compared by cosine. And all examples of an expert together: multinomial naive
Bayes (McCallum and Nigam 1998) over the same grams, and over groups of three and four characters,
which forgive typing errors and word endings. Everything lives in postings lists (gram to
documents or owners), so a request costs only its own grams.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

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


class Postings(Struct):
    """For each gram, which documents have it and how strongly; documents have length 1."""

    idf: dict[str, float]
    unknown: float
    """The weight of a gram that no document has."""
    lists: dict[str, list[tuple[int, float]]]

    def similarities(self, grams: Sequence[str]) -> dict[int, float]:
        """Return the cosine between *grams* and every document that shares one of them."""
        counts = Counter(grams)
        scores: dict[int, float] = defaultdict(float)
        total = 0.0
        for gram, count in counts.items():
            weight = (1 + math.log(count)) * self.idf.get(gram, self.unknown)
            total += weight * weight
            for document, share in self.lists.get(gram, ()):
                scores[document] += weight * share
        norm = math.sqrt(total) or 1.0
        return {document: score / norm for document, score in scores.items()}


class Bayes(Struct):
    """For each gram, how much it speaks for each owner of the documents it occurs in."""

    totals: list[float]
    """What each owner loses for every gram, because it has so many."""
    lists: dict[str, list[tuple[int, float]]]

    def evidence(self, grams: Iterable[str]) -> list[float]:
        """Return the log likelihood of *grams* under each owner, divided by their root number.

        Grams of one text depend on each other; the root keeps long texts from being too sure.
        """
        known = [found for gram in set(grams) if (found := self.lists.get(gram))]
        scores = [-total * len(known) for total in self.totals]
        for found in known:
            for owner, weight in found:
                scores[owner] += weight
        root = math.sqrt(len(known)) or 1.0
        return [score / root for score in scores]


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
    return _postings(weighting, [weighting.vector(grams) for grams in documents])


def bayes(documents: Sequence[Sequence[str]], owners: Sequence[int], size: int) -> Bayes:
    """Learn which grams speak for which of *size* owners; a gram counts once a document."""
    counts: list[Counter[str]] = [Counter() for _ in range(size)]
    for grams, owner in zip(documents, owners, strict=True):
        counts[owner].update(set(grams))
    lists: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for owner, counter in enumerate(counts):
        for gram, count in counter.items():
            lists[gram].append((owner, round(math.log(1 + count / ADDED), 4)))
    room = ADDED * max(len(lists), 1)
    totals = [math.log(sum(counter.values()) + room) for counter in counts]
    return Bayes(totals, dict(lists))


def _postings(weighting: Weighting, vectors: Sequence[dict[str, float]]) -> Postings:
    lists: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for document, vector in enumerate(vectors):
        for gram, weight in vector.items():
            if gram not in weighting.common:
                lists[gram].append((document, round(weight, 5)))
    idf = {gram: round(value, 5) for gram, value in weighting.idf.items()}
    return Postings(idf, weighting.unknown, dict(lists))
