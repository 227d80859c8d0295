"""The safetensors reader: agrees with the library, and refuses what the library refuses."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expert_converters.errors import CheckpointError
from expert_converters.safetensors_file import read_safetensors
from support.checkpoints import write_safetensors


def write(path: Path, header: Any, data: bytes) -> Path:
    """Write a file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(begin: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    """Describe one tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_agrees_with_the_library(dtype: str, tmp_path: Path) -> None:
    """Names, shapes and values are those torch loads."""
    from safetensors.torch import load_file

    random = np.random.default_rng(0)
    values = {f"t{i}": random.standard_normal((3, i + 1), dtype=np.float32) for i in range(4)}
    path = tmp_path / "model.safetensors"
    write_safetensors(path, values, dtype)
    expected = load_file(path)
    found = read_safetensors(path)
    assert list(found) == list(expected)
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor.load(), expected[name].float().numpy())


def test_order_is_that_of_the_data(tmp_path: Path) -> None:
    """A table in another order than the data is read in the order of the data."""
    header = {"__metadata__": {"a": "b"}, "x": entry(4, 8, [1]), "a": entry(0, 4, [1])}
    path = write(tmp_path / "m.safetensors", header, struct.pack("<2f", 1.0, 2.0))
    found = read_safetensors(path)
    assert [(name, tensor.load().tolist()) for name, tensor in found.items()] == [
        ("a", [1.0]),
        ("x", [2.0]),
    ]


BAD: dict[str, tuple[Any, bytes, str]] = {
    "endless table": (b"", b"", "JSON"),
    "not JSON": (b"{", b"", "JSON"),
    "not UTF-8": (b'{"\xff": 1}', b"", "JSON"),
    "a list": (b"[]", b"", "object"),
    "a number": ({"a": 1}, b"", "incomplete"),
    "no offsets": ({"a": {"dtype": "F32", "shape": [1]}}, b"", "incomplete"),
    "three offsets": (
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}},
        b"",
        "incomplete",
    ),
    "eight-bit floats": ({"a": entry(0, 4, [4], "F8_E4M3")}, b"1234", "F8_E4M3"),
    "whole numbers": ({"a": entry(0, 8, [1], "I64")}, b"12345678", "I64"),
    "negative shape": ({"a": entry(0, 4, [-1, -1])}, b"1234", "natural"),
    "text as shape": ({"a": entry(0, 4, ["1"])}, b"1234", "natural"),
    "truth as shape": ({"a": entry(0, 4, [True])}, b"1234", "natural"),
    "wrong size": ({"a": entry(0, 8, [1])}, b"12345678", "8 bytes"),
    "overlap": ({"a": entry(0, 4, [1]), "b": entry(0, 4, [1])}, b"1234", "overlap"),
    "hole": ({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, b"123456789012", "hole"),
    "missing data": ({"a": entry(0, 4, [1])}, b"12", "holds 2"),
    "surplus data": ({"a": entry(0, 4, [1])}, b"12345", "holds 5"),
    "beyond the end": ({"a": entry(0, 1 << 62, [1 << 60])}, b"", "holds 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str, tmp_path: Path) -> None:
    """Each gives an error that says what is wrong."""
    header, data, reason = BAD[case]
    path = write(tmp_path / "m.safetensors", header, data)
    with pytest.raises(CheckpointError, match=reason):
        read_safetensors(path)


def test_length_beyond_the_file(tmp_path: Path) -> None:
    """A table that claims to be endless is refused before it is read."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", (1 << 64) - 1) + b"{}")
    with pytest.raises(CheckpointError, match="bytes long"):
        read_safetensors(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_safetensors(tmp_path / "missing.safetensors")
