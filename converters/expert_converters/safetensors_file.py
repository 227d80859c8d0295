"""Reads safetensors files by memory map, so that converting holds few rows in memory at a time.

The `safetensors` library reads no bfloat16 without torch; the format is a JSON table before the
data (https://huggingface.co/docs/safetensors), and the table is validated as the library does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .errors import CheckpointError

MAX_HEADER_BYTES = 100_000_000
CHUNK_ELEMENTS = 1 << 20
DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_BUFFERS = {**DTYPES, "I64": "<i8"}
"""Types of `position_ids`, which older checkpoints store beside their weights: 0, 1, 2, …"""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of a safetensors file that is read only when `load` is called."""

    name: str
    dtype: str
    """F32, F16 or BF16."""
    shape: tuple[int, ...]
    path: Path
    start: int
    """Position in the file, bytes."""

    def load(self) -> NDArray[np.float32] | NDArray[np.float16]:
        """Read the tensor; bfloat16 becomes float32, which holds it exactly.

        Raises:
            CheckpointError: it holds NaN or infinity.
        """
        return self._decode(self._map())

    def chunks(self) -> Iterator[NDArray[np.float32] | NDArray[np.float16]]:
        """Read the tensor a few rows at a time, as `load` does, so that its size does not matter.

        Raises:
            CheckpointError: it holds NaN or infinity.
        """
        stored = self._map()
        step = max(1, CHUNK_ELEMENTS // max(1, math.prod(self.shape[1:])))
        for first in range(0, self.shape[0], step):
            yield self._decode(stored[first : first + step])

    def _map(self) -> NDArray[Any]:
        return np.memmap(self.path, DTYPES[self.dtype], "r", self.start, self.shape)

    def _decode(self, stored: NDArray[Any]) -> NDArray[np.float32] | NDArray[np.float16]:
        if self.dtype == "BF16":
            values: NDArray[Any] = (stored.astype("<u4") << 16).view("<f4")
        else:
            values = np.array(stored)
        if not np.isfinite(values).all():
            raise CheckpointError(
                f"{self.path.name} is damaged",
                f"{self.name} holds NaN or infinity",
                "Fetch or train the checkpoint again.",
            )
        return values


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Read the table of a safetensors file, in the order of the data; integers are left out.

    Raises:
        CheckpointError: the file is missing, damaged or holds a type other than F32, F16, BF16.
    """
    header, data_start, data_size = _read_header(path)
    tensors = {}
    spans = []
    for name in header:
        if name == "__metadata__":
            continue
        dtype, shape, begin, end = _read_entry(path, name, header[name])
        spans.append((begin, end))
        if dtype in DTYPES:
            tensors[name] = StoredTensor(name, dtype, shape, path, data_start + begin)
    _check_spans(path, spans, data_size)
    return dict(sorted(tensors.items(), key=lambda item: item[1].start))


def _read_header(path: Path) -> tuple[dict[str, Any], int, int]:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if length > min(MAX_HEADER_BYTES, size - 8):
                _broken(path, f"its table would be {length} bytes long")
            header = json.loads(file.read(length))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read", error.strerror or str(error), "Check the path."
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is damaged", f"its table is not JSON ({error})", "Fetch the file again."
        ) from error
    if not isinstance(header, dict):
        _broken(path, "its table is not a JSON object")
    return header, 8 + length, size - 8 - length


def _read_entry(path: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    try:
        dtype = entry["dtype"]
        shape = tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        hash(dtype)
    except (KeyError, TypeError, ValueError):
        _broken(path, f"the entry of {name} is incomplete")
    kind = _BUFFERS.get(dtype) if name.endswith("position_ids") else DTYPES.get(dtype)
    if kind is None:
        raise CheckpointError(
            f"{path.name} cannot be converted",
            f"{name} is stored as {dtype}; only F32, F16 and BF16 are supported",
            "Fetch the unquantised checkpoint.",
        )
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        _broken(path, f"{name} has a shape or offset that is not a natural number")
    if end - begin != math.prod(shape) * np.dtype(kind).itemsize:
        _broken(path, f"{name} stores {end - begin} bytes, which is not its shape {shape}")
    return dtype, shape, begin, end


def _check_spans(path: Path, spans: list[tuple[int, int]], data_size: int) -> None:
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            _broken(path, f"its tensors overlap or leave a hole at byte {position}")
        position = end
    if position != data_size:
        _broken(path, f"its tensors need {position} bytes but it holds {data_size}")


def _broken(path: Path, why: str) -> NoReturn:
    raise CheckpointError(f"{path} is damaged", why, "Fetch the file again.")
