"""Low-rank approximations beside numpy's whole decomposition, on matrices of every form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from expert_converters.low_rank import LowRank, truncate_dense, truncate_product

Doubles = NDArray[np.float64]
SHAPES = [(1, 1), (1, 9), (9, 1), (8, 8), (30, 7), (7, 30), (64, 48)]


def matrix(shape: tuple[int, int], seed: int = 0, fall: float = 0.7) -> Doubles:
    """Return a matrix whose singular values fall by a factor, as those of updates do."""
    draw, least = np.random.default_rng(seed), min(shape)
    u, _ = np.linalg.qr(draw.normal(size=(shape[0], least)))
    v, _ = np.linalg.qr(draw.normal(size=(shape[1], least)))
    made: Doubles = u * fall ** np.arange(least) @ v.T
    return made


def product(low: LowRank) -> Doubles:
    """Return the approximation as a whole matrix."""
    return low.b.astype(np.float64) @ low.a.astype(np.float64)


def best(whole: Doubles, rank: int) -> Doubles:
    """Return numpy's best approximation."""
    u, s, vt = np.linalg.svd(whole, full_matrices=False)
    made: Doubles = u[:, :rank] * s[:rank] @ vt[:rank]
    return made


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [1, 3, 100])
def test_dense_matrices_are_cut_as_numpy_cuts_them(shape: tuple[int, int], rank: int) -> None:
    """The same matrix, the same share, and factors of the shapes that an adapter has."""
    whole = matrix(shape)
    low = truncate_dense(whole.astype(np.float32), rank)
    kept = min(rank, *shape)
    assert low.a.shape == (kept, shape[1]) and low.b.shape == (shape[0], kept)
    assert low.a.dtype == low.b.dtype == np.float32
    assert np.allclose(product(low), best(whole, rank), atol=2e-6)
    s = np.linalg.svd(whole, compute_uv=False)
    assert low.total == pytest.approx(np.sum(s**2), rel=1e-5)
    assert low.share == pytest.approx(np.sum(s[:rank] ** 2) / np.sum(s**2), rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("inner", [1, 4, 40])
@pytest.mark.parametrize("rank", [1, 3, 100])
def test_products_are_cut_as_if_multiplied_out(
    shape: tuple[int, int], inner: int, rank: int
) -> None:
    """Inner dimensions below and above the sides, ranks below and above both."""
    draw = np.random.default_rng(inner)
    a = draw.normal(size=(inner, shape[1])).astype(np.float32)
    b = draw.normal(size=(shape[0], inner)).astype(np.float32)
    whole = b.astype(np.float64) @ a.astype(np.float64)
    low = truncate_product(a, b, rank)
    assert low.a.shape[0] == low.b.shape[1] <= rank
    size = float(np.linalg.norm(whole))
    assert np.linalg.norm(product(low) - best(whole, rank)) < 1e-5 * size
    assert low.total == pytest.approx(size**2, rel=1e-6)
    assert low.kept == pytest.approx(np.linalg.norm(product(low)) ** 2, rel=1e-5)
    assert np.linalg.norm(whole - product(low)) ** 2 == pytest.approx(
        low.total - low.kept, abs=1e-5 * size**2
    )


@pytest.mark.parametrize("seed", range(3))
def test_nothing_of_that_rank_is_closer(seed: int) -> None:
    """Eckart and Young: whatever else of the rank is tried, near or far, misses more."""
    whole = matrix((20, 12), seed)
    low = truncate_dense(whole.astype(np.float32), 3)
    least = np.linalg.norm(whole - product(low))
    draw = np.random.default_rng(seed)
    for size in (1e-3, 1e-1, 1.0):
        a = low.a + size * draw.normal(size=low.a.shape)
        b = low.b + size * draw.normal(size=low.b.shape)
        assert np.linalg.norm(whole - b @ a) > least


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_factors_share_the_size_evenly(scale: float) -> None:
    """A direction's row and column are equally long, so that neither leaves its type's range."""
    whole = (scale * matrix((24, 16))).astype(np.float32)
    for low in (truncate_dense(whole, 5), truncate_product(whole, np.eye(24, dtype="f4"), 5)):
        rows, columns = np.linalg.norm(low.a, axis=1), np.linalg.norm(low.b, axis=0)
        assert rows == pytest.approx(columns, rel=1e-3)
        assert list(rows) == sorted(rows, reverse=True)
        assert rows[0] ** 2 == pytest.approx(scale, rel=1e-3)


@pytest.mark.parametrize("shape", [(4, 6), (6, 4)])
def test_zero_has_a_low_rank(shape: tuple[int, int]) -> None:
    """Nothing is lost of it, nothing is divided by it, and no number is made up."""
    zero = np.zeros(shape, np.float32)
    found = truncate_dense(zero, 2), truncate_product(zero, np.eye(shape[0], dtype="f4"), 2)
    for low in found:
        assert not product(low).any() and np.isfinite(low.a).all() and np.isfinite(low.b).all()
        assert (low.kept, low.total, low.share) == (0, 0, 1)


def test_a_lower_rank_than_asked_for_is_exact() -> None:
    """What has rank two is kept whole by eight, and its surplus directions weigh nothing."""
    draw = np.random.default_rng(3)
    a, b = draw.normal(size=(2, 30)), draw.normal(size=(20, 2))
    for low in (
        truncate_dense((b @ a).astype(np.float32), 8),
        truncate_product(a.astype(np.float32), b.astype(np.float32), 8),
    ):
        assert np.allclose(product(low), b @ a, atol=1e-4)
        assert low.share == pytest.approx(1)


def test_more_rank_keeps_more() -> None:
    """The share grows with the rank, to all of it."""
    whole = matrix((12, 10)).astype(np.float32)
    shares = [truncate_dense(whole, rank).share for rank in range(1, 11)]
    assert shares == sorted(shares) and shares[0] < 0.6
    assert shares[-1] == pytest.approx(1)
