"""Vectors in a few bits: the error is that of the best codebooks, and bits are packed exactly."""

import numpy as np
import pytest
from numpy.typing import NDArray

from expert_converters.compress.codes import (
    BLOCK,
    WIDTHS,
    Coded,
    blocks_of,
    coded_bytes,
    encode,
    fit_levels,
    normal_error,
    normal_levels,
    pack_bits,
    unpack_bits,
)

BEST = {2: 0.1175, 3: 0.03454, 4: 0.009497, 5: 0.002499, 6: 0.000642}
"""Least mean squared error of so many bits for a normal distribution (Max, 1960)."""


def vectors(count: int, length: int, seed: int = 0) -> NDArray[np.float32]:
    """Return normal vectors of unlike strength."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((count, length)) * np.exp(-np.arange(count))[:, None]
    return values.astype(np.float32)


def relative(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the squared error as a share."""
    return float(np.sum((found - expected) ** 2) / np.sum(expected**2))


@pytest.mark.parametrize("width", WIDTHS)
def test_levels_are_nearly_as_good_as_the_best_known(width: int) -> None:
    """Before any fit they miss at most a tenth more than Max's quantiser for a normal value."""
    assert BEST[width] * 0.95 <= normal_error(width) <= BEST[width] * 1.1
    levels = normal_levels(width)
    assert len(levels) == 1 << width
    np.testing.assert_allclose(levels, -levels[::-1], atol=1e-5)


@pytest.mark.parametrize("width", WIDTHS)
def test_normal_vectors_lose_what_theory_says(width: int) -> None:
    """Scales of their own make blocks lose less than one quantiser for all of them would."""
    wanted = vectors(1, 32 * 400)
    levels = fit_levels([wanted], width)
    found = encode(wanted, levels).values(levels)
    assert relative(found, wanted) < BEST[width] * 1.05


def test_fitting_helps_where_values_are_not_normal() -> None:
    """A codebook of their own holds values of one size, two signs, and zeros."""
    wanted = np.random.default_rng(2).integers(-1, 2, (4, 256)).astype(np.float32)
    own, normal = fit_levels([wanted], 2), normal_levels(2)
    assert relative(encode(wanted, own).values(own), wanted) < 1e-3
    assert relative(encode(wanted, normal).values(normal), wanted) > 0.02


@pytest.mark.parametrize("width", WIDTHS)
def test_bits_are_packed_without_loss(width: int) -> None:
    """Every code comes back, in the bytes that were announced."""
    codes = np.random.default_rng(1).integers(0, 1 << width, (5, 3, BLOCK)).astype(np.uint8)
    packed = pack_bits(codes, width)
    assert packed.nbytes == codes.size * width // 8
    np.testing.assert_array_equal(unpack_bits(packed, width).reshape(codes.shape), codes)


@pytest.mark.parametrize("length", [1, 31, 32, 33, 64, 100])
def test_lengths_that_are_no_whole_blocks(length: int) -> None:
    """The last block is filled, and what fills it is cut off again."""
    wanted = vectors(3, length)
    levels = normal_levels(4)
    coded = encode(wanted, levels)
    assert coded.codes.shape == (3, blocks_of(length), BLOCK)
    assert coded.values(levels).shape == (3, length)
    assert relative(coded.values(levels), wanted) < 0.05


def test_zeros_stay_next_to_nothing() -> None:
    """A vector of zeros divides by nothing and comes back as good as zero."""
    levels = normal_levels(3)
    found = encode(np.zeros((2, 64), np.float32), levels).values(levels)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 1e-15


@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1.0, 1e6])
def test_the_error_does_not_depend_on_the_size_of_numbers(scale: float) -> None:
    """An adapter at a hundredth of the strength loses the same share."""
    wanted = vectors(2, 320) * np.float32(scale)
    levels = fit_levels([wanted], 3)
    assert relative(encode(wanted, levels).values(levels), wanted) < 0.04


def test_the_announced_bytes_are_those_of_the_parts() -> None:
    """What the budget counts is what the file takes."""
    for width in WIDTHS:
        coded = encode(vectors(1, 100), normal_levels(width))
        size = coded.peaks.nbytes + coded.scales.nbytes + pack_bits(coded.codes, width).nbytes
        assert size == coded_bytes(100, width)
        assert isinstance(coded, Coded)
