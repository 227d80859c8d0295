"""From features to probabilities: lines, sums and Newton's method, beside plain formulas."""

import math

import numpy as np
import pytest

from expert.router import fit as fitting
from expert.router.features import FEATURES, Measuring
from expert.router.index import build_index
from expert.router.labelled import Labelled
from expert.router.reading import read
from expert.router.types import Candidate, RouteRequest
from expert.router.weights import STAGES, Platt, Weights, fitted, sigmoid

SQL = Candidate("1", "a/sql", keywords=("sql",), examples=("list all users with SQL",))


@pytest.mark.parametrize("logit", [-1000.0, -61.0, -60.0, -1.0, 0.0, 0.5, 30.0, 1000.0])
def test_the_sigmoid(logit: float) -> None:
    """It is between 0 and 1 for any number, mirrored at 0, and 0.5 there."""
    found = sigmoid(logit)
    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(1 - sigmoid(-logit), abs=1e-15)
    if abs(logit) < 500:
        assert found == pytest.approx(math.exp(logit) / (1 + math.exp(logit)), rel=1e-9, abs=1e-25)


def test_a_score_is_a_sum() -> None:
    """The bias and each feature times its weight; features without one count nothing."""
    weights = Weights(0.5, {"asked": 2.0, "talk": -1.0}, Platt(2.0, -1.0), Platt(-1.0, 0.0))
    measuring = Measuring(build_index([SQL]), [SQL])
    measured = measuring.measure(read(RouteRequest("sql for all users")))
    (score,) = weights.scores(measured)
    asked, talk = measured.column("asked")[0], measured.column("talk")[0]
    assert score == pytest.approx(0.5 + 2 * asked - talk)
    assert weights.expert.probability(score) == pytest.approx(sigmoid(2 * score - 1))


def test_the_parameters_that_come_along() -> None:
    """Each stage weighs exactly its own features, and more speaks for an expert than against."""
    assert set(fitted()) == set(STAGES)
    for stage, weights in fitted().items():
        assert set(weights.features) == set(STAGES[stage])
        assert weights.expert.slope > 0 > weights.none.slope
        assert all(map(math.isfinite, weights.features.values()))
    assert set(STAGES["all"]) == set(FEATURES)


def test_newtons_method_finds_the_optimum() -> None:
    """The gradient of the penalised likelihood is zero there, by plain differences."""
    source = np.random.default_rng(3)
    matrix = source.normal(size=(60, 3)) * (1.0, 5.0, 0.1)
    wanted = (matrix[:, 0] + source.normal(size=60) > 0).astype(np.float64)
    weight = source.uniform(0.1, 1.0, 60)
    bias, found = fitting._logistic(matrix, wanted, weight)
    centre, spread = matrix.mean(0), matrix.std(0)
    design = (matrix - centre) / spread

    def loss(start: float, theta: np.ndarray) -> float:
        logits = start + design @ theta
        terms = np.logaddexp(0, logits) - wanted * logits
        return float((weight * terms).sum() + fitting.RIDGE / 2 * (theta @ theta))

    theta, start = found * spread, bias + centre @ found
    best = loss(start, theta)
    for step in (1e-3, -1e-3):
        assert loss(start + step, theta) > best
        for place in range(3):
            moved = theta.copy()
            moved[place] += step
            assert loss(start, moved) > best


def test_a_feature_that_never_varies_weighs_nothing() -> None:
    """And is no division by zero."""
    matrix = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    _, found = fitting._logistic(matrix, matrix[:, 1], np.ones(4))
    assert found[0] == pytest.approx(0, abs=1e-9)
    assert found[1] > 0


def test_a_fit_tells_experts_apart() -> None:
    """A few labelled prompts make parameters that decide these prompts; each round is counted."""
    json_ = Candidate("2", "a/json", keywords=("json",), examples=("turn it into JSON",))
    labelled = [
        Labelled(f"{text} {n}", f"{name}-{n}", names)
        for n in range(12)
        for name, text, names in (
            ("s", "sql for users", ("sql",)),
            ("j", "json of the list", ("json",)),
            ("n", "what a lovely day", ()),
        )
    ]
    rounds: list[tuple[int, int]] = []
    found = fitting.fit(labelled, [SQL, json_], progress=lambda *done: rounds.append(done))
    assert set(found) == {"heuristics", "ngrams", "both"}
    assert rounds == [(1, 3), (2, 3), (3, 3)]
    assert found["heuristics"].features["asked"] > 0
    assert all(set(weights.features) == set(STAGES[stage]) for stage, weights in found.items())
