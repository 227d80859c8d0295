"""Opens a GGUF LoRA as memory-mapped factors, so that its bytes are read once, where they are used.

`fuse` copies the stored blocks without decoding them; `interference` decodes one matrix at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from .check_adapter import ALPHA, EMBEDDING, FACTOR_TYPES, INVOCATION
from .errors import AdapterError, Truncated
from .gguf_file import ArrayValue, GGUFFile, TensorInfo, inspect
from .gguf_types import GGMLType, ValueType
from .identity import BaseIdentity, declared_identity

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

TYPES = {
    "f32": GGMLType.F32,
    "f16": GGMLType.F16,
    "bf16": GGMLType.BF16,
    "q8_0": GGMLType.Q8_0,
}
"""Types that factors are written in, by the name people type."""
RANK_MULTIPLE = 32
"""Ranks are padded to whole blocks of the quantised types, and of llama.cpp's inner loops."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One stored factor; `raw` has the shape (rows, bytes of a row)."""

    type: GGMLType
    raw: Bytes
    columns: int
    """Elements in a row."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.raw.shape[0])

    def values(self) -> Floats:
        """Decode the factor to float32; shape (rows, columns)."""
        if self.type is GGMLType.F32:
            return self.raw.view("<f4").astype(np.float32)
        if self.type is GGMLType.F16:
            return self.raw.view("<f2").astype(np.float32)
        if self.type is GGMLType.BF16:
            return (self.raw.view("<u2").astype("<u4") << 16).view(np.float32)
        # gguf-py takes sixteen rows at a time, which is ten times slower.
        blocks = self.raw.reshape(-1, self.type.type_size)
        scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
        return (scales * _integers(blocks[:, 2:], self.type)).reshape(self.rows, self.columns)


def _integers(packed: Bytes, kind: GGMLType) -> NDArray[np.int8]:
    if kind is GGMLType.Q8_0:
        return packed.view(np.int8)
    # Q4_0 keeps the first half of a block in the low halves of its bytes.
    nibbles = np.concatenate([packed & 15, packed >> 4], axis=1)
    return nibbles.view(np.int8) - np.int8(8)


def encode(values: Floats, kind: GGMLType) -> Factor:
    """Store the matrix *values* as *kind*.

    Raises:
        AdapterError: a number is beyond the range of *kind*.
    """
    # Imported here because copying stored blocks does without.
    from gguf import GGMLQuantizationType, quants

    with np.errstate(over="ignore", invalid="ignore"):
        stored = quants.quantize(np.ascontiguousarray(values), GGMLQuantizationType(kind))
    raw: Bytes = stored.view(np.uint8)
    factor = Factor(kind, raw, values.shape[1])
    if not np.isfinite(factor.values()).all():
        raise AdapterError(
            "The adapter cannot be written",
            f"it holds numbers beyond the range of {kind.name}",
            "Use f32 and smaller scales.",
        )
    return factor


@dataclass(frozen=True, slots=True)
class Pair:
    """The two factors of one adapted matrix, and the factor llama.cpp puts before B A."""

    a: Factor
    b: Factor
    scale: float
    flipped: bool
    """A is stored as (tokens, rank) instead of (rank, inputs), for the input embedding."""

    @property
    def rank(self) -> int:
        """Inner dimension of the product."""
        return self.b.columns

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs of the adapted matrix."""
        return self.b.rows, self.a.rows if self.flipped else self.a.columns

    def values(self) -> tuple[Floats, Floats]:
        """Decode both factors to float32: A as (rank, inputs), B as (outputs, rank)."""
        a = self.a.values()
        return (a.T if self.flipped else a), self.b.values()


@dataclass(frozen=True)
class LoraFile:
    """An adapter's metadata and its factors, by the name of the matrix they adapt."""

    path: Path
    architecture: str
    invocation: tuple[int, ...]
    """Tokens from which an aLoRA is active; empty for an ordinary LoRA."""
    pairs: dict[str, Pair]
    base: BaseIdentity | None
    """The base it names; None if it names none."""


def open_lora(path: Path) -> LoraFile:
    """Map the GGUF LoRA at *path*; whether it fits a base is `check_adapter`'s matter.

    Raises:
        GGUFError: it is not a readable GGUF file.
        AdapterError: it is no LoRA, or its factors do not belong together.
    """
    header = inspect(path)
    architecture = header.metadata.get("general.architecture")
    kinds = (header.metadata.get("general.type"), header.metadata.get("adapter.type"))
    if not isinstance(architecture, str) or kinds != ("adapter", "lora"):
        _refuse(path, "it is not a LoRA adapter")
    alpha = header.metadata.get(ALPHA)
    if not isinstance(alpha, float) or not math.isfinite(alpha) or alpha <= 0:
        _refuse(path, f"{ALPHA} is {alpha!r}, expected a positive number")
    return LoraFile(
        path,
        architecture,
        _invocation(header),
        _read_pairs(header, alpha),
        declared_identity(header),
    )


def _invocation(header: GGUFFile) -> tuple[int, ...]:
    value = header.metadata.get(INVOCATION)
    if value is None:
        return ()
    if not isinstance(value, ArrayValue) or value.type is not ValueType.UINT32:
        _refuse(header.path, f"{INVOCATION} is not a list of UINT32 numbers")
    return tuple(int(token) for token in header.array(INVOCATION))


def _read_pairs(header: GGUFFile, alpha: float) -> dict[str, Pair]:
    data = np.memmap(header.path, np.uint8, "r").view(np.ndarray)
    if data.size != header.size:
        raise Truncated(f"{header.path} changed", "it was written while being read", "Retry.")
    factors: dict[str, dict[str, Factor]] = {}
    for name, tensor in header.tensors.items():
        target, _, which = name.rpartition(".")
        if which not in ("lora_a", "lora_b"):
            _refuse(header.path, f"the tensor {name} is not a LoRA factor")
        factors.setdefault(target, {})[which] = _factor(header, tensor, data)
    if not factors:
        _refuse(header.path, "it holds no tensors")
    return {target: _pair(header, target, found, alpha) for target, found in factors.items()}


def _factor(header: GGUFFile, tensor: TensorInfo, data: Bytes) -> Factor:
    if len(tensor.shape) != 2 or tensor.type not in FACTOR_TYPES:
        found = f"{tensor.type.name} {tensor.shape}"
        _refuse(header.path, f"the tensor {tensor.name} is {found}, no matrix of a known type")
    start = header.data_offset + tensor.offset
    raw = data[start : start + tensor.nbytes].reshape(tensor.shape[1], -1)
    return Factor(tensor.type, raw, tensor.shape[0])


def _pair(header: GGUFFile, target: str, found: dict[str, Factor], alpha: float) -> Pair:
    if len(found) != 2:
        _refuse(header.path, f"{target} has only one of its two factors")
    a, b = found["lora_a"], found["lora_b"]
    flipped = target == EMBEDDING
    if (a.columns if flipped else a.rows) != b.columns:
        _refuse(header.path, f"the two factors of {target} have different ranks")
    return Pair(a, b, alpha / b.columns, flipped)


def _refuse(path: Path, why: str) -> NoReturn:
    raise AdapterError(
        f"{path} cannot be used as an adapter", why, "Use a LoRA adapter in the GGUF format."
    )
