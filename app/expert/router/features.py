"""What is measured of each pair of a request and an expert.

No feature names an expert: one that is installed tomorrow is measured like those of today.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from expert.router.formats import DECISIVE
from expert.router.index import Index, log_ratio
from expert.router.ngrams import char_grams, word_grams
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
_JOINING = (" and ", " then ", " also ", " both ", " as well ", " once ", " plus ")
_SHORT = 3
_USUAL = 20  # a task in a twentieth of the examples is what an expert is for
_BESIDE = 0.3
_EVIDENCE = 6.0
_PARTNER = 0.2  # asked for so clearly that an "and" may join two experts


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike a request is to a candidate's examples, as cosines."""

    best: float = 0.0
    mean: float = 0.0
    """Of the three most alike."""
    document: int | None = None
    """The most alike example's number in the index."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The features of one pair, and what they come from."""

    values: dict[str, float]
    hits: tuple[str, ...]
    """Keywords found."""
    words: Likeness
    formats: tuple[str, ...]
    """Formats in the request that this expert reads."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a candidate shows by itself, before it is compared with the others."""

    asked: float
    topic: float
    hits: tuple[str, ...]
    format: float
    formats: tuple[str, ...]


def measure(
    index: Index,
    candidates: Sequence[Candidate],
    reading: Reading,
    previous: str | None = None,
    dense: Sequence[Likeness] | None = None,
) -> list[Measured]:
    """Return the features of a request with each candidate.

    *dense* holds the likeness of embeddings, for each candidate and at last the base.
    """
    reading = index.corrected(reading)
    own = [_own(index, number, reading) for number in range(len(candidates))]
    rivals = _rivals(own, reading)
    words = likenesses(
        index.words.similarities(word_grams(reading.words)), index.owners, len(candidates) + 1
    )
    alike = _alike(index, reading, own, words)
    if dense is not None:
        alike = [a | b for a, b in zip(alike, _likeness_values("dense", dense), strict=True)]
    measured = []
    for number, candidate in enumerate(candidates):
        mine = own[number]
        values = _read_values(index, number, reading, mine) | rivals[number] | alike[number]
        values["previous"] = float(previous in (candidate.name, candidate.short_name))
        measured.append(Measured(values, mine.hits, words[number], mine.formats))
    return measured


def _read_values(index: Index, number: int, reading: Reading, mine: Own) -> dict[str, float]:
    """Return what the reading tells about one expert."""
    profile = index.profiles[number]
    unusual = 1 - min(1.0, _USUAL * profile.part(reading.task))
    talk = unusual * (reading.task in TALK)
    talk_about = unusual * (reading.task in TALK or reading.task == "yesno")
    named = TECHNOLOGIES.intersection(reading.words)
    return {
        "asked": mine.asked,
        "asked_twice": float(len(mine.hits) >= 2),
        "topic": mine.topic,
        "excluded": float(_excluded(index, number, reading)),
        "format": mine.format,
        "decisive": mine.format * (1 - talk_about) * bool(DECISIVE.intersection(mine.formats)),
        "no_format": profile.habit if not reading.formats else 0.0,
        "other_format": float(bool(reading.formats) and mine.format < 0.1),
        "task": _task_ratio(index, number, reading),
        "technology": float(bool(named) and not named & index.technologies[number]),
        "chat": float(reading.task == "chat"),
        "talk": talk,
        "talk_asked": mine.asked * talk,
        "talk_format": mine.format * talk_about,
        "language": _language_ratio(index, number, reading),
        "short": float(len(reading.words) <= _SHORT),
        "bare": float(_is_bare(mine, reading)),
    }


def _rivals(own: Sequence[Own], reading: Reading) -> list[dict[str, float]]:
    """Return what the best other expert shows; one that an "and" joins is no rival."""
    joined = any(word in reading.asked for word in _JOINING)
    partners = [n for n, each in enumerate(own) if joined and each.asked > _PARTNER]
    asked = _best_others([each.asked for each in own])
    formats = _best_others([each.format for each in own])
    found = [
        {"rival_asked": max(0.0, a), "rival_format": max(0.0, f), "joined": 0.0}
        for a, f in zip(asked, formats, strict=True)
    ]
    others = [each for n, each in enumerate(own) if n not in partners]
    for number in partners if len(partners) > 1 else ():
        found[number] = {
            "rival_asked": max((other.asked for other in others), default=0.0),
            "rival_format": max((other.format for other in others), default=0.0),
            "joined": 1.0,
        }
    return found


def _alike(
    index: Index, reading: Reading, own: Sequence[Own], words: Sequence[Likeness]
) -> list[dict[str, float]]:
    """Return how alike the request's words are to each candidate's examples, and the base's."""
    # Where a diff or a schema speaks for an expert, the words around it say little.
    trust = _BESIDE if any(DECISIVE.intersection(each.formats) for each in own) else 1.0
    by_words = index.word_bayes.evidence(word_grams(reading.words))
    by_chars = index.char_bayes.evidence(char_grams(reading.words))
    parts = (
        _likeness_values("words", words),
        _evidence_values("word_bayes", [trust * value for value in by_words]),
        _evidence_values("char_bayes", [trust * value for value in by_chars]),
    )
    return [a | b | c for a, b, c in zip(*parts, strict=True)]


def _best_others(values: Sequence[float]) -> list[float]:
    """Return for each value the greatest of the others; minus infinity if there are none."""
    first, second = -math.inf, -math.inf
    for value in values:
        if value > first:
            first, second = value, first
        elif value > second:
            second = value
    return [second if value == first else first for value in values]


def likenesses(scores: dict[int, float], owners: Sequence[int], count: int) -> list[Likeness]:
    """Gather the scores of single examples for each of *count* owners."""
    gathered: list[list[tuple[float, int]]] = [[] for _ in range(count)]
    for document, score in scores.items():
        gathered[owners[document]].append((score, -document))
    found = []
    for pairs in gathered:
        pairs.sort(reverse=True)
        best = pairs[0] if pairs else (0.0, 0)
        mean = sum(score for score, _ in pairs[:3]) / 3
        found.append(Likeness(best[0], mean, -best[1] if pairs else None))
    return found


def _likeness_values(name: str, scores: Sequence[Likeness]) -> list[dict[str, float]]:
    others = _best_others([score.best for score in scores])
    return [
        {
            name: score.best,
            f"{name}_mean": score.mean,
            f"base_{name}": scores[-1].best,
            f"{name}_lead": score.best - best,
        }
        for score, best in zip(scores, others, strict=True)
    ]


def _own(index: Index, number: int, reading: Reading) -> Own:
    asked_miss = topic_miss = 1.0
    hits = []
    for keyword, weight in index.keywords[number]:
        if keyword in reading.asked:
            asked_miss *= 1 - weight
            hits.append(keyword.strip())
        elif keyword in reading.topic:
            topic_miss *= 1 - weight
    profile = index.profiles[number]
    shares = {name: profile.reads(name) for name in reading.formats}
    known = tuple(sorted(name for name, share in shares.items() if share > 0))
    return Own(
        1 - asked_miss, 1 - topic_miss, tuple(hits), max(shares.values(), default=0.0), known
    )


def _evidence_values(name: str, evidence: Sequence[float]) -> list[dict[str, float]]:
    """Return how far each evidence is above the base's, and above the best other's."""
    base = evidence[-1]
    return [
        {name: _bounded(value - base), f"{name}_lead": _bounded(value - best)}
        for value, best in zip(evidence, _best_others(evidence), strict=True)
    ]


def _bounded(value: float) -> float:
    return max(-_EVIDENCE, min(_EVIDENCE, value))


def _is_bare(own: Own, reading: Reading) -> bool:
    """Tell whether a request is nothing but keywords."""
    named = {word for hit in own.hits for word in hit.split()}
    return not reading.formats and named.issuperset(reading.words)


def _excluded(index: Index, number: int, reading: Reading) -> bool:
    whole = f" {' '.join(reading.words)} "
    if any(text.strip() and text in whole for text in index.excludes[number]):
        return True
    return any(keyword in reading.refused for keyword, _ in index.keywords[number])


def _task_ratio(index: Index, number: int, reading: Reading) -> float:
    own, base = index.profiles[number], index.profiles[-1]
    return log_ratio(own.share(own.tasks, reading.task), base.share(base.tasks, reading.task))


def _language_ratio(index: Index, number: int, reading: Reading) -> float:
    own, base = index.profiles[number], index.profiles[-1]
    key = reading.language
    return log_ratio(own.share(own.languages, key), base.share(base.languages, key))
