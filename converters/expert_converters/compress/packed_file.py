"""The at-rest form of an adapter: a GGUF that only `expand` reads, its vectors in a few bits.

`general.type` is `packed-adapter`, which llama.cpp refuses. Keys `expert.packed.*`: `version` (1),
`method` (`codes` or `sparse`), `loss` (share of the squared norm that the expanded adapter misses),
and for every matrix its name, inputs, outputs and rank. One-dimensional tensors hold the rest, each
running through the matrices in order and, in each, through all u before all v (see `packing`):

- codes: `widths` I8, the bits of each direction; `peaks` F32 and `scales` I8 (unsigned) of each
  vector; `codes` I8, in each matrix width by width, packed with the lowest bit first. The keys
  `levels.N` hold the codebook of each width.
- sparse: `scales` F32, `masks` I8, `values` I8.

Sizes follow from the numbers and are compared before anything is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..check_adapter import INVOCATION, MAX_RANK
from ..errors import AdapterError
from ..files import replacing
from ..gguf_file import MAX_NAME_BYTES, ArrayValue, GGUFFile, inspect
from ..gguf_types import GGMLType, ValueType
from ..gguf_writer import NewTensor, Value, write_gguf
from ..identity import PREFIX, BaseIdentity, declared_identity

PACKED_TYPE = "packed-adapter"
VERSION = 1
KEY = "expert.packed."
CODES, SPARSE = "codes", "sparse"
MAX_SIDE = 1 << 20
"""Longest side of a matrix; the largest models have a quarter of it."""
MAX_TARGETS = 1 << 13
LARGEST = 1e6
"""Largest scale or level; no adapter comes near, and products of larger ones could overflow."""
TENSORS = {
    CODES: {
        "widths": GGMLType.I8,
        "peaks": GGMLType.F32,
        "scales": GGMLType.I8,
        "codes": GGMLType.I8,
    },
    SPARSE: {"scales": GGMLType.F32, "masks": GGMLType.I8, "values": GGMLType.I8},
}
_SCALARS = {"version": ValueType.UINT32, "method": ValueType.STRING, "loss": ValueType.FLOAT32}
_LISTS = {"targets": ValueType.STRING} | dict.fromkeys(
    ("inputs", "outputs", "ranks"), ValueType.UINT32
)


@dataclass(frozen=True, slots=True)
class Matrix:
    """One adapted matrix in a packed file."""

    target: str
    inputs: int
    outputs: int
    rank: int


@dataclass(frozen=True)
class PackedFile:
    """A packed adapter whose keys and sizes are known to be right."""

    path: Path
    architecture: str
    invocation: tuple[int, ...]
    base: BaseIdentity | None
    method: str
    loss: float
    matrices: tuple[Matrix, ...]
    levels: dict[int, NDArray[np.float32]]
    """The codebook of each width."""
    data: dict[str, NDArray[Any]]
    """The tensors, by the last part of their name."""


def is_packed(header: GGUFFile) -> bool:
    """Tell whether a file claims to be a packed adapter."""
    return header.metadata.get("general.type") == PACKED_TYPE


def packed_metadata(
    matrices: Sequence[Matrix], method: str, loss: float, levels: Mapping[int, Sequence[float]]
) -> dict[str, Value]:
    """Return the keys of a packed file that say what is in its tensors."""
    return {
        KEY + "version": VERSION,
        KEY + "method": method,
        KEY + "loss": float(loss),
        KEY + "targets": [matrix.target for matrix in matrices],
        KEY + "inputs": [matrix.inputs for matrix in matrices],
        KEY + "outputs": [matrix.outputs for matrix in matrices],
        KEY + "ranks": [matrix.rank for matrix in matrices],
        **{f"{KEY}levels.{width}": list(values) for width, values in levels.items()},
    }


def write_packed(
    target: Path, metadata: Mapping[str, Value], data: Mapping[str, NDArray[Any]]
) -> int:
    """Write a packed file and return its size in bytes."""
    kinds = TENSORS[str(metadata[KEY + "method"])]
    tensors = [NewTensor(f"packed.{name}", (data[name].size,), kinds[name]) for name in kinds]
    with replacing(target) as part, part.open("wb") as file:
        return write_gguf(file, metadata, tensors, (data[name] for name in kinds))


def read_packed(path: Path) -> PackedFile:
    """Read a packed adapter.

    Raises:
        GGUFError: it is not a readable GGUF file.
        AdapterError: a key or a tensor is not what the format says.
    """
    header = inspect(path)
    _check_keys(header)
    method = str(header.metadata[KEY + "method"])
    matrices = _matrices(header)
    return PackedFile(
        path,
        str(header.metadata["general.architecture"]),
        tuple(int(token) for token in header.array(INVOCATION))
        if INVOCATION in header.metadata
        else (),
        declared_identity(header),
        method,
        float(header.metadata[KEY + "loss"]),  # type: ignore[arg-type]  # a FLOAT32 by its check
        matrices,
        dict(_levels(header)),
        _tensors(header, TENSORS[method]),
    )


def _check_keys(header: GGUFFile) -> None:
    if not is_packed(header):
        refuse(header.path, "it is not a packed adapter")
    for key, kind in _known_keys(header).items():
        if header.types.get(key) is not kind:
            found = header.types[key].name if key in header.types else "nothing"
            refuse(header.path, f"{key} is {found}, expected {kind.name}")
    for key in header.types:
        if not key.startswith(("general.", KEY, PREFIX)) and key != INVOCATION:
            refuse(header.path, f"the key {key} is not one a packed adapter has")
    version = header.metadata[KEY + "version"]
    if version != VERSION:
        refuse(header.path, f"it follows version {version} of the form, and only 1 is known")
    if header.metadata[KEY + "method"] not in TENSORS:
        refuse(header.path, f"its method is {header.metadata[KEY + 'method']!r}")
    loss = header.metadata[KEY + "loss"]
    if not isinstance(loss, float) or not 0 <= loss <= 1:
        refuse(header.path, f"its loss is {loss!r}, not a share")


def _known_keys(header: GGUFFile) -> dict[str, ValueType]:
    text = dict.fromkeys(("general.architecture", "general.type"), ValueType.STRING)
    scalars = {KEY + name: kind for name, kind in _SCALARS.items()}
    lists = {KEY + name: ValueType.ARRAY for name in _LISTS}
    late = {INVOCATION: ValueType.ARRAY} if INVOCATION in header.types else {}
    return text | scalars | lists | late


def _matrices(header: GGUFFile) -> tuple[Matrix, ...]:
    columns = []
    for name, kind in _LISTS.items():
        value = header.metadata[KEY + name]
        if not isinstance(value, ArrayValue) or value.type is not kind:
            refuse(header.path, f"{KEY}{name} is not a list of {kind.name}")
        if not 1 <= value.count <= MAX_TARGETS:
            refuse(header.path, f"it names {value.count} matrices, expected 1 to {MAX_TARGETS}")
        columns.append(header.array(KEY + name))
    if len({len(column) for column in columns}) != 1:
        refuse(header.path, "its lists of matrices are of different lengths")
    rows = zip(*columns, strict=True)
    found = tuple(Matrix(str(name), int(i), int(o), int(r)) for name, i, o, r in rows)
    if len({matrix.target for matrix in found}) != len(found):
        refuse(header.path, "it names a matrix twice")
    for matrix in found:
        _check_matrix(header.path, matrix)
    tokens = header.metadata.get(INVOCATION)
    if isinstance(tokens, ArrayValue) and tokens.type is not ValueType.UINT32:
        refuse(header.path, f"{INVOCATION} is not a list of UINT32 numbers")
    return found


def _check_matrix(path: Path, matrix: Matrix) -> None:
    name = matrix.target.encode()
    if not 0 < len(name) <= MAX_NAME_BYTES - len(".lora_a") or b"\0" in name:
        refuse(path, f"{matrix.target[:80]!a} is not the name of a matrix")
    if (
        not 1
        <= min(matrix.inputs, matrix.outputs)
        <= max(matrix.inputs, matrix.outputs)
        <= MAX_SIDE
    ):
        refuse(path, f"{matrix.target} is {matrix.outputs} by {matrix.inputs}")
    if not 1 <= matrix.rank <= MAX_RANK:
        refuse(path, f"{matrix.target} has the rank {matrix.rank}, expected 1 to {MAX_RANK}")


def _levels(header: GGUFFile) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for key, value in header.metadata.items():
        if not key.startswith(KEY + "levels."):
            continue
        width = key.removeprefix(KEY + "levels.")
        if width not in "23456" or len(width) != 1:
            refuse(header.path, f"{key} is not a codebook")
        known = isinstance(value, ArrayValue) and value.type is ValueType.FLOAT32
        if not isinstance(value, ArrayValue) or not known or value.count != 1 << int(width):
            refuse(header.path, f"{key} is not a list of {1 << int(width)} FLOAT32 numbers")
        levels = np.array(header.array(key), np.float32)
        if not _is_sound(levels):
            refuse(header.path, f"{key} holds a number beyond {LARGEST:g}")
        yield int(width), levels


def _tensors(header: GGUFFile, kinds: Mapping[str, GGMLType]) -> dict[str, NDArray[Any]]:
    found = {}
    if set(header.tensors) != {f"packed.{name}" for name in kinds}:
        refuse(header.path, f"its tensors are not {', '.join(kinds)}")
    for name, kind in kinds.items():
        tensor = header.tensors[f"packed.{name}"]
        if tensor.type is not kind or len(tensor.shape) != 1:
            refuse(header.path, f"{tensor.name} is {tensor.type.name} {tensor.shape}")
        raw = np.frombuffer(header.tensor_bytes(tensor.name), np.uint8)
        found[name] = raw.view("<f4") if kind is GGMLType.F32 else raw
        if kind is GGMLType.F32 and not _is_sound(found[name]):
            refuse(header.path, f"{tensor.name} holds a number beyond {LARGEST:g}")
    return found


def _is_sound(numbers: NDArray[Any]) -> bool:
    """Tell whether no number is too large, infinite or NaN, which compares as false."""
    return bool((np.abs(numbers) <= LARGEST).all())


def refuse(path: Path, why: str) -> NoReturn:
    """Refuse a packed file."""
    raise AdapterError(
        f"{path} cannot be unpacked as an adapter", why, "Get it again, or make it anew."
    )
