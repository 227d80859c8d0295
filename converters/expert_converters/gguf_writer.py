"""Writes small GGUF files straight into an open file, tensor by tensor.

gguf-py's writer takes tens of milliseconds for an adapter's hundreds of tensors and writes to paths
only; this one is bounded by the copying, so that a fused adapter can be handed over in memory.
The layout is that of ggml's `docs/gguf.md`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

from numpy.typing import NDArray

from .gguf_file import DEFAULT_ALIGNMENT, MAGIC
from .gguf_types import GGMLType, ValueType

VERSION = 3
Value: TypeAlias = str | float | int | Sequence[str] | Sequence[float] | Sequence[int]
"""Integers are written as UINT32, floats as FLOAT32."""


@dataclass(frozen=True, slots=True)
class NewTensor:
    """A tensor that will be written; `shape` is in ggml order (row length first)."""

    name: str
    shape: tuple[int, ...]
    type: GGMLType

    @property
    def nbytes(self) -> int:
        """Bytes of its data, without padding."""
        return math.prod(self.shape) // self.type.block_size * self.type.type_size


def write_gguf(
    file: BinaryIO,
    metadata: Mapping[str, Value],
    tensors: Sequence[NewTensor],
    data: Iterable[NDArray[Any]],
) -> int:
    """Write a GGUF file into *file* and return its size in bytes.

    Args:
        file: open for writing, at the place where the GGUF file begins.
        metadata: keys in the order of the file.
        tensors: the tensor table.
        data: the contents of each tensor in turn, C-contiguous, of the announced size; may be
            computed while writing.

    Raises:
        ValueError: *data* is not what *tensors* announced, a row is no whole number of blocks, or
            a list holds values of several types.
    """
    for tensor in tensors:
        if tensor.shape[0] % tensor.type.block_size:
            raise ValueError(f"{tensor.name} has rows of {tensor.shape[0]}, no whole blocks")
    header = b"".join(
        [
            MAGIC,
            struct.pack("<IQQ", VERSION, len(tensors), len(metadata)),
            *(_text(key) + _typed(value) for key, value in metadata.items()),
            _tensor_table(tensors),
        ]
    )
    size = file.write(header + _padding(len(header)))
    for tensor, values in zip(tensors, data, strict=True):
        nbytes = tensor.nbytes
        if values.nbytes != nbytes:
            raise ValueError(f"{tensor.name} has {values.nbytes} bytes, not {nbytes}")
        file.write(values.data)
        size += nbytes + file.write(_padding(nbytes))
    return size


def _tensor_table(tensors: Sequence[NewTensor]) -> bytes:
    rows, offset = [], 0
    for tensor in tensors:
        dims = len(tensor.shape)
        place = struct.pack(f"<I{dims}QIQ", dims, *tensor.shape, tensor.type, offset)
        rows.append(_text(tensor.name) + place)
        offset += _padded(tensor.nbytes)
    return b"".join(rows)


def _typed(value: Value) -> bytes:
    if isinstance(value, str | int | float):
        kind, raw = _scalar(value)
        return struct.pack("<I", kind) + raw
    items = [_scalar(item) for item in value]
    kind = items[0][0] if items else ValueType.UINT32
    if any(other is not kind for other, _ in items):
        raise ValueError(f"{list(value)!r:.80} is not of one type")
    header = struct.pack("<IIQ", ValueType.ARRAY, kind, len(items))
    return header + b"".join(raw for _, raw in items)


def _scalar(value: str | float | int) -> tuple[ValueType, bytes]:
    if isinstance(value, str):
        return ValueType.STRING, _text(value)
    if isinstance(value, int):
        return ValueType.UINT32, struct.pack("<I", value)
    return ValueType.FLOAT32, struct.pack("<f", value)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _padded(nbytes: int) -> int:
    return nbytes + -nbytes % DEFAULT_ALIGNMENT


def _padding(nbytes: int) -> bytes:
    return b"\0" * (_padded(nbytes) - nbytes)
