"""Vectors at 2 to 6 bits a value: blocks of 32 with a scale each, and one codebook a width.

The levels begin as those that are best for a normal distribution (Max, 1960; from the quantiles of
three times the variance, Panter and Dite, 1951) and are then fitted to the adapter by Lloyd's
iteration (1957), together with the blocks' scales by least squares. Singular vectors of trained
updates are close to normal, so that the fit moves little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .spectrum import Floats

Bytes = NDArray[np.uint8]

BLOCK = 32
"""Values that share a scale."""
WIDTHS = (2, 3, 4, 5, 6)
"""Bits a value that a direction can have."""
SCALE_STEPS = 255
NORMAL_ROUNDS = 60
ROUNDS = 3
"""Of fitting scales and levels; further ones change the error by less than a thousandth."""


@dataclass(frozen=True, slots=True)
class Coded:
    """Vectors of one length in codes."""

    width: int
    """Bits of a code."""
    length: int
    """Values of a vector; the last block is filled with whatever comes out."""
    peaks: Floats
    """The largest scale of each vector; shape (vectors,)."""
    scales: Bytes
    """Each block's scale as so many 255ths of its vector's largest; shape (vectors, blocks)."""
    codes: Bytes
    """Index of the level, one a byte; shape (vectors, blocks, 32)."""

    def values(self, levels: Floats) -> Floats:
        """Return the vectors; shape (vectors, length)."""
        scales = self.peaks[:, None] * self.scales.astype(np.float32)
        values = levels[self.codes] * (scales / np.float32(SCALE_STEPS))[:, :, None]
        return np.ascontiguousarray(values.reshape(len(self.codes), -1)[:, : self.length])


def blocks_of(length: int) -> int:
    """Return how many blocks a vector takes."""
    return -(-length // BLOCK)


def coded_bytes(length: int, width: int) -> int:
    """Return the bytes of one vector: its peak, its blocks' scales and its codes."""
    return 4 + blocks_of(length) * (1 + BLOCK * width // 8)


@cache
def normal_levels(width: int) -> Floats:
    """Return the best levels for normally distributed values of variance 1, ascending."""
    values, count = _normal_values(), 1 << width
    spread = NormalDist(0, math.sqrt(3))
    levels = np.array([spread.inv_cdf((i + 0.5) / count) for i in range(count)], np.float32)
    for _ in range(NORMAL_ROUNDS):
        codes = _nearest(values, levels)
        sums, counts = np.bincount(codes, values, count), np.bincount(codes, minlength=count)
        levels = (sums / np.maximum(counts, 1)).astype(np.float32)
    return levels


@cache
def normal_error(width: int) -> float:
    """Return the mean squared error that `normal_levels` leave of a normal value of variance 1."""
    values, levels = _normal_values(), normal_levels(width)
    return float(np.mean((values - levels[_nearest(values, levels)]) ** 2))


@cache
def _normal_values() -> Floats:
    """Return values that a normal distribution of variance 1 has equally often."""
    values = (NormalDist().inv_cdf((i + 0.5) / 8192) for i in range(8192))
    return np.array(list(values), np.float32)


def fit_levels(vectors: list[Floats], width: int) -> Floats:
    """Return the levels for these vectors, each of shape (vectors, its length)."""
    blocks: Floats = np.concatenate([_blocks(part).reshape(-1, BLOCK) for part in vectors])
    blocks = blocks[:: max(1, len(blocks) // 4096)]  # enough for so few levels
    levels = normal_levels(width)
    scales = _root_mean_square(blocks)
    for _ in range(ROUNDS):
        unit = blocks / scales[:, None]
        codes = _nearest(unit, levels)
        weights = np.broadcast_to((scales**2)[:, None], unit.shape)
        sums = np.bincount(codes.ravel(), (weights * unit).ravel(), len(levels))
        counts = np.bincount(codes.ravel(), weights.ravel(), len(levels))
        levels = np.where(counts > 0, sums / np.maximum(counts, 1e-30), levels).astype(np.float32)
        scales = _best_scales(blocks, levels[codes], scales)
    return levels


def encode(vectors: Floats, levels: Floats) -> Coded:
    """Return vectors of shape (vectors, length) in the codes of a codebook."""
    blocks = _blocks(vectors)
    scales = _root_mean_square(blocks)
    for _ in range(ROUNDS):
        codes = _nearest(blocks / scales[..., None], levels)
        scales = _best_scales(blocks, levels[codes], scales)
    peaks = scales.max(axis=1)
    steps = np.rint(scales / peaks[:, None] * SCALE_STEPS)
    steps = np.clip(steps, 1, SCALE_STEPS).astype(np.uint8)
    rounded = peaks[:, None] * steps / np.float32(SCALE_STEPS)
    codes = _nearest(blocks / rounded[..., None], levels)
    width = (len(levels) - 1).bit_length()
    return Coded(width, vectors.shape[1], peaks, steps, codes)


def pack_bits(codes: Bytes, width: int) -> Bytes:
    """Return codes as a row of *width* bits each, the lowest bit first; 8 codes at least."""
    bits = np.unpackbits(codes.reshape(-1, 1), axis=1, count=width, bitorder="little")
    return np.packbits(bits, bitorder="little")


def unpack_bits(packed: Bytes, width: int) -> Bytes:
    """Undo `pack_bits`."""
    bits = np.unpackbits(packed, bitorder="little").reshape(-1, width)
    return np.packbits(bits, axis=1, bitorder="little").reshape(-1)


def _blocks(vectors: Floats) -> Floats:
    count, length = vectors.shape
    filled = np.pad(vectors, ((0, 0), (0, blocks_of(length) * BLOCK - length)))
    return filled.reshape(count, -1, BLOCK)


def _root_mean_square(blocks: Floats) -> Floats:
    root: Floats = np.sqrt(np.mean(blocks**2, axis=-1))
    return np.maximum(root, np.float32(1e-20))


def _best_scales(blocks: Floats, chosen: Floats, before: Floats) -> Floats:
    """Return the scales that bring the chosen levels closest to the blocks."""
    across = np.sum(blocks * chosen, axis=-1)
    square = np.sum(chosen * chosen, axis=-1)
    best = np.divide(across, square, out=before.copy(), where=square > 0)
    return np.where(best > 0, best, before)


def _nearest(values: Floats, levels: Floats) -> Bytes:
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, values).astype(np.uint8)
