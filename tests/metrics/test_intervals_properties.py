"""Intervals: what must hold for every share and every set of values."""

import math
import random
from itertools import pairwise
from statistics import NormalDist, fmean

import pytest

from expert.metrics.intervals import RESAMPLES, Z, bootstrap, interval, paired, wilson


def test_the_deviate_is_that_of_95_percent() -> None:
    """Two and a half percent lie above it."""
    assert pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-6) == Z


@pytest.mark.parametrize("count", [1, 2, 7, 30, 1000])
def test_wilson_holds_the_share_and_moves_with_it(count: int) -> None:
    """More successes move both ends up; the ends mirror each other; none leaves 0 to 1."""
    ends = [wilson(hits, count) for hits in range(count + 1)]
    for hits, (low, high) in enumerate(ends):
        assert 0 <= low <= hits / count + 1e-15 and hits / count - 1e-15 <= high <= 1
        mirrored = wilson(count - hits, count)
        assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]))
    for one, two in pairwise(ends):
        assert one[0] < two[0] and one[1] < two[1]
    assert ends[0][0] == pytest.approx(0, abs=1e-12) and ends[-1][1] == pytest.approx(1)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_more_rows_make_wilson_narrower(share: float) -> None:
    """The same share of ten times the rows is known better, about by the root of ten."""
    widths = [high - low for low, high in (wilson(share * n, n) for n in (10, 100, 1000, 10000))]
    assert all(one > two for one, two in pairwise(widths))
    if 0 < share < 1:
        assert widths[2] / widths[3] == pytest.approx(math.sqrt(10), rel=0.02)


def test_wilson_by_hand() -> None:
    """The worked example of every textbook: 8 of 10."""
    low, high = wilson(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10)[1] == pytest.approx(0.2775, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_bootstrap_moves_and_grows_with_its_values(seed: int) -> None:
    """Adding a number moves it, a factor scales it, order changes little, and one value is sure."""
    rng = random.Random(seed)
    values = [rng.gauss(3, 2) for _ in range(40)]
    low, high = bootstrap(values)
    assert min(values) < low < fmean(values) < high < max(values)
    assert bootstrap([v + 10 for v in values]) == pytest.approx((low + 10, high + 10))
    assert bootstrap([v * 3 for v in values]) == pytest.approx((low * 3, high * 3))
    assert bootstrap([-v for v in values]) == pytest.approx((-high, -low), abs=0.05 * (high - low))
    assert bootstrap([2.5] * 7) == (2.5, 2.5) and bootstrap([1.0]) == (1.0, 1.0)


def test_the_bootstrap_covers() -> None:
    """In about 95 of 100 experiments the interval holds the true mean, skewed values or not."""
    rng = random.Random(4)
    inside = 0
    for experiment in range(24):
        low, high = bootstrap([rng.expovariate(1) for _ in range(60)], seed=experiment)
        inside += low <= 1 <= high
    assert 19 <= inside <= 24


def test_the_bootstrap_depends_on_its_seed_alone() -> None:
    """The same values give the same interval, whatever was drawn before; a seed gives another."""
    values = [float(n * n % 17) for n in range(30)]
    first = bootstrap(values)
    random.seed(99)
    random.random()
    assert bootstrap(values) == first != bootstrap(values, seed=1)
    assert RESAMPLES >= 1000, "fewer leave the ends to chance"


@pytest.mark.parametrize(
    ("values", "exact"),
    [
        ([1.0, 0.0, 1.0], True),
        ([1, 0], True),
        ([True, False, True], True),
        ([0.0] * 9, True),
        ([0.5, 1.0], False),
        ([1.0, 1.0, 2.0], False),
    ],
)
def test_which_interval_values_get(values: list[float], exact: bool) -> None:
    """Only what is right or wrong has Wilson's; a row of zeros is not certain to be zero."""
    expected = wilson(sum(values), len(values)) if exact else bootstrap(values)
    assert interval(values) == expected
    if values == [0.0] * 9:
        assert interval(values)[1] > 0.2


def test_no_values_tell_nothing() -> None:
    """The whole range, from every function."""
    assert wilson(0, 0) == bootstrap([]) == interval([]) == paired([], []) == (0.0, 1.0)


@pytest.mark.parametrize("seed", range(3))
def test_paired_differences_are_signed(seed: int) -> None:
    """Swapped sides change the sign; equal sides differ by nothing; unequal lengths are refused."""
    rng = random.Random(seed)
    one = [rng.random() for _ in range(50)]
    two = [value + rng.gauss(0.1, 0.05) for value in one]
    low, high = paired(two, one)
    assert 0 < low < high
    assert paired(one, two) == pytest.approx((-high, -low), abs=0.02)
    assert paired(one, one) == (0.0, 0.0)
    with pytest.raises(ValueError, match="zip"):
        paired(one, two[1:])
