"""95 % confidence intervals of measured shares and means."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

Z = 1.959964
"""The normal deviate that leaves 2.5 % on each side."""
RESAMPLES = 2000


def wilson(successes: float, count: int) -> tuple[float, float]:
    """Return the score interval of a share; never outside 0 to 1, and honest for small counts.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if count == 0:
        return 0.0, 1.0
    share = successes / count
    centre = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
    spread = math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    half = spread * Z / (1 + Z * Z / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Return the percentile interval of a mean, for values that are not only 0 and 1.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    if not values:
        return 0.0, 1.0
    rng, size = random.Random(seed), len(values)
    means = sorted(sum(rng.choices(values, k=size)) / size for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return Wilson's interval where every value is 0 or 1, else a bootstrap's."""
    if all(value in (0.0, 1.0) for value in values):
        return wilson(sum(values), len(values))
    return bootstrap(values)


def paired(better: Sequence[float], worse: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Return the bootstrap interval of the mean difference on the same rows."""
    return bootstrap([a - b for a, b in zip(better, worse, strict=True)], seed)
