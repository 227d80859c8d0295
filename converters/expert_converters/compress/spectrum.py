"""An adapter as what it does: the singular directions of every matrix's update, strongest first.

All methods work on these: what a direction weighs says what it may cost. Sharing each singular
value evenly between the two vectors makes the length of a vector the root of what it weighs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..lora_file import LoraFile
from ..low_rank import truncate_product

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Progress = Callable[[int, int], None]

NEGLIGIBLE = 1e-10
"""Share of the strongest direction's energy below which a direction is padding or rounding."""


@dataclass(frozen=True, slots=True)
class Factors:
    """An update of one matrix, the sum over i of u[i] v[i]'."""

    target: str
    """Name of the matrix in the base."""
    u: Floats
    """Shape (directions, outputs)."""
    v: Floats
    """Shape (directions, inputs)."""

    @property
    def rank(self) -> int:
        """Number of directions."""
        return len(self.u)

    @property
    def length(self) -> int:
        """Values of one direction."""
        return int(self.u.shape[1] + self.v.shape[1])

    def leading(self, count: int) -> Factors:
        """Return the first *count* directions."""
        return Factors(self.target, self.u[:count], self.v[:count])


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The singular directions of one matrix's update."""

    factors: Factors
    energy: Doubles
    """Squared singular value of each direction, descending; shape (directions,)."""


def decompose(lora: LoraFile, progress: Progress | None = None) -> list[Spectrum]:
    """Return the singular directions of every matrix that an adapter changes.

    By QR and SVD of the thin factors (`low_rank.truncate_product`). Matrices that it leaves as they
    are do not occur. *progress* is told matrices done and in all.
    """
    found = []
    for done, (target, pair) in enumerate(lora.pairs.items(), 1):
        a, b = pair.values()
        low = truncate_product(a, b * np.float32(pair.scale), pair.rank)
        # Both rows are as long as the root of their singular value.
        energy = np.sum(low.a.astype(np.float64) ** 2, axis=1) ** 2
        kept = energy > max(NEGLIGIBLE * energy.max(initial=0.0), 0.0)
        if kept.any():
            factors = Factors(target, np.ascontiguousarray(low.b.T)[kept], low.a[kept])
            found.append(Spectrum(factors, energy[kept]))
        if progress is not None:
            progress(done, len(lora.pairs))
    return found


def factors_of(lora: LoraFile) -> list[Factors]:
    """Return the updates of an adapter as they are stored, its scale in u."""
    found = []
    for target, pair in lora.pairs.items():
        a, b = pair.values()
        found.append(Factors(target, np.ascontiguousarray((b * np.float32(pair.scale)).T), a))
    return found


def lost(wanted: Sequence[Spectrum], found: Sequence[Factors]) -> float:
    """Return the share of the squared Frobenius norm of all updates that *found* misses, from 0.

    A matrix that is absent from *found* is missed whole.
    """
    present = {factors.target: factors for factors in found}
    total = missed = 0.0
    for spectrum in wanted:
        energy = float(spectrum.energy.sum())
        total += energy
        other = present.get(spectrum.factors.target)
        missed += energy if other is None else _distance(spectrum.factors, other)
    return missed / total if total else 0.0


def _distance(one: Factors, other: Factors) -> float:
    """Return the squared norm of the difference of two updates, without forming either."""
    u: NDArray[Any] = np.concatenate([one.u, other.u]).astype(np.float64)
    v: NDArray[Any] = np.concatenate([one.v, -other.v]).astype(np.float64)
    return max(float(np.sum((u @ u.T) * (v @ v.T))), 0.0)
