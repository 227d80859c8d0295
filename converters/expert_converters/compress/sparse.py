"""Optimal Singular Damage: more singular directions than fit, and of each only what matters most.

From the paper (Alipour and Amiri, 2025, arXiv:2511.02681, of which we could read the abstract and
summaries, not the algorithm): the update is decomposed by SVD at a rank r + c above the one that
the budget would hold dense, and the singular vectors are then made sparse by the importance of
their entries, where an entry of one factor counts by what it meets in the other ("interleaved"), so
that the most damaging removals are avoided; rank and sparsity are set against each other.

Ours: the importance is the squared change of the update when an entry goes, u_ij^2 |v_i|^2 (the
paper's is gradient-based); entries of all vectors of all matrices compete; kept values take 8 bits
with a scale a vector, and their places one bit a position, where the paper counts 32 bits and an
index for each; and the density comes from a search over few, by what the whole adapter loses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .codes import Bytes
from .spectrum import Factors, Floats, Spectrum, lost

DENSITIES = (1.0, 0.8, 0.6, 0.45, 0.33, 0.25, 0.18, 0.12)
"""Shares of the positions that the search tries to keep."""
JUDGED = 3
STEPS = 127


@dataclass(frozen=True, slots=True)
class Sparse:
    """Vectors of one length of which some places are kept."""

    length: int
    scales: Floats
    """What one step of a value is, for each vector; shape (vectors,)."""
    masks: Bytes
    """One bit a place, the lowest bit first; shape (vectors, mask bytes)."""
    values: NDArray[np.int8]
    """What stands at the places of the masks, in order; shape (kept places,)."""

    def dense(self) -> Floats:
        """Return the vectors with zeros where nothing was kept; shape (vectors, length)."""
        kept = np.unpackbits(self.masks, axis=1, count=self.length, bitorder="little")
        places = kept.astype(bool)
        dense = np.zeros(places.shape, np.float32)
        dense[places] = self.values
        return dense * self.scales[:, None]


@dataclass(frozen=True, slots=True)
class SparseFactors:
    """An update of one matrix in sparse vectors."""

    target: str
    u: Sparse
    v: Sparse

    def factors(self) -> Factors:
        """Return the update with its zeros."""
        return Factors(self.target, self.u.dense(), self.v.dense())


@dataclass(frozen=True, slots=True)
class Damage:
    """What the search chose."""

    parts: list[SparseFactors]
    density: float
    """Share of the positions that was kept."""
    lost: float


def mask_bytes(length: int) -> int:
    """Return the bytes of a vector's mask."""
    return -(-length // 8)


def sparsify(
    spectra: Sequence[Spectrum], budget: int, judge: Callable[[Damage], float] | None = None
) -> Damage | None:
    """Return the sparse form within *budget* bytes that loses least; None if none fits.

    A *judge* has the last word on the few that lose least: the lowest of its figures wins.
    """
    tried = (at_density(spectra, density, budget) for density in DENSITIES)
    found = sorted((one for one in tried if one is not None), key=lambda one: one.lost)
    return min(found[:JUDGED], key=judge or _lost, default=None)


def _lost(damage: Damage) -> float:
    return damage.lost


def at_density(spectra: Sequence[Spectrum], density: float, budget: int) -> Damage | None:
    """Return the sparse form of as many directions as fit at *density*, with the room filled."""
    chosen = _strongest(spectra, density, budget)
    if not chosen:
        return None
    left = budget - sum(factors.rank * _overhead(factors) for factors in chosen)
    threshold = _threshold(chosen, left)
    parts = [_sparse(factors, threshold) for factors in chosen]
    kept = sum(len(side.values) for part in parts for side in (part.u, part.v))
    return Damage(
        parts, kept / _positions(chosen), lost(spectra, [part.factors() for part in parts])
    )


def _strongest(spectra: Sequence[Spectrum], density: float, budget: int) -> list[Factors]:
    """Return the directions that fit at a density, those that weigh most for a byte."""
    prices = [_overhead(one.factors) + density * one.factors.length for one in spectra]
    worth = [one.energy / price for one, price in zip(spectra, prices, strict=True)]
    owner = np.concatenate([np.full(len(part), i) for i, part in enumerate(worth)])
    order = owner[np.argsort(-np.concatenate(worth), kind="stable")]
    spent = np.cumsum(np.array(prices)[order])
    taken = order[: int(np.searchsorted(spent, budget, side="right"))]
    ranks = np.bincount(taken, minlength=len(spectra))
    pairs = zip(spectra, ranks, strict=True)
    return [one.factors.leading(int(rank)) for one, rank in pairs if rank]


def _overhead(factors: Factors) -> int:
    """Return the bytes of a direction beside its values: two scales and two masks."""
    return 8 + mask_bytes(factors.u.shape[1]) + mask_bytes(factors.v.shape[1])


def _positions(chosen: Sequence[Factors]) -> int:
    return sum(factors.rank * factors.length for factors in chosen)


def _importance(vectors: Floats, others: Floats) -> Floats:
    """Return the squared change of the update if an entry of *vectors* were zero."""
    met: Floats = np.sum(others**2, axis=1, keepdims=True)
    return vectors**2 * met


def _threshold(chosen: Sequence[Factors], count: int) -> float:
    """Return the importance that *count* entries of all exceed."""
    scores = np.concatenate(
        [
            part.ravel()
            for one in chosen
            for part in (_importance(one.u, one.v), _importance(one.v, one.u))
        ]
    )
    if count >= len(scores):
        return -1.0
    return float(np.partition(scores, len(scores) - count - 1)[len(scores) - count - 1])


def _sparse(factors: Factors, threshold: float) -> SparseFactors:
    u = _kept(factors.u, _importance(factors.u, factors.v) > threshold)
    v = _kept(factors.v, _importance(factors.v, factors.u) > threshold)
    return SparseFactors(factors.target, u, v)


def _kept(vectors: Floats, places: NDArray[np.bool_]) -> Sparse:
    kept = np.where(places, vectors, 0)
    peaks: Floats = np.abs(kept).max(axis=1)
    scales = np.where(peaks > 0, peaks / STEPS, 1).astype(np.float32)
    values = np.rint(kept / scales[:, None]).astype(np.int8)[places]
    masks = np.packbits(places, axis=1, bitorder="little")
    return Sparse(vectors.shape[1], scales, masks, values)
