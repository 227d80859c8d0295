"""From features to calibrated probabilities: logistic regression and Platt scaling.

Sources: logistic regression with a ridge penalty by Newton's method (le Cessie and van Houwelingen
1992); scaling of scores to probabilities (Platt 1999), fitted on scores of folds left out.
"""

import math
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Struct

from expert.router.features import DENSE, FEATURES, HEURISTIC, NGRAM, Measured
from expert.router.ngrams import Vector

Stage: TypeAlias = Literal["heuristics", "ngrams", "both", "dense", "all"]
STAGES: dict[Stage, tuple[str, ...]] = {
    "heuristics": HEURISTIC,
    "ngrams": NGRAM,
    "both": HEURISTIC + NGRAM,
    "dense": DENSE,
    "all": HEURISTIC + NGRAM + DENSE,
}
"""Which features take part; `both` is what the router uses, `all` where embeddings are there."""


class Platt(Struct, frozen=True):
    """A straight line from a score to the logit of a probability."""

    slope: float
    offset: float

    def probability(self, score: float) -> float:
        return sigmoid(self.slope * score + self.offset)


class Weights(Struct, frozen=True):
    """One fitted stage."""

    bias: float
    features: dict[str, float]
    expert: Platt
    """From a pair's score to the probability that the request is for the expert."""
    none: Platt
    """From the best score to the probability that it is for no expert."""

    def scores(self, measured: Measured) -> Vector:
        """Return the score of the request with each candidate."""
        weights = np.array([self.features.get(name, 0.0) for name in FEATURES])
        scores: Vector = self.bias + measured.values @ weights
        return scores


def sigmoid(logit: float) -> float:
    """Return the probability of a logit, for any finite one."""
    if logit < -60:
        return 0.0
    return 1 / (1 + math.exp(-logit))


@cache
def fitted() -> dict[Stage, Weights]:
    """Return the parameters that come with Expert, for each stage."""
    text = (files("expert.router") / "weights.json").read_bytes()
    return msgspec.json.decode(text, type=dict[Stage, Weights])
