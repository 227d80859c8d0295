"""Measures a router on labelled requests: decisions, calibration, confusion and time."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from expert.metrics.intervals import wilson
from expert.router.labelled import Labelled
from expert.router.router import Router
from expert.router.types import Route

NONE = "none"
BINS = 10


@dataclass(frozen=True, slots=True)
class Decision:
    """One labelled request and what the router made of it."""

    labelled: Labelled
    route: Route
    seconds: float

    @property
    def chosen(self) -> frozenset[str]:
        """Short names of the chosen experts."""
        return frozenset(choice.name.rpartition("/")[2] for choice in self.route.choices)

    @property
    def correct(self) -> bool:
        """Exactly the wanted experts were chosen, or none where none is wanted."""
        return self.chosen == set(self.labelled.experts)


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of an evaluation; rates are between 0 and 1, times in milliseconds."""

    prompts: int
    correct: float
    """Share of requests that got exactly the experts they are for."""
    interval: tuple[float, float]
    """95 % confidence interval of `correct` (Wilson)."""
    off_topic: float
    """Share of the requests for no expert that got one."""
    missed: float
    """Share of the requests for an expert that got none."""
    wrong: float
    """Share of the requests for an expert that got another one."""
    calibration: float
    """Expected calibration error of the experts' probabilities, over ten bins."""
    bins: tuple[tuple[float, float, int], ...]
    """Of each bin: mean probability, share that was right, number of pairs."""
    by_kind: dict[str, tuple[int, float]]
    """Of each kind: number of requests, share correct."""
    confusion: dict[str, dict[str, int]]
    """How often each wanted set became which chosen set."""
    median_ms: float
    p99_ms: float


def decide(
    router: Router,
    requests: Sequence[Labelled],
    progress: Callable[[int, int], None] | None = None,
) -> list[Decision]:
    """Route every request, and take the time of each."""
    decisions = []
    for done, labelled in enumerate(requests, 1):
        start = time.perf_counter()
        route = router.route(labelled.request)
        decisions.append(Decision(labelled, route, time.perf_counter() - start))
        if progress:
            progress(done, len(requests))
    return decisions


def report(decisions: Sequence[Decision]) -> Report:
    """Return the figures of some decisions."""
    wanted = [each for each in decisions if each.labelled.experts]
    unwanted = [each for each in decisions if not each.labelled.experts]
    right = sum(each.correct for each in decisions)
    bins = _bins(decisions)
    pairs = sum(count for _, _, count in bins)
    times = sorted(each.seconds * 1000 for each in decisions)
    return Report(
        prompts=len(decisions),
        correct=_share(right, len(decisions)),
        interval=wilson(right, len(decisions)),
        off_topic=_share(sum(bool(each.chosen) for each in unwanted), len(unwanted)),
        missed=_share(sum(not each.chosen for each in wanted), len(wanted)),
        wrong=_share(sum(bool(e.chosen) and not e.correct for e in wanted), len(wanted)),
        calibration=sum(abs(mean - share) * count for mean, share, count in bins) / max(pairs, 1),
        bins=tuple(bins),
        by_kind=_by_kind(decisions),
        confusion=_confusion(decisions),
        median_ms=times[len(times) // 2] if times else 0.0,
        p99_ms=times[min(len(times) - 1, int(0.99 * len(times)))] if times else 0.0,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _bins(decisions: Sequence[Decision]) -> list[tuple[float, float, int]]:
    pairs: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for each in decisions:
        for choice in (*each.route.choices, *each.route.alternatives):
            right = choice.name.rpartition("/")[2] in each.labelled.experts
            number = min(BINS - 1, int(choice.probability * BINS))
            pairs[number].append((choice.probability, right))
    return [
        (sum(p for p, _ in rows) / len(rows), sum(r for _, r in rows) / len(rows), len(rows))
        for rows in pairs
        if rows
    ]


def _by_kind(decisions: Sequence[Decision]) -> dict[str, tuple[int, float]]:
    total = Counter(each.labelled.kind for each in decisions)
    right = Counter(each.labelled.kind for each in decisions if each.correct)
    return {kind: (total[kind], right[kind] / total[kind]) for kind in sorted(total)}


def _confusion(decisions: Sequence[Decision]) -> dict[str, dict[str, int]]:
    table: dict[str, Counter[str]] = {}
    for each in decisions:
        row = table.setdefault(_label(each.labelled.experts), Counter())
        row[_label(each.chosen)] += 1
    return {wanted: dict(sorted(table[wanted].items())) for wanted in sorted(table)}


def _label(experts: Sequence[str] | frozenset[str]) -> str:
    return "+".join(sorted(experts)) or NONE
