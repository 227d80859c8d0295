"""Who gets how many bytes: the choice that leaves the least error under a budget.

A direction's error is its energy times what its form leaves of it. Each step up (into the file, or
one bit more) has a gain and a price; with gains that shrink, taking the steps by gain a byte until
the budget is spent is optimal but for the last step (Fox, 1966; reverse water-filling).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .codes import WIDTHS, coded_bytes, normal_error
from .spectrum import Spectrum

Widths = NDArray[np.uint8]


def allocate_widths(spectra: Sequence[Spectrum], budget: int) -> list[Widths]:
    """Return the bits a value of every direction, 0 where it is left out, within *budget* bytes.

    A quantised direction u v' misses 1 - (1 - D)^2 of its energy, where each vector misses D.
    """
    kept = [0.0, *((1 - normal_error(width)) ** 2 for width in WIDTHS)]
    gains = np.diff(kept)
    ratios, prices = [], []
    for spectrum in spectra:
        sizes = [0, *(direction_bytes(spectrum, width) for width in WIDTHS)]
        price = np.diff(sizes)
        ratios.append(spectrum.energy[:, None] * gains / price)
        prices.append(np.broadcast_to(price, ratios[-1].shape))
    order = np.argsort(-np.concatenate([part.ravel() for part in ratios]), kind="stable")
    spent = np.cumsum(np.concatenate([part.ravel() for part in prices])[order])
    taken = np.zeros(len(order), bool)
    taken[order[: int(np.searchsorted(spent, budget, side="right"))]] = True
    ladder = np.array([0, *WIDTHS], np.uint8)
    found, start = [], 0
    for part in ratios:
        steps = taken[start : start + part.size].reshape(part.shape).sum(axis=1)
        found.append(ladder[steps])
        start += part.size
    return found


def direction_bytes(spectrum: Spectrum, width: int) -> int:
    """Return the bytes of one direction at *width* bits a value, its own width included."""
    factors = spectrum.factors
    return 1 + coded_bytes(factors.u.shape[1], width) + coded_bytes(factors.v.shape[1], width)


def allocate_ranks(
    spectra: Sequence[Spectrum], size: Callable[[Sequence[int]], int], budget: int
) -> list[int]:
    """Return how many directions of each matrix to keep so that *size* of them fits *budget*.

    Args:
        spectra: the matrices.
        size: bytes of a file with these ranks; grows with each of them.
        budget: bytes.
    """
    worth = np.concatenate([one.energy / one.factors.length for one in spectra])
    owner = np.concatenate([np.full(len(one.energy), i) for i, one in enumerate(spectra)])
    order = owner[np.argsort(-worth, kind="stable")]

    def ranks(count: int) -> list[int]:
        return [int(rank) for rank in np.bincount(order[:count], minlength=len(spectra))]

    low, high = 0, len(order)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(ranks(middle)) <= budget else (low, middle - 1)
    return ranks(low)
