"""The router: read a request, measure it with every expert, and decide."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from expert.router.dense import DenseIndex, Embedder
from expert.router.features import Measured, Measuring
from expert.router.index import load_index
from expert.router.naming import Naming, naming
from expert.router.reading import Reading, read
from expert.router.reasons import explain, reasons
from expert.router.tasks import parameters
from expert.router.types import Candidate, Choice, Route, RouteRequest
from expert.router.weights import Weights, fitted

THRESHOLD = 0.6
"""An expert at least this probable is used: a wrong one costs more than none."""
EXPLAINED = 8
"""Reasons are given for so many candidates, the likeliest."""
TOGETHER = 1.2
"""The scales of several experts add up to this; more makes them drown each other."""


class Router:
    """Routes requests among *candidates*; prepare it once and ask it often.

    Args:
        candidates: the experts that may be chosen; see `expert.router.candidates`.
        embedder: adds the likeness of dense embeddings.
        cache: folder that keeps what was prepared, by the hash of the candidates' texts.
        weights: the fitted parameters; by default those that come with Expert.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        embedder: Embedder | None = None,
        cache: Path | None = None,
        weights: Weights | None = None,
    ) -> None:
        self.candidates = tuple(candidates)
        self.index = load_index(self.candidates, cache)
        self._measuring = Measuring(self.index, self.candidates)
        self._dense = DenseIndex(self.index, embedder, cache) if embedder else None
        self._weights = weights

    def route(self, request: RouteRequest) -> Route:
        """Decide who answers *request*, with which parameters, and say why."""
        reading = read(request)
        measured = self.measure(request, reading)
        weights = self._weights or fitted()["all" if self._dense else "both"]
        scores = weights.scores(measured).tolist()
        named = naming(self.candidates, request, reading)
        ranked = self._rank(reading, measured, [weights.expert.probability(s) for s in scores])
        if named.decides:
            chosen = [replace(c, probability=1.0) for c in ranked if c.id in named.chosen]
            none = float(not chosen)
        else:
            chosen = self._choose(ranked, request.limit)
            none = weights.none.probability(max(scores)) if scores else 1.0
        return self._route(reading, named, ranked, _scaled(chosen), none)

    def measure(self, request: RouteRequest, reading: Reading | None = None) -> Measured:
        """Return the features of a request with each candidate."""
        reading = reading or read(request)
        dense = self._dense.likenesses(request) if self._dense else None
        return self._measuring.measure(reading, request.previous, dense)

    def _rank(
        self, reading: Reading, measured: Measured, probabilities: Sequence[float]
    ) -> list[Choice]:
        """Return all candidates, the likeliest first."""

        def order(number: int) -> tuple[float, float, str]:
            candidate = self.candidates[number]
            return -probabilities[number], -candidate.priority, candidate.name

        return [
            Choice(
                id=self.candidates[number].id,
                name=self.candidates[number].name,
                probability=probabilities[number],
                scale=1.0,
                reasons=reasons(self.index, measured, number, reading) if rank < EXPLAINED else (),
            )
            for rank, number in enumerate(sorted(range(len(probabilities)), key=order))
        ]

    def _choose(self, ranked: Sequence[Choice], limit: int) -> list[Choice]:
        """Return the experts that are likely and do not exclude each other."""
        conflicts = {candidate.name: set(candidate.conflicts) for candidate in self.candidates}
        chosen: list[Choice] = []
        for choice in ranked:
            enough = choice.probability >= THRESHOLD and len(chosen) < limit
            clash = any(
                choice.name in conflicts[other.name] or other.name in conflicts[choice.name]
                for other in chosen
            )
            if enough and not clash:
                chosen.append(choice)
        return chosen

    def _route(
        self,
        reading: Reading,
        named: Naming,
        ranked: Sequence[Choice],
        chosen: Sequence[Choice],
        none: float,
    ) -> Route:
        ids = {choice.id for choice in chosen}
        leading = next((c for c in self.candidates if chosen and c.id == chosen[0].id), None)
        return Route(
            choices=tuple(chosen),
            none=none,
            task=reading.task,
            parameters=parameters(reading.task, leading.parameters if leading else None),
            prompt=named.prompt,
            reasons=explain(named, chosen, ranked),
            alternatives=tuple(choice for choice in ranked if choice.id not in ids),
        )


def _scaled(choices: Sequence[Choice]) -> list[Choice]:
    """Return the choices with their strengths: a single expert acts fully."""
    total = sum(choice.probability for choice in choices)
    if len(choices) < 2:
        return list(choices)
    return [
        replace(choice, scale=round(min(1.0, TOGETHER * choice.probability / total), 2))
        for choice in choices
    ]
