"""One matrix of a fused adapter: how its factors are laid out, and their bytes.

Stored blocks are copied; a scale multiplies numbers of float types, but only the half-precision
scale of each block of quantised types, whose integers stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import AdapterError
from .gguf_types import GGMLType
from .gguf_writer import NewTensor
from .lora_file import RANK_MULTIPLE, Bytes, Factor, Floats, Pair, encode
from .low_rank import LowRank, truncate_product

BLOCK_TYPES = (GGMLType.Q8_0, GGMLType.Q4_0)
"""Types whose blocks begin with one half-precision scale and have no offset."""


@dataclass(frozen=True, slots=True)
class StoredType:
    """How factors are stored."""

    wanted: GGMLType | None = None
    """None keeps the parts' own type where they share one."""
    mixed: GGMLType = GGMLType.F32
    """The type of factors whose parts have several."""

    def of(self, factors: Sequence[Factor], *, along_rank: bool) -> GGMLType:
        """Return the type for the joined *factors*."""
        types = {factor.type for factor in factors}
        if self.wanted is None and len(types) == 1:
            return types.pop()
        wanted = self.wanted or self.mixed
        # Ranks are padded to whole blocks, but the model decides the length of other rows.
        fits = along_rank or factors[0].columns % wanted.block_size == 0
        return wanted if fits else GGMLType.F16


@dataclass(frozen=True, slots=True)
class FusedPair:
    """The plan for the factors of one matrix; see `plan_pair`."""

    target: str
    pairs: tuple[Pair, ...]
    scales: tuple[float, ...]
    """Factor before each product B A, the adapters' own alpha / rank included."""
    a_type: GGMLType
    b_type: GGMLType
    widths: tuple[int, ...]
    """Ranks each part takes up, padding included."""
    rank: int
    """Rank in the file."""
    truncated: int | None
    """Rank to truncate to; None concatenates."""

    @property
    def flipped(self) -> bool:
        """Whether A is stored transposed."""
        return self.pairs[0].flipped

    def tensors(self) -> tuple[NewTensor, NewTensor]:
        """Announce both factors."""
        first = self.pairs[0]
        a_shape = (self.rank, first.a.rows) if self.flipped else (first.a.columns, self.rank)
        return (
            NewTensor(f"{self.target}.lora_a", a_shape, self.a_type),
            NewTensor(f"{self.target}.lora_b", (self.rank, first.b.rows), self.b_type),
        )

    def concatenate(self, alpha: float) -> tuple[Bytes, Bytes]:
        """Return both factors as stored bytes, for a file with *alpha*."""
        scales = [scale * self.rank / alpha for scale in self.scales]
        # Scales go into A: it keeps the size of its initialisation, whereas the half-precision
        # block scales of a lightly trained B are subnormal and would lose bits.
        arrange = _side_by_side if self.flipped else _stacked
        a = arrange(self, [pair.a for pair in self.pairs], scales, self.a_type)
        ones = [1.0] * len(scales)
        return a, _side_by_side(self, [pair.b for pair in self.pairs], ones, self.b_type)

    def approximate(self, alpha: float, rank: int) -> tuple[Bytes, Bytes, LowRank]:
        """Return both factors of the sum's best approximation of *rank*, and what it keeps."""
        decoded = [pair.values() for pair in self.pairs]
        scaled = zip(decoded, self.scales, strict=True)
        a = np.concatenate([a * np.float32(scale) for (a, _), scale in scaled])
        low = truncate_product(a, np.concatenate([b for _, b in decoded], axis=1), rank)
        padding = (0, self.rank - low.a.shape[0])
        a = np.pad(low.a * np.float32(self.rank / alpha), (padding, (0, 0)))
        a = np.ascontiguousarray(a.T) if self.flipped else a
        b = np.pad(low.b, ((0, 0), padding))
        return encode(a, self.a_type).raw, encode(b, self.b_type).raw, low


def plan_pair(
    target: str,
    parts: Sequence[tuple[Pair, float]],
    stored: StoredType,
    rank: int | None,
) -> FusedPair:
    """Lay out the sum of the *parts*, pairs with their scales.

    Args:
        target: name of the adapted matrix.
        parts: the products to add up.
        stored: how to store the result.
        rank: highest rank of the result; None keeps everything.
    """
    pairs = [pair for pair, _ in parts]
    flipped = pairs[0].flipped
    a_type = stored.of([pair.a for pair in pairs], along_rank=flipped)
    b_type = stored.of([pair.b for pair in pairs], along_rank=True)
    # Two parts cannot share a block that lies along the rank.
    block = max(b_type.block_size, a_type.block_size if flipped else 1)
    widths = tuple(_padded(pair.rank, block) for pair in pairs)
    needed = sum(widths)
    if rank is not None:
        needed = min(rank, sum(pair.rank for pair in pairs), *pairs[0].shape)
    return FusedPair(
        target,
        tuple(pairs),
        tuple(scale * pair.scale for pair, scale in parts),
        a_type,
        b_type,
        widths,
        _padded(needed, RANK_MULTIPLE),
        rank,
    )


def _stacked(
    plan: FusedPair, factors: Sequence[Factor], scales: Sequence[float], kind: GGMLType
) -> Bytes:
    """Put factors whose rows are ranks below each other."""
    columns = factors[0].columns // kind.block_size * kind.type_size
    stacked = np.zeros((plan.rank, columns), np.uint8)
    start = 0
    for factor, width, scale in zip(factors, plan.widths, scales, strict=True):
        part = stacked[start : start + factor.rows]
        part[:] = _stored(factor, kind, factor.columns)
        _multiply(part, kind, scale)
        start += width
    return stacked


def _side_by_side(
    plan: FusedPair, factors: Sequence[Factor], scales: Sequence[float], kind: GGMLType
) -> Bytes:
    """Put factors whose columns are ranks beside each other, which interleaves their blocks."""
    joined = np.zeros((factors[0].rows, _row_bytes(plan.rank, kind)), np.uint8)
    start = 0
    for factor, width, scale in zip(factors, plan.widths, scales, strict=True):
        stored = _stored(factor, kind, width)
        part = joined[:, start : start + stored.shape[1]]
        part[:] = stored
        _multiply(part, kind, scale)
        start += _row_bytes(width, kind)
    return joined


def _stored(factor: Factor, kind: GGMLType, columns: int) -> Bytes:
    """Return a factor as *kind*, its own bytes where that is its type already."""
    if factor.type is kind:
        return factor.raw
    values: Floats = factor.values()
    return encode(np.pad(values, ((0, 0), (0, columns - factor.columns))), kind).raw


def _multiply(part: Bytes, kind: GGMLType, scale: float) -> None:
    """Multiply stored numbers by *scale*, in place."""
    if scale == 1:
        return
    if kind is GGMLType.BF16:
        part[:] = encode(
            Factor(kind, part, part.shape[1] // 2).values() * np.float32(scale), kind
        ).raw
        return
    if kind in BLOCK_TYPES:
        blocks = part.reshape(part.shape[0], -1, kind.type_size)
        numbers = blocks[:, :, :2].view("<f2")
    else:
        numbers = part.view("<f4" if kind is GGMLType.F32 else "<f2")
    with np.errstate(over="ignore"):
        numbers[:] = numbers.astype(np.float32) * np.float32(scale)
    if not np.isfinite(numbers).all():
        raise AdapterError(
            "The adapters cannot be fused",
            f"a scale of {scale:g} leaves the range of {kind.name}, or a part is not finite",
            "Use smaller scales.",
        )


def _row_bytes(columns: int, kind: GGMLType) -> int:
    return columns // kind.block_size * kind.type_size


def _padded(rank: int, multiple: int) -> int:
    return -(-rank // multiple) * multiple
