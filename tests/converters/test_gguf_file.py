"""The header reader: agrees with gguf-py on valid files, and names what is wrong with others."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from expert_converters.errors import GGUFError, Malformed, NotGGUF, Truncated, Unsupported
from expert_converters.gguf_file import ArrayValue, inspect
from expert_converters.gguf_types import GGMLType, ValueType


def text(value: str | bytes) -> bytes:
    """Encode a GGUF string."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    """Encode a metadata entry."""
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, count: int, value: bytes) -> bytes:
    """Encode an array value."""
    return struct.pack("<IQ", kind, count) + value


def tensor(name: str | bytes, shape: list[int], kind: int = 0, offset: int = 0) -> bytes:
    """Encode a row of the tensor table."""
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + sizes + struct.pack("<IQ", kind, offset)


def file(
    values: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    data: int = 4096,
    **header: Any,
) -> bytes:
    """Assemble a GGUF file; *header* overrides the magic, version and counts."""
    values, tensors = values or [], tensors or []
    body = b"".join([*values, *tensors])
    head = struct.pack(
        "<4sIQQ",
        header.get("magic", b"GGUF"),
        header.get("version", 3),
        header.get("n_tensors", len(tensors)),
        header.get("n_values", len(values)),
    )
    padding = -(len(head) + len(body)) % 32 if tensors else 0
    return head + body + b"\0" * (padding + data)


U8, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 6, 7, 8, 9, 10


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a test writes its file."""
    return tmp_path / "model.gguf"


def test_agrees_with_gguf_py(tiny_gguf: Path) -> None:
    """Every key, value, type and tensor is what gguf-py's own reader finds."""
    ours, theirs = inspect(tiny_gguf), gguf.GGUFReader(tiny_gguf)
    for key, value in ours.metadata.items():
        field = theirs.fields[key]
        expected = field.contents()
        assert (ours.array(key) if isinstance(value, ArrayValue) else value) == expected, key
        assert ours.types[key] == field.types[0]
    assert set(theirs.fields) - set(ours.metadata) == {
        "GGUF.version",
        "GGUF.tensor_count",
        "GGUF.kv_count",
    }
    assert [found.name for found in ours.tensors.values()] == [t.name for t in theirs.tensors]
    for other in theirs.tensors:
        found = ours.tensors[other.name]
        assert list(found.shape) == other.shape.tolist()
        assert found.type == other.tensor_type
        assert ours.data_offset + found.offset == other.data_offset
        assert ours.tensor_bytes(other.name) == np.ascontiguousarray(other.data).tobytes()
    assert ours.data_offset == theirs.data_offset and ours.alignment == theirs.alignment


def test_every_value_type(target: Path) -> None:
    """Scalars and arrays of every type come back as they were written."""
    writer = gguf.GGUFWriter(target, "test")
    written: dict[str, Any] = {
        "u8": 200,
        "i8": -3,
        "u16": 60_000,
        "i16": -300,
        "u32": 4_000_000_000,
        "i32": -70_000,
        "u64": 1 << 63,
        "i64": -(1 << 62),
        "f64": 0.1,
    }
    kinds = {"u": "uint", "i": "int", "f": "float"}
    for key, value in written.items():
        getattr(writer, f"add_{kinds[key[0]]}{key[1:]}")(key, value)
    writer.add_bool("bool", True)
    writer.add_float32("f32", 0.5)
    writer.add_string("string", "čeština")
    arrays = {"ints": [1, -2, 3], "floats": [0.5, 1.5], "bools": [True, False], "texts": ["a", "ž"]}
    for key, value in arrays.items():
        writer.add_array(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    found = inspect(target)
    for key, value in written.items():
        assert found.metadata[key] == value
    assert found.metadata["bool"] is True and found.metadata["f32"] == 0.5
    assert found.metadata["string"] == "čeština"
    for key, value in arrays.items():
        assert found.array(key) == value
    assert found.array_bytes("texts") == [b"a", "ž".encode()]
    assert found.types["ints"] is ValueType.ARRAY
    with pytest.raises(KeyError):
        found.array("u8")
    with pytest.raises(KeyError):
        found.array_bytes("ints")


def test_version_2_alignment_and_trailer(target: Path) -> None:
    """Version 2, another alignment and bytes behind the data are all allowed."""
    values = [pair("general.alignment", U32, struct.pack("<I", 64))]
    tensors = [tensor("a", [3, 5]), tensor("b", [32], GGMLType.Q8_0, 64)]
    head = file(values, tensors, 0, version=2)
    padded = head + b"\0" * (-len(head) % 64)
    target.write_bytes(padded + b"\0" * (64 + 34) + b"trailer")
    found = inspect(target)
    assert (found.version, found.alignment, found.data_offset) == (2, 64, len(padded))
    assert found.data_end == len(padded) + 64 + 34 and found.size == found.data_end + 7
    assert found.tensors["b"].nbytes == 34


MIB = 1 << 20
BAD_FILES: dict[str, tuple[bytes, type[GGUFError], str]] = {
    "empty": (b"", NotGGUF, "empty"),
    "other kind": (b"PK\3\4" + b"\0" * 100, NotGGUF, "PK"),
    "magic only": (b"GGUF", Truncated, "version"),
    "big-endian": (file(version=3 << 24), Unsupported, "big-endian"),
    "version 1": (file(version=1), Unsupported, "version 1"),
    "version 0": (file(version=0), Unsupported, "big-endian"),
    "version 4": (file(version=4), Unsupported, "version 4"),
    "too many values": (file(n_values=1 << 62), Malformed, "cannot hold"),
    "too many tensors": (file(n_tensors=(1 << 64) - 1), Malformed, "cannot hold"),
    "many entries": (file(n_values=70_000, data=MIB), Malformed, "at most 65536"),
    "values missing": (file([pair("a", U8, b"\1")], n_values=2, data=6), Truncated, "key"),
    "empty key": (file([pair("", U8, b"\1")]), Malformed, "''"),
    "NUL in key": (file([pair("a\0b", U8, b"\1")]), Malformed, "NUL"),
    "key not UTF-8": (file([pair(b"\xff", U8, b"\1")]), Malformed, "UTF-8"),
    "long key": (file([pair("k" * 70_000, U8, b"\1")]), Malformed, "70000"),
    "endless key": (file([struct.pack("<Q", 1 << 63)], data=100), Truncated, "key"),
    "same key twice": (file([pair("a", U8, b"\1")] * 2), Malformed, "twice"),
    "unknown type": (file([pair("a", 13, b"\1")]), Malformed, "13"),
    "bad boolean": (file([pair("a", BOOL, b"\2")]), Malformed, "boolean"),
    "bad booleans": (file([pair("a", ARRAY, array(BOOL, 3, b"\0\1\7"))]), Malformed, "bool"),
    "text not UTF-8": (file([pair("a", STRING, text(b"\xc3("))]), Malformed, "UTF-8"),
    "endless text": (file([pair("a", STRING, struct.pack("<Q", 1 << 40))]), Truncated, "a"),
    "nested arrays": (
        file([pair("a", ARRAY, array(ARRAY, 1, array(U8, 1, b"\1")))]),
        Unsupported,
        "array of arrays",
    ),
    "array of unknown": (file([pair("a", ARRAY, array(99, 1, b"\1"))]), Malformed, "99"),
    "endless array": (file([pair("a", ARRAY, array(U64, 1 << 61, b""))]), Truncated, "array"),
    "endless strings": (file([pair("a", ARRAY, array(STRING, 1 << 61, b""))]), Malformed, "claims"),
    "missing strings": (
        file([pair("a", ARRAY, array(STRING, 1000, text("x")))], data=50),
        Truncated,
        "array a",
    ),
    "overlong string": (
        file([pair("a", ARRAY, array(STRING, 1, struct.pack("<Q", (1 << 64) - 9)))]),
        Truncated,
        "array a",
    ),
    "alignment type": (file([pair("general.alignment", U64, b"\x20" + b"\0" * 7)]), Malformed, "U"),
    "alignment 0": (file([pair("general.alignment", U32, b"\0\0\0\0")]), Malformed, "power"),
    "alignment 48": (file([pair("general.alignment", U32, b"\x30\0\0\0")]), Malformed, "power"),
    "empty name": (file(tensors=[tensor("", [4])]), Malformed, "''"),
    "long name": (file(tensors=[tensor("n" * 64, [4])]), Malformed, "64"),
    "same name twice": (file(tensors=[tensor("a", [8]), tensor("a", [8], 0, 32)]), Malformed, "a"),
    "no dimensions": (file(tensors=[tensor("a", [])]), Malformed, "0 dimensions"),
    "five dimensions": (file(tensors=[tensor("a", [1] * 5)]), Malformed, "5 dimensions"),
    "dimension 0": (file(tensors=[tensor("a", [4, 0])]), Malformed, "at least 1"),
    "huge dimensions": (file(tensors=[tensor("a", [1 << 63] * 4)]), Truncated, "tensor a"),
    "removed type": (file(tensors=[tensor("a", [32], 4)]), Unsupported, "removed"),
    "future type": (file(tensors=[tensor("a", [32], 200)]), Unsupported, "200"),
    "partial block": (file(tensors=[tensor("a", [33], 8)]), Malformed, "33"),
    "offset": (file(tensors=[tensor("a", [8], 0, 32)]), Malformed, "starts at 32"),
    "overlap": (file(tensors=[tensor("a", [16]), tensor("b", [8], 0, 32)]), Malformed, "b starts"),
    "hole": (file(tensors=[tensor("a", [8]), tensor("b", [8], 0, 64)]), Malformed, "b starts"),
    "missing data": (file(tensors=[tensor("a", [8])], data=31), Truncated, "data of a"),
    "no data": (file(tensors=[tensor("a", [8])], data=0), Truncated, "data of a"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(case: str, target: Path) -> None:
    """Each contradiction of the format is a typed error that says what, why and what to do."""
    data, kind, reason = BAD_FILES[case]
    target.write_bytes(data)
    with pytest.raises(kind, match=reason) as caught:
        inspect(target)
    assert type(caught.value) is kind
    assert caught.value.what and caught.value.why and caught.value.fix


def test_llama_cpp_refuses_what_is_refused_here(tmp_path: Path) -> None:
    """Most of these files do not load in llama.cpp either: the rules are its rules."""
    stricter = {"dimension 0", "no dimensions", "nested arrays", "key not UTF-8", "NUL in key"}
    names = [case for case in BAD_FILES if case not in stricter]
    for case in names:
        (tmp_path / f"{case}.gguf").write_bytes(BAD_FILES[case][0])
    script = (
        "import importlib, sys\n"
        "lib = importlib.import_module('llama_cpp.llama_cpp')\n"
        "for path in sys.argv[1:]:\n"
        "    assert not lib.llama_model_load_from_file(path.encode(), "
        "lib.llama_model_default_params()), path\n"
    )
    files = [str(tmp_path / f"{case}.gguf") for case in names]
    done = subprocess.run([sys.executable, "-c", script, *files], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-1000:]


def test_every_truncation_is_noticed(tiny_gguf: Path, target: Path) -> None:
    """A file cut anywhere in its header or data is refused."""
    data = tiny_gguf.read_bytes()
    header = inspect(tiny_gguf).data_offset
    for keep in (*range(0, header, 37), header, len(data) // 2, len(data) - 1):
        target.write_bytes(data[:keep])
        with pytest.raises(GGUFError):
            inspect(target)


def test_unreadable_paths(tmp_path: Path) -> None:
    """A missing file and a folder are named, with the reason."""
    with pytest.raises(NotGGUF, match="No such file"):
        inspect(tmp_path / "missing.gguf")
    with pytest.raises(NotGGUF, match="directory"):
        inspect(tmp_path)


def test_arrays_are_read_again_safely(tiny_gguf: Path, target: Path) -> None:
    """A file that shrinks after its inspection gives an error, not wrong values."""
    target.write_bytes(tiny_gguf.read_bytes())
    found = inspect(target)
    target.write_bytes(target.read_bytes()[:1000])
    with pytest.raises(Truncated):
        found.array("tokenizer.ggml.tokens")


def test_hostile_counts_need_no_memory(target: Path) -> None:
    """A file of 1 MB that claims to be endless is refused in little memory and time."""
    strings = pair("a", ARRAY, array(STRING, (1 << 22) - 1, b""))
    for data in (file([strings], data=MIB), file(n_values=75_000, data=MIB)):
        target.write_bytes(data)
        tracemalloc.start()
        started = time.perf_counter()
        with pytest.raises(GGUFError):
            inspect(target)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MIB and time.perf_counter() - started < 5


@pytest.mark.slow
def test_speed_with_a_real_vocabulary(llama_cpp_source: Path, target: Path) -> None:
    """600 MB with 151,936 tokens and 151,387 merges cost little more than walking the strings."""
    vocab = (llama_cpp_source / "models" / "ggml-vocab-qwen2.gguf").read_bytes()
    target.write_bytes(vocab)
    with target.open("r+b") as sparse:
        sparse.truncate(600_000_000)
    found = inspect(target)
    spans = [value for value in found.metadata.values() if isinstance(value, ArrayValue)]
    strings = [span for span in spans if span.type is ValueType.STRING]

    def bare_walk() -> None:
        length_at = struct.Struct("<Q").unpack_from
        for span in strings:
            position = span.start
            for _ in range(span.count):
                position += 8 + length_at(vocab, position)[0]

    assert fastest(lambda: inspect(target)) < 1.7 * fastest(bare_walk)


def fastest(task: Callable[[], object]) -> float:
    """Return the least processor time of several runs, seconds."""
    times = []
    for _ in range(9):
        started = time.process_time()
        task()
        times.append(time.process_time() - started)
    return min(times)


def test_needs_the_standard_library_alone() -> None:
    """Importing the reader and the model checks loads neither numpy nor gguf."""
    script = (
        "import sys\n"
        "import expert_converters, expert_converters.check\n"
        "assert not {'numpy', 'gguf', 'llama_cpp', 'safetensors'} & set(sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
