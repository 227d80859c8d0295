"""The direct writer: what it writes is what gguf-py and the inspection read."""

from __future__ import annotations

import io
from pathlib import Path

import gguf
import numpy as np
import pytest

from expert_converters.gguf_file import inspect
from expert_converters.gguf_types import GGMLType, ValueType
from expert_converters.gguf_writer import NewTensor, Value, write_gguf

METADATA: dict[str, Value] = {
    "general.architecture": "qwen3",
    "some.text": "größer",
    "some.number": 7,
    "some.real": 0.25,
    "some.texts": ["a", "", "ü"],
    "some.numbers": [1, 2**32 - 1],
    "some.reals": [0.5, -1.0],
}
TENSORS = (
    NewTensor("first", (5, 3), GGMLType.F32),
    NewTensor("second", (32, 2), GGMLType.Q8_0),
    NewTensor("third", (7,), GGMLType.F16),
)


def contents() -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Return random bytes for each tensor, sizes that need padding among them."""
    random = np.random.default_rng(0)
    return [random.integers(0, 200, tensor.nbytes).astype(np.uint8) for tensor in TENSORS]


def test_inspection_reads_it_back(tmp_path: Path) -> None:
    """Keys with their types and order, the tensor table, and every byte of the data."""
    path = tmp_path / "file.gguf"
    with path.open("wb") as file:
        size = write_gguf(file, METADATA, TENSORS, contents())
    assert size == path.stat().st_size
    header = inspect(path)
    assert list(header.metadata) == list(METADATA)
    assert header.types["some.number"] is ValueType.UINT32
    assert header.types["some.real"] is ValueType.FLOAT32
    for key in ("some.texts", "some.numbers", "some.reals"):
        assert header.array(key) == METADATA[key]
    assert [header.metadata[key] for key in list(METADATA)[:4]] == list(METADATA.values())[:4]
    for tensor, data in zip(TENSORS, contents(), strict=True):
        found = header.tensors[tensor.name]
        assert (found.shape, found.type, found.nbytes) == (tensor.shape, tensor.type, data.nbytes)
        assert header.tensor_bytes(tensor.name) == data.tobytes()


def test_gguf_py_writes_the_same_bytes(tmp_path: Path) -> None:
    """The file is the one gguf-py's own writer makes of the same contents."""
    path = tmp_path / "theirs.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_uint32("some.number", 7)
    values = np.arange(15, dtype=np.float32).reshape(3, 5)
    writer.add_tensor("first", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = io.BytesIO()
    metadata: dict[str, Value] = {"general.architecture": "qwen3", "some.number": 7}
    write_gguf(file, metadata, TENSORS[:1], [values])
    assert file.getvalue() == path.read_bytes()


def test_data_of_another_size_is_refused() -> None:
    """A tensor that does not fill its place would shift all that follow."""
    with pytest.raises(ValueError, match="first has 4 bytes"):
        write_gguf(io.BytesIO(), METADATA, TENSORS, [np.zeros(1, np.float32)] * 3)
    with pytest.raises(ValueError, match="shorter"):
        write_gguf(io.BytesIO(), METADATA, TENSORS, contents()[:2])
