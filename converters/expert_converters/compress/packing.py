"""What is in a packed file: from directions to its tensors, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .allocation import Widths
from .codes import (
    BLOCK,
    WIDTHS,
    Bytes,
    Coded,
    blocks_of,
    encode,
    fit_levels,
    pack_bits,
    unpack_bits,
)
from .packed_file import CODES, Matrix, PackedFile, refuse
from .sparse import Sparse, SparseFactors, mask_bytes
from .spectrum import Factors, Floats, Spectrum


@dataclass(frozen=True)
class Packed:
    """What goes into a packed file, and what will come out of it."""

    matrices: list[Matrix]
    levels: dict[int, list[float]]
    data: dict[str, NDArray[Any]]
    factors: list[Factors]


def pack_codes(spectra: Sequence[Spectrum], widths: Sequence[Widths]) -> Packed:
    """Return directions in codes of the bits allotted to them; those of 0 bits are left out."""
    pairs = zip(spectra, widths, strict=True)
    chosen = [(_only(one.factors, bits > 0), bits[bits > 0]) for one, bits in pairs if bits.any()]
    levels = {width: _levels(chosen, width) for width in WIDTHS if _has(chosen, width)}
    streams: dict[str, list[NDArray[Any]]] = {"widths": [], "peaks": [], "scales": [], "codes": []}
    made = []
    for factors, bits in chosen:
        coded = [_encode(vectors, bits, levels) for vectors in (factors.u, factors.v)]
        streams["widths"].append(bits)
        for side in coded:
            streams["peaks"].append(side.peaks)
            streams["scales"].append(side.scales.ravel())
        for width in sorted(set(bits.tolist())):
            streams["codes"] += [pack_bits(side.codes[bits == width], width) for side in coded]
        made.append(Factors(factors.target, *(side.values(bits, levels) for side in coded)))
    data = {name: np.concatenate(parts) for name, parts in streams.items()}
    listed = {width: values.tolist() for width, values in levels.items()}
    return Packed([_matrix(factors) for factors, _ in chosen], listed, data, made)


def pack_sparse(parts: Sequence[SparseFactors]) -> Packed:
    """Return sparse directions as tensors."""
    sides = [side for part in parts for side in (part.u, part.v)]
    data = {
        "scales": np.concatenate([side.scales for side in sides]),
        "masks": np.concatenate([side.masks.ravel() for side in sides]),
        "values": np.concatenate([side.values for side in sides]),
    }
    factors = [part.factors() for part in parts]
    return Packed([_matrix(one) for one in factors], {}, data, factors)


def unpack(packed: PackedFile) -> Iterator[Factors]:
    """Yield the update of each matrix of a packed file.

    Raises:
        AdapterError: a tensor has another size than the ranks call for, or a width is unknown.
    """
    yield from (_unpack_codes if packed.method == CODES else _unpack_sparse)(packed)


@dataclass(frozen=True, slots=True)
class _Side:
    """All u or all v of a matrix in codes; the width differs by direction."""

    length: int
    peaks: Floats
    scales: Bytes
    codes: Bytes
    """Shape (directions, blocks, 32)."""

    def values(self, bits: Widths, levels: Mapping[int, Floats]) -> Floats:
        values = np.zeros((len(bits), self.length), np.float32)
        for width in sorted(set(bits.tolist())):
            own = bits == width
            part = Coded(width, self.length, self.peaks[own], self.scales[own], self.codes[own])
            values[own] = part.values(levels[width])
        return values


def _encode(vectors: Floats, bits: Widths, levels: Mapping[int, Floats]) -> _Side:
    count, length = vectors.shape
    blocks = blocks_of(length)
    side = _Side(
        length,
        np.zeros(count, np.float32),
        np.zeros((count, blocks), np.uint8),
        np.zeros((count, blocks, BLOCK), np.uint8),
    )
    for width in sorted(set(bits.tolist())):
        own = bits == width
        coded = encode(vectors[own], levels[width])
        side.peaks[own], side.scales[own], side.codes[own] = coded.peaks, coded.scales, coded.codes
    return side


def _only(factors: Factors, places: NDArray[np.bool_]) -> Factors:
    return Factors(factors.target, factors.u[places], factors.v[places])


def _has(chosen: Sequence[tuple[Factors, Widths]], width: int) -> bool:
    return any((bits == width).any() for _, bits in chosen)


def _levels(chosen: Sequence[tuple[Factors, Widths]], width: int) -> Floats:
    sides = [side[bits == width] for one, bits in chosen for side in (one.u, one.v)]
    return fit_levels([side for side in sides if len(side)], width)


def _matrix(factors: Factors) -> Matrix:
    return Matrix(factors.target, factors.v.shape[1], factors.u.shape[1], factors.rank)


class _Streams:
    """The tensors of a packed file, taken piece by piece."""

    def __init__(self, packed: PackedFile) -> None:
        self._packed = packed
        self._taken = dict.fromkeys(packed.data, 0)

    def take(self, name: str, count: int) -> NDArray[Any]:
        """Return the next *count* elements of a tensor."""
        start = self._taken[name]
        found = self._packed.data[name][start : start + count]
        if len(found) != count:
            refuse(self._packed.path, f"packed.{name} is shorter than its matrices call for")
        self._taken[name] = start + count
        return found

    def finish(self) -> None:
        """Refuse a file that holds more than was taken."""
        for name, taken in self._taken.items():
            if taken != len(self._packed.data[name]):
                refuse(self._packed.path, f"packed.{name} is longer than its matrices call for")


def _unpack_codes(packed: PackedFile) -> Iterator[Factors]:
    streams = _Streams(packed)
    for matrix in packed.matrices:
        bits = streams.take("widths", matrix.rank)
        unknown = set(bits.tolist()) - packed.levels.keys()
        if unknown:
            refuse(packed.path, f"{matrix.target} has codes of {min(unknown)} bits, no codebook")
        lengths = (matrix.outputs, matrix.inputs)
        peaks, scales = [], []
        for length in lengths:
            peaks.append(streams.take("peaks", matrix.rank))
            count = matrix.rank * blocks_of(length)
            scales.append(streams.take("scales", count).reshape(matrix.rank, -1))
        codes = [np.zeros((matrix.rank, blocks_of(n), BLOCK), np.uint8) for n in lengths]
        for width in sorted(set(bits.tolist())):
            own = bits == width
            for side in codes:
                size = int(own.sum()) * side.shape[1] * BLOCK * width // 8
                part = unpack_bits(streams.take("codes", size), width)
                side[own] = part.reshape(-1, *side.shape[1:])
        sides = map(_Side, lengths, peaks, scales, codes)
        yield Factors(matrix.target, *(side.values(bits, packed.levels) for side in sides))
    streams.finish()


def _unpack_sparse(packed: PackedFile) -> Iterator[Factors]:
    streams = _Streams(packed)
    for matrix in packed.matrices:
        sides = [_take_sparse(streams, matrix.rank, n) for n in (matrix.outputs, matrix.inputs)]
        yield SparseFactors(matrix.target, *sides).factors()
    streams.finish()


def _take_sparse(streams: _Streams, rank: int, length: int) -> Sparse:
    scales = streams.take("scales", rank)
    masks = streams.take("masks", rank * mask_bytes(length)).reshape(rank, -1)
    kept = int(np.unpackbits(masks, axis=1, count=length, bitorder="little").sum())
    return Sparse(length, scales, masks, streams.take("values", kept).view(np.int8))
