"""Random GGUF files: gguf-py writes, we read, and the other way round; cut and flipped ones."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from expert_converters.errors import GGUFError, Malformed, NotGGUF, Truncated, Unsupported
from expert_converters.gguf_file import GGUFFile, inspect
from expert_converters.gguf_types import STRUCT_CODE, GGMLType, ValueType
from expert_converters.gguf_writer import NewTensor, Value, write_gguf

TEXTS = ("", "a", "größer 🙂", "x" * 300, "line\nend", "'\"\\")
KINDS = (GGMLType.F32, GGMLType.F16, GGMLType.BF16, GGMLType.Q8_0, GGMLType.Q4_0, GGMLType.Q6_K)


def scalar(draw: random.Random, kind: ValueType) -> Any:
    """Return a random value of a type, its extremes among them."""
    if kind is ValueType.STRING:
        return draw.choice(TEXTS)
    if kind is ValueType.BOOL:
        return draw.random() < 0.5
    code = STRUCT_CODE[kind]
    if code in "fd":
        return struct.unpack(f"<{code}", struct.pack(f"<{code}", draw.gauss(0, 1e6)))[0]
    bits = 8 * struct.calcsize(code)
    low, high = (0, 2**bits - 1) if code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return draw.choice((low, high, draw.randint(low, high), 1))


def metadata(draw: random.Random) -> dict[str, tuple[ValueType, Any]]:
    """Return random keys of every type, arrays of each among them."""
    kinds = [kind for kind in ValueType if kind is not ValueType.ARRAY]
    made: dict[str, tuple[ValueType, Any]] = {}
    for number in range(draw.randint(1, 12)):
        kind = draw.choice(kinds)
        if draw.random() < 0.5:
            made[f"some.key{number}"] = (kind, scalar(draw, kind))
        else:
            values = [scalar(draw, kind) for _ in range(draw.randint(1, 5))]
            made[f"some.list{number}"] = (kind, values)
    return made


@pytest.mark.parametrize("seed", range(12))
def test_what_gguf_py_writes_is_read(seed: int, tmp_path: Path) -> None:
    """Every type of value and of element, with its type; every tensor with its bytes."""
    draw, path = random.Random(seed), tmp_path / "file.gguf"
    made = metadata(draw)
    writer = gguf.GGUFWriter(path, "any")
    for key, (kind, value) in made.items():
        if isinstance(value, list):
            theirs = gguf.GGUFValueType(kind)
            writer.add_key_value(key, value, gguf.GGUFValueType.ARRAY, theirs)
        else:
            writer.add_key_value(key, value, gguf.GGUFValueType(kind))
    arrays = {
        f"tensor{n}": np.random.default_rng(seed + n).normal(size=shape).astype(dtype)
        for n, (shape, dtype) in enumerate((((5, 3), "f4"), ((7,), "f2"), ((2, 3, 4), "f4")))
    }
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = inspect(path)
    assert list(header.metadata) == ["general.architecture", *made]
    for key, (kind, value) in made.items():
        if isinstance(value, list):
            assert header.types[key] is ValueType.ARRAY
            assert header.array(key) == value
        else:
            assert (header.types[key], header.metadata[key]) == (kind, value)
            assert type(header.metadata[key]) is type(value)
    for name, array in arrays.items():
        assert header.tensors[name].shape == array.shape[::-1]
        assert header.tensor_bytes(name) == array.tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_what_we_write_is_read_by_gguf_py(seed: int, tmp_path: Path) -> None:
    """Keys, shapes, types and bytes, with the padding where its reader expects it."""
    draw, path = random.Random(seed), tmp_path / "file.gguf"
    keys: dict[str, Value] = {"general.architecture": "any"}
    for number in range(draw.randint(0, 8)):
        one: tuple[Value, ...] = (
            draw.choice(TEXTS),
            draw.randrange(2**32),
            draw.randrange(1000) / 8,
            [draw.choice(TEXTS) for _ in range(draw.randint(1, 4))],
            [draw.randrange(2**32) for _ in range(draw.randint(1, 4))],
            [draw.randrange(1000) / 8 for _ in range(draw.randint(1, 4))],
        )
        keys[f"some.key{number}"] = draw.choice(one)
    tensors, contents = [], []
    for number in range(draw.randint(1, 6)):
        kind = draw.choice(KINDS)
        shape = (kind.block_size * draw.randint(1, 3), *(draw.randint(1, 4) for _ in range(2)))
        tensors.append(NewTensor(f"t{number}", shape[: draw.randint(1, 3)], kind))
        random_bytes = np.random.default_rng(number).integers(0, 60, tensors[-1].nbytes)
        contents.append(random_bytes.astype(np.uint8))
    with path.open("wb") as file:
        assert write_gguf(file, keys, tensors, contents) == file.tell()
    reader = gguf.GGUFReader(path)
    for key, value in keys.items():
        found = reader.fields[key].contents()
        assert found == value, key
    assert len(reader.tensors) == len(tensors)
    for theirs, tensor, data in zip(reader.tensors, tensors, contents, strict=True):
        assert theirs.name == tensor.name and tuple(map(int, theirs.shape)) == tensor.shape
        assert int(theirs.tensor_type) == tensor.type and int(theirs.n_bytes) == tensor.nbytes
        assert np.asarray(theirs.data).view(np.uint8).ravel().tobytes() == data.tobytes()
        assert inspect(path).tensor_bytes(tensor.name) == data.tobytes()


def small_file() -> bytes:
    """Return a file of every part: scalars, texts, lists and two tensors."""
    keys: dict[str, Value] = {
        "general.architecture": "any",
        "some.texts": ["a", "bc"],
        "some.numbers": [1, 2],
        "some.real": 0.5,
    }
    tensors = [NewTensor("a", (3, 2), GGMLType.F32), NewTensor("b", (32,), GGMLType.Q8_0)]
    file = io.BytesIO()
    write_gguf(file, keys, tensors, [np.ones((2, 3), np.float32), np.ones(34, np.uint8)])
    return file.getvalue()


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """At every third byte before the last tensor's end, with an error that says what to do."""
    data, path = small_file(), tmp_path / "cut.gguf"
    path.write_bytes(data)
    end = inspect(path).data_end
    assert len(data) - 32 < end <= len(data)
    for size in [*range(0, end - 1, 3), end - 1]:
        path.write_bytes(data[:size])
        with pytest.raises((Truncated, NotGGUF, Malformed)) as caught:
            inspect(path)
        assert str(path) in caught.value.what and caught.value.why and caught.value.fix
    path.write_bytes(data[:end])
    assert inspect(path).data_end == end


def test_what_follows_the_last_tensor_is_ignored(tmp_path: Path) -> None:
    """A trailer changes nothing but the size."""
    path = tmp_path / "long.gguf"
    path.write_bytes(small_file() + b"trailer")
    header = inspect(path)
    assert header.size - header.data_end >= 7
    assert header.tensor_bytes("b") == b"\1" * 34


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_byte_is_refused_or_harmless(seed: int, tmp_path: Path) -> None:
    """Each byte of the header changed in turn: a typed error, or it can be read."""
    data, path = small_file(), tmp_path / "flipped.gguf"
    draw, accepted = random.Random(seed), 0
    for place in range(seed, len(data) - 200, 3):
        path.write_bytes(data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :])
        try:
            header = inspect(path)
        except GGUFError as error:
            assert error.what and error.why and error.fix
            continue
        accepted += 1
        read_whole(header)
    assert accepted < len(data), "some damage must be noticed"


def read_whole(header: GGUFFile) -> None:
    """Read every value and tensor of a header that was accepted."""
    for key, kind in header.types.items():
        if kind is ValueType.ARRAY:
            try:
                header.array(key)
            except Malformed as error:
                assert "UTF-8" in error.why
    for name, tensor in header.tensors.items():
        assert len(header.tensor_bytes(name)) == tensor.nbytes


@pytest.mark.parametrize(
    ("data", "kind", "why"),
    [
        (b"", NotGGUF, "no bytes"),
        (b"G", NotGGUF, "not b'GGUF'"),
        (b"GGML" + bytes(60), NotGGUF, "b'GGML'"),
        (b"PK\x03\x04" + bytes(60), NotGGUF, "starts with"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), Unsupported, "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 4, 0, 0), Unsupported, "version 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), Unsupported, "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), Malformed, "cannot hold"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**64 - 1), Malformed, "cannot hold"),
        (b"GGUF" + struct.pack("<I", 3), Truncated, "tensor count"),
    ],
)
def test_other_files_are_told_apart(
    data: bytes, kind: type[GGUFError], why: str, tmp_path: Path
) -> None:
    """Another format, another version, another byte order, or counts that cannot be."""
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(kind) as caught:
        inspect(path)
    assert why in caught.value.why


def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    """What was there at the inspection and is not there at the reading is no silent zero."""
    path = tmp_path / "file.gguf"
    path.write_bytes(small_file())
    header = inspect(path)
    path.write_bytes(small_file()[:100])
    for read in (lambda: header.tensor_bytes("b"), lambda: header.array("some.numbers")):
        with pytest.raises(Truncated, match="shrank"):
            for _ in range(1):
                read()
    with pytest.raises(KeyError):
        header.array("some.real")
    with pytest.raises(KeyError):
        header.array_data("some.real")
    with pytest.raises(KeyError):
        header.array_bytes("some.numbers")
