"""Adapters in the types that llama.cpp computes with: the forms that need no unpacking.

All of a direction's weight goes into its row of A, where the blocks lie along the inputs; the
columns of B are then of one length, which is what blocks along the rank can hold.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..check_adapter import ALPHA, EMBEDDING, INVOCATION
from ..files import replacing
from ..gguf_types import GGMLType
from ..gguf_writer import NewTensor, Value, write_gguf
from ..identity import identity_keys
from ..lora_file import RANK_MULTIPLE, Bytes, LoraFile, encode
from .packed_file import PackedFile
from .spectrum import Factors

TENSOR_ROW = 8 + 4 + 16 + 4 + 8 + 31
"""Bytes of a matrix in a tensor table beside its name, and the most that its padding takes."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the factors of one matrix are stored."""

    target: str
    inputs: int
    outputs: int
    rank: int
    """Padding included."""
    a: GGMLType
    b: GGMLType

    def tensors(self) -> tuple[NewTensor, NewTensor]:
        """Announce both factors."""
        flipped = self.target == EMBEDDING
        a_shape = (self.rank, self.inputs) if flipped else (self.inputs, self.rank)
        return (
            NewTensor(f"{self.target}.lora_a", a_shape, self.a),
            NewTensor(f"{self.target}.lora_b", (self.rank, self.outputs), self.b),
        )

    @property
    def nbytes(self) -> int:
        """Bytes in a file, with what the tensor table says of them."""
        tensors = self.tensors()
        return sum(one.nbytes + TENSOR_ROW + len(one.name) for one in tensors)


def quick_layout(factors: Factors, kind: GGMLType) -> Layout:
    """Return the layout that llama.cpp is quickest with: whole blocks of ranks."""
    return _layout(factors, -(-factors.rank // RANK_MULTIPLE) * RANK_MULTIPLE, kind)


def small_layout(factors: Factors, rank: int, kind: GGMLType) -> Layout:
    """Return the smallest layout for the first *rank* directions: padded blocks, or B in F16."""
    padded = _layout(factors, -(-rank // RANK_MULTIPLE) * RANK_MULTIPLE, kind)
    exact = _layout(factors, rank, kind)
    return min(padded, exact, key=lambda one: one.nbytes)


def _layout(factors: Factors, rank: int, kind: GGMLType) -> Layout:
    inputs, outputs = factors.v.shape[1], factors.u.shape[1]

    def stored(row: int) -> GGMLType:
        return GGMLType.F16 if row % kind.block_size else kind

    flipped = factors.target == EMBEDDING
    a = stored(rank if flipped else inputs)
    return Layout(factors.target, inputs, outputs, rank, a, stored(rank))


def write_lora(
    target: Path, parts: Sequence[tuple[Factors, Layout]], metadata: Mapping[str, Value]
) -> int:
    """Write an adapter that computes these updates and return its size in bytes.

    Raises:
        AdapterError: a number is beyond the range of its type.
    """
    alpha = float(max(layout.rank for _, layout in parts))
    tensors = [tensor for _, layout in parts for tensor in layout.tensors()]
    data = (raw for factors, layout in parts for raw in _encoded(factors, layout, alpha))
    with replacing(target) as part, part.open("wb") as file:
        size = write_gguf(file, {**metadata, ALPHA: alpha}, tensors, data)
    return size


def _encoded(factors: Factors, layout: Layout, alpha: float) -> tuple[Bytes, Bytes]:
    """Return the stored bytes of both factors, for a file with *alpha*."""
    chosen = factors.leading(layout.rank)
    length = np.linalg.norm(chosen.u, axis=1, keepdims=True)
    length = np.where(length > 0, length, 1).astype(np.float32)
    middle = np.float32(length[0, 0])
    a = chosen.v * length / middle * np.float32(layout.rank / alpha)
    b = (chosen.u / length * middle).T
    padding = (0, layout.rank - chosen.rank)
    a, b = np.pad(a, (padding, (0, 0))), np.pad(b, ((0, 0), padding))
    a = np.ascontiguousarray(a.T) if layout.target == EMBEDDING else a
    return encode(a, layout.a).raw, encode(b, layout.b).raw


LORA: Mapping[str, Value] = {"general.type": "adapter", "adapter.type": "lora"}


def metadata_of(source: LoraFile | PackedFile, kind: Mapping[str, Value]) -> dict[str, Value]:
    """Return what a file of this *kind* made of *source* says: its base and its invocation."""
    metadata: dict[str, Value] = {"general.architecture": source.architecture, **kind}
    if source.base is not None:
        metadata |= identity_keys(source.base)
    if source.invocation:
        metadata[INVOCATION] = list(source.invocation)
    return metadata


def head_bytes(metadata: Mapping[str, Value]) -> int:
    """Return the bytes of a file that has these keys and nothing else."""
    return write_gguf(io.BytesIO(), metadata, [], [])
