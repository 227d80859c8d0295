"""What is measured of each pair of a request and an expert.

No feature names an expert: one that is installed tomorrow is measured like those of today.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from expert.router.formats import DECISIVE
from expert.router.index import Index
from expert.router.ngrams import Vector, char_grams, word_grams
from expert.router.profiles import Profiles
from expert.router.reading import TALK, TECHNOLOGIES, Reading
from expert.router.types import Candidate

HEURISTIC = (
    "asked", "asked_twice", "topic", "excluded", "format", "decisive", "no_format",
    "other_format", "task", "technology", "chat", "talk", "talk_asked", "talk_format", "language",
    "rival_asked", "rival_format", "joined", "previous", "short", "bare",
)  # fmt: skip
"""What reading a request and a manifest tells."""
NGRAM = (
    "words", "words_mean", "base_words", "words_lead",
    "word_bayes", "word_bayes_lead", "char_bayes", "char_bayes_lead",
)  # fmt: skip
"""How alike their words are."""
DENSE = ("dense", "dense_mean", "base_dense", "dense_lead")
"""How alike their embeddings are."""
FEATURES = HEURISTIC + NGRAM + DENSE
_JOINING = (" and ", " then ", " also ", " both ", " as well ", " once ", " plus ")
_SHORT = 3
_USUAL = 20  # a task in a twentieth of the examples is what an expert is for
_BESIDE = 0.3
_EVIDENCE = 6.0
_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
_PARTNER = 0.2  # asked for so clearly that an "and" may join two experts


@dataclass(frozen=True, slots=True)
class Likenesses:
    """How alike a request is to the examples of each candidate and at last the base, as cosines."""

    best: Vector
    mean: Vector
    """Of the three most alike."""
    documents: NDArray[np.int64]
    """The most alike example's number in the index; any number where none is alike."""


class Owners:
    """Which owner each document is of; the numbers ascend and none is left out."""

    def __init__(self, owners: Sequence[int]) -> None:
        self._owner = np.array(owners)
        self._all = np.arange(owners[-1] + 1)

    def likenesses(self, scores: Vector) -> Likenesses:
        """Gather the cosines of single documents for each owner; of equal ones the first counts."""
        alike = np.flatnonzero(scores)
        # Cosines differ by two at most, so a distance of four keeps the owners apart.
        order = alike[np.argsort(4.0 * self._owner[alike] - scores[alike], kind="stable")]
        first, last = (np.searchsorted(self._owner[order], self._all, s) for s in _SIDES)
        ranked = np.append(scores[order], 0.0)
        best, second, third = (
            ranked[np.where(first + rank < last, first + rank, -1)] for rank in range(3)
        )
        documents = np.append(order, -1)[first]
        return Likenesses(best, (best + second + third) / 3, documents)


@dataclass(frozen=True, slots=True)
class Measured:
    """The features of a request with every candidate, and what they come from."""

    values: Vector
    """Of shape (candidates, features), in the order of `FEATURES`."""
    hits: tuple[tuple[str, ...], ...]
    """Keywords found, of each candidate."""
    words: Likenesses
    formats: tuple[tuple[str, ...], ...]
    """Formats in the request that each candidate reads."""

    def column(self, name: str) -> Vector:
        """Return one feature of all candidates."""
        found: Vector = self.values[:, FEATURES.index(name)]
        return found


@dataclass(frozen=True, slots=True)
class Own:
    """What each candidate shows by itself, before it is compared with the others."""

    asked: Vector
    topic: Vector
    hits: tuple[tuple[str, ...], ...]
    format: Vector
    formats: tuple[tuple[str, ...], ...]


class Measuring:
    """Measures requests with *candidates*, whose texts *index* holds."""

    def __init__(self, index: Index, candidates: Sequence[Candidate]) -> None:
        self._index = index
        self._candidates = candidates
        self._profiles = Profiles(index.profiles)
        self._owners = Owners(index.owners)

    def measure(
        self, reading: Reading, previous: str | None = None, dense: Likenesses | None = None
    ) -> Measured:
        """Return the features of a request with each candidate.

        *dense* holds the likeness of embeddings; without it those features are 0.
        """
        reading = self._index.corrected(reading)
        own = self._own(reading)
        similarities = self._index.words.similarities(word_grams(reading.words))
        words = self._owners.likenesses(similarities)
        columns = {
            **self._read(reading, own),
            **_rivals(own, reading),
            **self._alike(reading, own, words),
            **(_likeness_columns("dense", dense) if dense else {}),
            "previous": self._previous(previous),
        }
        return Measured(_matrix(columns, len(self._candidates)), own.hits, words, own.formats)

    def _own(self, reading: Reading) -> Own:
        count = len(self._candidates)
        asked_miss, topic_miss = np.ones(count), np.ones(count)
        hits: list[list[str]] = [[] for _ in range(count)]
        asked = self._index.keywords.within(reading.asked)
        for found in asked:
            asked_miss[found.owner] *= 1 - found.weight
            hits[found.owner].append(found.phrase.strip())
        for found in set(self._index.keywords.within(reading.topic)).difference(asked):
            topic_miss[found.owner] *= 1 - found.weight
        names = sorted(reading.formats)
        shares = [self._profiles.reads(name) for name in names]
        return Own(
            asked=1 - asked_miss,
            topic=1 - topic_miss,
            hits=tuple(map(tuple, hits)),
            format=np.max(shares, axis=0) if shares else np.zeros(count),
            formats=_known_formats(names, shares, count),
        )

    def _read(self, reading: Reading, own: Own) -> dict[str, Vector]:
        """Return what the reading tells about each expert."""
        profiles, count = self._profiles, len(self._candidates)
        unusual = 1 - np.minimum(1.0, _USUAL * profiles.part(reading.task))
        talk = unusual * (reading.task in TALK)
        talk_about = unusual * (reading.task in TALK or reading.task == "yesno")
        decisive = _flags(bool(DECISIVE.intersection(each)) for each in own.formats)
        return {
            "asked": own.asked,
            "asked_twice": _flags(len(each) >= 2 for each in own.hits),
            "topic": own.topic,
            "excluded": self._excluded(reading),
            "format": own.format,
            "decisive": own.format * (1 - talk_about) * decisive,
            "no_format": np.zeros(count) if reading.formats else profiles.habit(),
            "other_format": (own.format < 0.1) * float(bool(reading.formats)),
            "task": profiles.task_ratio(reading.task),
            "technology": self._foreign(reading),
            "chat": np.full(count, float(reading.task == "chat")),
            "talk": talk,
            "talk_asked": own.asked * talk,
            "talk_format": own.format * talk_about,
            "language": profiles.language_ratio(reading.language),
            "short": np.full(count, float(len(reading.words) <= _SHORT)),
            "bare": _flags(_is_bare(hits, reading) for hits in own.hits),
        }

    def _alike(self, reading: Reading, own: Own, words: Likenesses) -> dict[str, Vector]:
        """Return how alike the words are to each candidate's examples, and the base's."""
        # Where a diff or a schema speaks for an expert, the words around it say little.
        trust = _BESIDE if any(DECISIVE.intersection(each) for each in own.formats) else 1.0
        by_words = self._index.word_bayes.evidence(word_grams(reading.words))
        by_chars = self._index.char_bayes.evidence(char_grams(reading.words))
        return {
            **_likeness_columns("words", words),
            **_evidence_columns("word_bayes", trust * by_words),
            **_evidence_columns("char_bayes", trust * by_chars),
        }

    def _excluded(self, reading: Reading) -> Vector:
        """Tell which experts the request rules out, or rule out themselves."""
        whole = f" {' '.join(reading.words)} "
        found = self._index.excludes.within(whole) + self._index.keywords.within(reading.refused)
        out = {each.owner for each in found}
        return _flags(number in out for number in range(len(self._candidates)))

    def _foreign(self, reading: Reading) -> Vector:
        """Tell which experts have nothing to do with the technologies that are named."""
        named = TECHNOLOGIES.intersection(reading.words)
        return _flags(bool(named) and not named & own for own in self._index.technologies)

    def _previous(self, name: str | None) -> Vector:
        if name is None:
            return np.zeros(len(self._candidates))
        return _flags(name in (each.name, each.short_name) for each in self._candidates)


def _matrix(columns: Mapping[str, Vector], count: int) -> Vector:
    """Return the features side by side; what was not measured is 0."""
    values = np.zeros((count, len(FEATURES)))
    for place, name in enumerate(FEATURES):
        if name in columns:
            values[:, place] = columns[name]
    return values


def _rivals(own: Own, reading: Reading) -> dict[str, Vector]:
    """Return what the best other expert shows; one that an "and" joins is no rival."""
    joined = any(word in reading.asked for word in _JOINING)
    partners = own.asked > _PARTNER if joined else np.zeros(len(own.asked), bool)
    if partners.sum() < 2:
        partners[:] = False
    found = {"joined": partners.astype(np.float64)}
    for name, values in (("rival_asked", own.asked), ("rival_format", own.format)):
        others = np.maximum(0.0, _best_others(values))
        found[name] = np.where(partners, values[~partners].max(initial=0.0), others)
    return found


def _best_others(values: Vector) -> Vector:
    """Return for each value the greatest of the others; minus infinity if there are none."""
    if len(values) < 2:
        return np.full(len(values), -np.inf)
    second, first = np.partition(values, -2)[-2:]
    others: Vector = np.where(values == first, second, first)
    return others


def _likeness_columns(name: str, found: Likenesses) -> dict[str, Vector]:
    count = len(found.best) - 1
    return {
        name: found.best[:-1],
        f"{name}_mean": found.mean[:-1],
        f"base_{name}": np.full(count, found.best[-1]),
        f"{name}_lead": (found.best - _best_others(found.best))[:-1],
    }


def _evidence_columns(name: str, evidence: Vector) -> dict[str, Vector]:
    """Return how far each evidence is above the base's, and above the best other's."""
    return {
        name: _bounded(evidence - evidence[-1])[:-1],
        f"{name}_lead": _bounded(evidence - _best_others(evidence))[:-1],
    }


def _bounded(values: Vector) -> Vector:
    return np.clip(values, -_EVIDENCE, _EVIDENCE)


def _known_formats(
    names: Sequence[str], shares: Sequence[Vector], count: int
) -> tuple[tuple[str, ...], ...]:
    """Return, for each candidate, the formats that it reads at all."""
    return tuple(
        tuple(name for name, share in zip(names, shares, strict=True) if share[number] > 0)
        for number in range(count)
    )


def _is_bare(hits: Sequence[str], reading: Reading) -> bool:
    """Tell whether a request is nothing but keywords."""
    named = {word for hit in hits for word in hit.split()}
    return not reading.formats and named.issuperset(reading.words)


def _flags(values: Iterable[bool]) -> Vector:
    return np.array([float(value) for value in values])
