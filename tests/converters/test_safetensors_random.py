"""Random safetensors files, sound and broken, beside the library that defines the format."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from expert_converters import safetensors_file
from expert_converters.errors import CheckpointError
from expert_converters.safetensors_file import read_safetensors

SHAPES = [(1,), (5, 3), (2, 3, 4), (7, 1), (1, 9), (64, 33)]


def write(path: Path, header: Any, data: bytes = b"") -> Path:
    """Write a file with any table."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(shape: list[Any], begin: Any, end: Any, dtype: str = "F32") -> dict[str, Any]:
    """Return a row of the table."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("seed", range(8))
def test_random_files_are_read_as_the_library_reads_them(seed: int, tmp_path: Path) -> None:
    """Names, shapes and numbers, in the order of the data."""
    draw, random_numbers = random.Random(seed), np.random.default_rng(seed)
    tensors = {
        f"t{draw.randrange(1000)}.{n}": random_numbers.normal(size=draw.choice(SHAPES)).astype(
            draw.choice(("f4", "f2"))
        )
        for n in range(draw.randint(1, 7))
    }
    path = tmp_path / "file.safetensors"
    save_file(tensors, path, {"format": "pt"})
    found = read_safetensors(path)
    assert sorted(found) == sorted(tensors)
    starts = [tensor.start for tensor in found.values()]
    assert starts == sorted(starts)
    with safe_open(path, "numpy") as library:
        for name, tensor in found.items():
            theirs = library.get_tensor(name)
            assert tensor.shape == theirs.shape
            assert tensor.load().dtype == theirs.dtype and np.array_equal(tensor.load(), theirs)


@pytest.mark.parametrize("seed", range(3))
def test_bfloat16_is_the_upper_half_of_a_float(seed: int, tmp_path: Path) -> None:
    """Widened, it is the number whose lower half is zero, subnormal and negative ones too."""
    bits = np.random.default_rng(seed).integers(0, 1 << 16, 600, dtype=np.uint16)
    bits = bits[(bits & 0x7F80) != 0x7F80][:500]
    path = write(tmp_path / "f", {"a": entry([20, 25], 0, 1000, "BF16")}, bits.tobytes())
    values = read_safetensors(path)["a"].load()
    assert values.dtype == np.float32 and values.shape == (20, 25)
    assert np.array_equal(values.view(np.uint32).ravel() >> 16, bits)
    assert not (values.view(np.uint32) & 0xFFFF).any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_pieces_make_up_the_whole(
    shape: tuple[int, ...], size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few numbers are read at a time, put together they are the tensor."""
    monkeypatch.setattr(safetensors_file, "CHUNK_ELEMENTS", size)
    values = np.random.default_rng(size).normal(size=shape).astype(np.float32)
    path = tmp_path / "file.safetensors"
    save_file({"a": values}, path)
    pieces = list(read_safetensors(path)["a"].chunks())
    assert np.array_equal(np.concatenate(pieces), values)
    row = values[0].size
    assert all(piece.size <= max(size, row) for piece in pieces)


@pytest.mark.parametrize("place", [0, 1, 499])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_noticed(place: int, number: float, tmp_path: Path) -> None:
    """Wherever it stands, whether the tensor is read at once or in pieces; its name is said."""
    for dtype in ("f4", "f2"):
        values = np.zeros((50, 10), dtype)
        values.flat[place] = number
        path = tmp_path / f"{dtype}.safetensors"
        save_file({"good": np.ones(3, np.float32), "bad": values}, path)
        found = read_safetensors(path)
        assert found["good"].load().all()
        for read in (found["bad"].load, lambda t=found["bad"]: list(t.chunks())):
            with pytest.raises(CheckpointError, match="bad holds NaN or infinity"):
                read()


BROKEN: dict[str, tuple[Any, bytes]] = {
    "a hole": ({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, bytes(12)),
    "an overlap": ({"a": entry([2], 0, 8), "b": entry([1], 4, 8)}, bytes(8)),
    "data left over": ({"a": entry([1], 0, 4)}, bytes(5)),
    "data missing": ({"a": entry([2], 0, 8)}, bytes(7)),
    "a beginning behind the end": ({"a": entry([1], 4, 0)}, bytes(4)),
    "a shape that is too large": ({"a": entry([2**62, 4], 0, 4)}, bytes(4)),
    "a shape below zero": ({"a": entry([-1], 0, 4)}, bytes(4)),
    "a shape of reals": ({"a": entry([1.0], 0, 4)}, bytes(4)),
    "a shape that is true": ({"a": entry([True], 0, 4)}, bytes(4)),
    "an offset as a text": ({"a": entry([1], "0", 4)}, bytes(4)),
    "three offsets": ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2, 4]}}, bytes(4)),
    "no offsets": ({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4)),
    "a row that is a list": ({"a": [1]}, bytes(4)),
    "a row that is null": ({"a": None}, b""),
    "a table that is a list": ([], b""),
    "a table that is cut": (b'{"a": ', b""),
    "a table that is no UTF-8": (b'{"\xff": 1}', b""),
    "an unknown type": ({"a": entry([1], 0, 4, "F99")}, bytes(4)),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_the_library_refuses_is_refused(case: str, tmp_path: Path) -> None:
    """Each broken table: the library raises, and so do we, saying which file and what to do."""
    path = write(tmp_path / "broken.safetensors", *BROKEN[case])
    with pytest.raises((SafetensorError, UnicodeError)), safe_open(path, "numpy"):
        pass
    with pytest.raises(CheckpointError) as caught:
        read_safetensors(path)
    assert "broken.safetensors" in caught.value.what and caught.value.why and caught.value.fix


@pytest.mark.parametrize("dtype", ["F64", "I32", "U8", "BOOL", "F8_E4M3"])
def test_other_types_are_named(dtype: str, tmp_path: Path) -> None:
    """A sound file of a type that cannot be converted says so, instead of being called damaged."""
    size = {"F64": 8, "I32": 4}.get(dtype, 1)
    path = write(tmp_path / "f.safetensors", {"a": entry([1], 0, size, dtype)}, bytes(size))
    with pytest.raises(CheckpointError, match=f"a is stored as {dtype}"):
        read_safetensors(path)


def test_position_ids_are_left_out_and_still_counted(tmp_path: Path) -> None:
    """Whole numbers of that name alone are skipped; their bytes belong to the file."""
    header = {"x.position_ids": entry([2], 0, 16, "I64"), "a": entry([1], 16, 20)}
    path = write(tmp_path / "f.safetensors", header, bytes(16) + np.float32(7).tobytes())
    found = read_safetensors(path)
    assert list(found) == ["a"] and found["a"].load() == [7]
    with pytest.raises(CheckpointError, match="stored as I64"):
        read_safetensors(write(path, {"ids": entry([2], 0, 16, "I64")}, bytes(16)))


@pytest.mark.parametrize("size", range(12))
def test_files_too_short_for_a_table(size: int, tmp_path: Path) -> None:
    """From nothing to a few bytes: an error of ours at every length."""
    path = tmp_path / "short"
    path.write_bytes(b"\x40" + bytes(size)[1:] if size else b"")
    with pytest.raises(CheckpointError):
        read_safetensors(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_safetensors(tmp_path / "missing")
