"""Fits the router's parameters on labelled requests; `expert router fit` calls it.

Each request is shown with all candidates, and again with each candidate left out in turn, so that
the parameters also hold where other experts are installed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expert.errors import UsageError
from expert.router.dense import Embedder, Remembered
from expert.router.features import FEATURES
from expert.router.labelled import Labelled, bucket
from expert.router.ngrams import Vector
from expert.router.router import Router
from expert.router.types import Candidate
from expert.router.weights import STAGES, Platt, Stage, Weights

RIDGE = 3.0
LEFT_OUT_WEIGHT = 0.1
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Rows:
    """Measured pairs: one row a request and candidate."""

    values: Vector
    """Of shape (rows, features), in the order of `FEATURES`."""
    wanted: Vector
    weight: Vector
    request: NDArray[np.int64]
    """Which request each row is of; a left-out candidate makes another request of it."""
    fold: NDArray[np.int64]
    whole: NDArray[np.bool_]
    """Measured beside all candidates."""


def fit(
    requests: Sequence[Labelled],
    candidates: Sequence[Candidate],
    embedder: Embedder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[Stage, Weights]:
    """Fit every stage that needs no more than what is there.

    Raises:
        UsageError: there are too few prompts or experts to tell anything apart.
    """
    if len({bucket(labelled.group, FOLDS) for labelled in requests}) < 2 or not candidates:
        raise UsageError(
            "There is nothing to fit.",
            f"{len(requests)} prompts of the development half, {len(candidates)} experts.",
            "Give prompts of several groups, and install experts or name a folder with --experts.",
        )
    once = Remembered(embedder) if embedder is not None else None
    rows = _measure(requests, candidates, once, progress)
    stages = [stage for stage in STAGES if embedder is not None or stage not in ("dense", "all")]
    return {stage: _fit_stage(rows, STAGES[stage]) for stage in stages}


def _measure(
    requests: Sequence[Labelled],
    candidates: Sequence[Candidate],
    embedder: Embedder | None,
    progress: Callable[[int, int], None] | None,
) -> Rows:
    subsets = [list(candidates)]
    subsets += [[c for c in candidates if c is not left] for left in candidates]
    values: list[Vector] = []
    columns: list[tuple[float, float, int, int, bool]] = []
    number = 0
    for done, subset in enumerate(subsets):
        router = Router(subset, embedder)
        whole = len(subset) == len(candidates)
        for labelled in requests:
            values.append(router.measure(labelled.request).values)
            for candidate in subset:
                wanted = float(candidate.short_name in labelled.experts)
                weight = 1.0 if whole else LEFT_OUT_WEIGHT
                columns.append((wanted, weight, number, bucket(labelled.group, FOLDS), whole))
            number += 1
        if progress:
            progress(done + 1, len(subsets))
    table = np.array(columns, dtype=np.float64)
    whole = table[:, 4] == 1
    numbers = table[:, 2:4].astype(np.int64)
    return Rows(
        np.concatenate(values), table[:, 0], table[:, 1], numbers[:, 0], numbers[:, 1], whole
    )


def _fit_stage(rows: Rows, names: Sequence[str]) -> Weights:
    matrix = rows.values[:, [FEATURES.index(name) for name in names]]
    scores = np.zeros(len(matrix))
    for fold in range(FOLDS):
        test = rows.fold == fold
        bias, weights = _logistic(matrix[~test], rows.wanted[~test], rows.weight[~test])
        scores[test] = bias + matrix[test] @ weights
    bias, weights = _logistic(matrix, rows.wanted, rows.weight)
    return Weights(
        bias=round(bias, 4),
        features={name: round(float(w), 4) for name, w in zip(names, weights, strict=True)},
        expert=_platt(scores[rows.whole], rows.wanted[rows.whole]),
        none=_none(rows, scores),
    )


def _none(rows: Rows, scores: Vector) -> Platt:
    best: list[float] = []
    none: list[float] = []
    for number in np.unique(rows.request[rows.whole]):
        mine = rows.request == number
        best.append(float(scores[mine].max()))
        none.append(float(rows.wanted[mine].max() == 0))
    return _platt(np.array(best), np.array(none))


def _platt(scores: Vector, wanted: Vector) -> Platt:
    offset, slope = _logistic(scores[:, None], wanted, np.ones(len(wanted)), ridge=1e-3)
    return Platt(round(float(slope[0]), 4), round(offset, 4))


def _logistic(
    matrix: Vector, wanted: Vector, weight: Vector, ridge: float = RIDGE
) -> tuple[float, Vector]:
    """Return the bias and the weights that make *wanted* likeliest, by Newton's method."""
    centre, spread = matrix.mean(0), matrix.std(0)
    spread[spread == 0] = 1.0
    design = np.column_stack([np.ones(len(matrix)), (matrix - centre) / spread])
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 0.0
    theta = np.zeros(design.shape[1])
    for _ in range(60):
        probability = 1 / (1 + np.exp(-np.clip(design @ theta, -60, 60)))
        gradient = design.T @ (weight * (wanted - probability)) - penalty * theta
        curvature = weight * np.maximum(probability * (1 - probability), 1e-9)
        step = np.linalg.solve((design.T * curvature) @ design + np.diag(penalty), gradient)
        theta = theta + step
        if float(np.abs(step).max()) < 1e-9:
            break
    weights = theta[1:] / spread
    return float(theta[0] - centre @ weights), weights
