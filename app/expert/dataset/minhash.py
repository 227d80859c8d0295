"""Texts that are nearly the same, found without comparing each with each.

A text is the set of its character groups. MinHash estimates how much two sets share (Broder 1997,
"On the resemblance and containment of documents"); cut into bands, equal bands give candidates
(Indyk and Motwani 1998), which are then compared exactly, by Jaccard's coefficient. Hashes are by
multiplication and shift (Dietzfelbinger et al. 1997).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expert.dataset.rows import normal

GROUP = 5
"""Characters of a group."""
HASHES = 126
"""Of a signature; many divisors, so that most numbers of rows a band use nearly all of them."""
MISSED = 0.01
"""The most pairs at the threshold that no band may show."""
LONGEST = 20_000
"""Characters of a text that are compared."""

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Bands:
    """How a signature is cut."""

    count: int
    rows: int


def bands_for(threshold: float) -> Bands:
    """Return the fewest bands that miss few pairs as alike as *threshold* (0 to 1)."""
    best = Bands(HASHES, 1)
    for rows in range(2, HASHES + 1):
        count = HASHES // rows
        if (1 - threshold**rows) ** count <= MISSED:
            best = Bands(count, rows)
    return best


class MinHash:
    """Turns texts into sets of hashed groups, and those into the keys of their bands."""

    def __init__(self, threshold: float, seed: int = 1) -> None:
        self.bands = bands_for(threshold)
        rng = np.random.default_rng(seed)
        size = self.bands.count * self.bands.rows
        whole = np.iinfo(np.uint64).max
        self._factors = rng.integers(0, whole, size, np.uint64, endpoint=True) | np.uint64(1)
        self._terms = rng.integers(0, whole, size, np.uint64, endpoint=True)
        self._powers = _powers(GROUP)
        self._band_powers = _powers(self.bands.rows)

    def groups(self, text: str) -> Hashes:
        """Return the hashes of a text's groups of characters, sorted, each once."""
        plain = normal(text)[:LONGEST].ljust(GROUP)
        codes = np.frombuffer(plain.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
        windows = np.lib.stride_tricks.sliding_window_view(codes, GROUP)
        return np.unique(_mixed((windows * self._powers).sum(axis=1, dtype=np.uint64)))

    def keys(self, groups: Hashes) -> Hashes:
        """Return the key of each band; shape (bands,)."""
        hashed = groups[None, :] * self._factors[:, None] + self._terms[:, None]
        least = hashed.min(axis=1) >> np.uint64(32)
        bands = least.reshape(self.bands.count, self.bands.rows)
        numbers = np.arange(self.bands.count, dtype=np.uint64)
        return _mixed((bands * self._band_powers).sum(axis=1, dtype=np.uint64) + numbers)


class NearIndex:
    """The texts that were kept so far, to be asked whether another is nearly one of them."""

    def __init__(self, threshold: float, seed: int = 1) -> None:
        self.threshold = threshold
        self.hashing = MinHash(threshold, seed)
        self._kept: list[Hashes] = []
        self._buckets: defaultdict[int, list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, text: str) -> int | None:
        """Keep a text, or return the number of the kept one that it nearly is."""
        groups = self.hashing.groups(text)
        keys = self.hashing.keys(groups).tolist()
        candidates = sorted({number for key in keys for number in self._buckets.get(key, ())})
        for number in candidates:
            if jaccard(groups, self._kept[number]) >= self.threshold:
                return number
        for key in keys:
            self._buckets[key].append(len(self._kept))
        self._kept.append(groups)
        return None


def jaccard(first: Hashes, second: Hashes) -> float:
    """Return the share of two sorted sets that both have, 0 to 1."""
    smaller, larger = sorted((len(first), len(second)))
    if not larger:
        return 1.0
    if len(first) > len(second):
        first, second = second, first
    places = np.minimum(np.searchsorted(second, first), larger - 1)
    shared = int((second[places] == first).sum())
    return shared / (smaller + larger - shared)


def _powers(count: int) -> Hashes:
    base, made = 0x9E3779B97F4A7C15, []
    for power in range(1, count + 1):
        made.append(pow(base, power, 1 << 64))
    return np.array(made, np.uint64)


def _mixed(values: Hashes) -> Hashes:
    """Return hashes whose bits all depend on each other (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
