"""Reads and validates the header of a GGUF file with the standard library alone.

It runs before every load: llama.cpp aborts the whole process on files it does not expect, so
nothing reaches it unchecked. What is accepted is a subset of what llama.cpp's `gguf.cpp` accepts.
String arrays (a vocabulary has 300,000 of them) are walked but decoded only on demand.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

from .errors import Malformed, NotGGUF, Truncated, Unsupported
from .gguf_types import STRUCT_CODE, GGMLType, ValueType

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
MAX_KEY_BYTES = 65_535
MAX_NAME_BYTES = 63
MAX_DIMS = 4
MAX_STRING_BYTES = 1 << 24
MAX_ARRAY_STRINGS = 1 << 22
MAX_ENTRIES = 1 << 16
MIN_KEY_VALUE_BYTES = 8 + 1 + 4 + 1
MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8

Scalar: TypeAlias = int | float | bool | str


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One row of the tensor table; `shape` is in ggml order (row length first)."""

    name: str
    shape: tuple[int, ...]
    type: GGMLType
    offset: int
    """Bytes from the start of the data section."""
    nbytes: int


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """A metadata array that was walked but not decoded; `GGUFFile.array` decodes it."""

    type: ValueType
    count: int
    start: int
    """Position of the first element in the file, bytes."""
    nbytes: int


@dataclass(frozen=True)
class GGUFFile:
    """The validated header of a GGUF file: metadata and tensor table, both in file order."""

    path: Path
    version: int
    metadata: dict[str, Scalar | ArrayValue]
    types: dict[str, ValueType]
    tensors: dict[str, TensorInfo]
    alignment: int
    data_offset: int
    size: int
    data_end: int
    """Position just after the last tensor; anything behind it is a trailer that GGUF ignores."""

    def array(self, key: str) -> list[Scalar]:
        """Decode the array *key*.

        Raises:
            KeyError: *key* is not an array of this file.
            Malformed: a string is not UTF-8.
        """
        value = self.metadata[key]
        if not isinstance(value, ArrayValue):
            raise KeyError(key)
        raw = self._read(value.start, value.nbytes)
        if value.type is ValueType.STRING:
            return [_decode(text, key) for text in _split_strings(raw, value.count)]
        items = struct.unpack(f"<{value.count}{STRUCT_CODE[value.type]}", raw)
        return [bool(item) for item in items] if value.type is ValueType.BOOL else list(items)

    def array_bytes(self, key: str) -> list[bytes]:
        """Return the strings of the array *key* as bytes, for checks that need no text."""
        value = self.metadata[key]
        if not isinstance(value, ArrayValue) or value.type is not ValueType.STRING:
            raise KeyError(key)
        return _split_strings(self._read(value.start, value.nbytes), value.count)

    def tensor_bytes(self, name: str) -> bytes:
        """Return the stored bytes of the tensor *name*."""
        tensor = self.tensors[name]
        return self._read(self.data_offset + tensor.offset, tensor.nbytes)

    def array_data(self, key: str) -> bytes:
        """Return the array *key* as it is encoded in the file, for hashing.

        Raises:
            KeyError: *key* is not an array of this file.
        """
        value = self.metadata[key]
        if not isinstance(value, ArrayValue):
            raise KeyError(key)
        return self._read(value.start, value.nbytes)

    def _read(self, start: int, nbytes: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(start)
            raw = file.read(nbytes)
        if len(raw) != nbytes:
            raise Truncated(f"{self.path} ends early", "it shrank after it was opened", "Retry.")
        return raw


def inspect(path: Path | str) -> GGUFFile:
    """Read and validate the header of the GGUF file at *path*, in milliseconds.

    The format is described in ggml's `docs/gguf.md`.

    Raises:
        NotGGUF: it cannot be opened or is another kind of file.
        Truncated: it ends before what its header promises.
        Malformed: a field contradicts the format.
        Unsupported: a version, byte order or type that is refused.
    """
    path = Path(path)
    with _mapped(path) as view:
        reader = _Reader(path, view)
        version, n_tensors, n_values = _read_header(reader)
        metadata, types = _read_metadata(reader, n_values)
        alignment = _alignment(reader, metadata, types)
        tensors = _read_tensors(reader, n_tensors)
        data_offset = _padded(reader.position, alignment) if tensors else reader.position
        data_end = _check_data(reader, tensors, data_offset, alignment)
        return GGUFFile(
            path, version, metadata, types, tensors, alignment, data_offset, reader.size, data_end
        )


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            yield view
    except ValueError as error:
        raise NotGGUF(f"{path} is empty", "it holds no bytes", "Fetch it again.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise NotGGUF(f"{path} cannot be read", reason, "Check the path and its rights.") from error


class _Reader:
    """A cursor over the mapped file that never reads past its end."""

    def __init__(self, path: Path, view: mmap.mmap) -> None:
        self.path = path
        self.view = view
        self.size = len(view)
        self.position = 0

    def take(self, nbytes: int, what: str) -> int:
        """Advance over *nbytes* and return where they start."""
        start = self.position
        if nbytes > self.size - start:
            self.truncated(what)
        self.position = start + nbytes
        return start

    def number(self, code: str, what: str) -> int:
        """Read one number of the `struct` type *code*."""
        layout = struct.Struct("<" + code)
        value: int = layout.unpack_from(self.view, self.take(layout.size, what))[0]
        return value

    def string(self, what: str, limit: int = MAX_STRING_BYTES) -> str:
        length = self.number("Q", what)
        if limit < length <= self.size:
            self.malformed(f"the {what} is {length} bytes long", f"at most {limit} are allowed")
        start = self.take(length, what)
        return _decode(self.view[start : start + length], what)

    def skip_strings(self, count: int, what: str) -> None:
        """Walk *count* length-prefixed strings; this loop decides how long an inspection takes."""
        view, position = self.view, self.position
        length_at = struct.Struct("<Q").unpack_from
        try:
            for _ in range(count):
                position += 8 + length_at(view, position)[0]
        except (struct.error, OverflowError):
            self.truncated(what)
        self.position = position
        self.take(0, what)

    def truncated(self, what: str) -> NoReturn:
        raise Truncated(
            f"{self.path} ends too early",
            f"the {what} at byte {self.position} reaches past the end ({self.size} bytes)",
            "Fetch the file again.",
        )

    def malformed(self, why: str, rule: str) -> NoReturn:
        raise Malformed(
            f"{self.path} is not a valid GGUF file", f"{why}, but {rule}", "Fetch the file again."
        )

    def unsupported(self, why: str, fix: str) -> NoReturn:
        raise Unsupported(f"{self.path} is not supported", why, fix)


def _read_header(reader: _Reader) -> tuple[int, int, int]:
    if reader.view[:4] != MAGIC:
        raise NotGGUF(
            f"{reader.path} is not a GGUF file",
            f"it starts with {reader.view[:4]!r}, not {MAGIC!r}",
            "Convert the model to GGUF first.",
        )
    reader.take(4, "magic number")
    version = reader.number("I", "version")
    if version & 0xFFFF == 0:
        reader.unsupported("it is a big-endian GGUF", "Fetch the little-endian file.")
    if version not in (2, 3):
        reader.unsupported(f"it is GGUF version {version}", "Only versions 2 and 3 can be read.")
    n_tensors = reader.number("Q", "tensor count")
    n_values = reader.number("Q", "metadata count")
    claim = f"it claims {n_values} metadata values and {n_tensors} tensors"
    if n_values * MIN_KEY_VALUE_BYTES + n_tensors * MIN_TENSOR_BYTES > reader.size:
        reader.malformed(claim, f"{reader.size} bytes cannot hold them")
    if max(n_values, n_tensors) > MAX_ENTRIES:
        reader.malformed(claim, f"at most {MAX_ENTRIES} of each are allowed")
    return version, n_tensors, n_values


def _read_metadata(
    reader: _Reader, count: int
) -> tuple[dict[str, Scalar | ArrayValue], dict[str, ValueType]]:
    metadata: dict[str, Scalar | ArrayValue] = {}
    types: dict[str, ValueType] = {}
    for _ in range(count):
        key = reader.string("metadata key", MAX_KEY_BYTES)
        if not key or "\0" in key:
            reader.malformed(f"a metadata key is {key!r}", "keys are not empty and hold no NUL")
        if key in metadata:
            reader.malformed(f"the key {key} occurs twice", "keys are unique")
        types[key] = _read_value_type(reader, key)
        metadata[key] = _read_value(reader, types[key], key)
    return metadata, types


def _read_value_type(reader: _Reader, key: str) -> ValueType:
    number = reader.number("I", f"type of {key}")
    try:
        return ValueType(number)
    except ValueError:
        reader.malformed(f"{key} has the type {number}", "types are 0 to 12")


def _read_value(reader: _Reader, kind: ValueType, key: str) -> Scalar | ArrayValue:
    if kind is ValueType.ARRAY:
        return _read_array(reader, key)
    if kind is ValueType.STRING:
        return reader.string(f"value of {key}")
    value = reader.number(STRUCT_CODE[kind], f"value of {key}")
    if kind is ValueType.BOOL:
        if value not in (0, 1):
            reader.malformed(f"{key} is the boolean {value}", "booleans are 0 or 1")
        return bool(value)
    return value


def _read_array(reader: _Reader, key: str) -> ArrayValue:
    kind = _read_value_type(reader, key)
    count = reader.number("Q", f"length of {key}")
    start = reader.position
    if kind is ValueType.ARRAY:
        reader.unsupported(f"{key} is an array of arrays", "Write it without nested arrays.")
    if kind is ValueType.STRING:
        if count > MAX_ARRAY_STRINGS:
            reader.malformed(f"{key} claims {count} strings", f"at most {MAX_ARRAY_STRINGS} fit")
        reader.skip_strings(count, f"array {key}")
    else:
        reader.take(count * struct.calcsize(STRUCT_CODE[kind]), f"array {key}")
        if kind is ValueType.BOOL and reader.view[start : reader.position].strip(b"\0\1"):
            reader.malformed(f"{key} holds other bytes", "booleans are 0 or 1")
    return ArrayValue(kind, count, start, reader.position - start)


def _alignment(
    reader: _Reader, metadata: dict[str, Scalar | ArrayValue], types: dict[str, ValueType]
) -> int:
    key = "general.alignment"
    if key not in metadata:
        return DEFAULT_ALIGNMENT
    value = metadata[key]
    if types[key] is not ValueType.UINT32 or not isinstance(value, int):
        reader.malformed(f"{key} is of type {types[key].name}", "it is UINT32")
    if value == 0 or value & (value - 1):
        reader.malformed(f"{key} is {value}", "it is a power of two")
    return value


def _read_tensors(reader: _Reader, count: int) -> dict[str, TensorInfo]:
    tensors: dict[str, TensorInfo] = {}
    for _ in range(count):
        name = reader.string("tensor name", MAX_NAME_BYTES)
        if not name or "\0" in name:
            reader.malformed(f"a tensor is named {name!r}", "names are not empty and hold no NUL")
        if name in tensors:
            reader.malformed(f"the tensor {name} occurs twice", "tensor names are unique")
        shape = _read_shape(reader, name)
        kind = _read_tensor_type(reader, name)
        offset = reader.number("Q", f"offset of {name}")
        tensors[name] = TensorInfo(
            name, shape, kind, offset, _tensor_bytes(reader, name, shape, kind)
        )
    return tensors


def _read_shape(reader: _Reader, name: str) -> tuple[int, ...]:
    dims = reader.number("I", f"dimensions of {name}")
    if not 1 <= dims <= MAX_DIMS:
        reader.malformed(f"{name} has {dims} dimensions", f"tensors have 1 to {MAX_DIMS}")
    shape = tuple(reader.number("Q", f"shape of {name}") for _ in range(dims))
    if min(shape) < 1:
        reader.malformed(f"{name} has the shape {shape}", "each dimension is at least 1")
    return shape


def _read_tensor_type(reader: _Reader, name: str) -> GGMLType:
    number = reader.number("I", f"type of {name}")
    try:
        return GGMLType(number)
    except ValueError:
        reader.unsupported(
            f"{name} has the tensor type {number}, which is unknown or was removed",
            "Quantise the model again with a current llama.cpp.",
        )


def _tensor_bytes(reader: _Reader, name: str, shape: tuple[int, ...], kind: GGMLType) -> int:
    if shape[0] % kind.block_size:
        reader.malformed(
            f"{name} has rows of {shape[0]} elements", f"{kind.name} packs {kind.block_size}"
        )
    elements = 1
    for length in shape:
        elements *= length
    nbytes = elements // kind.block_size * kind.type_size
    if nbytes > reader.size:
        reader.truncated(f"tensor {name} ({nbytes} bytes)")
    return nbytes


def _check_data(
    reader: _Reader, tensors: dict[str, TensorInfo], data_offset: int, alignment: int
) -> int:
    """Check that the tensors follow each other, as llama.cpp demands; return where they end."""
    expected, end = 0, data_offset
    for tensor in tensors.values():
        if tensor.offset != expected:
            reader.malformed(
                f"{tensor.name} starts at {tensor.offset}",
                f"the previous tensor ends at {expected}",
            )
        end = data_offset + expected + tensor.nbytes
        if end > reader.size:
            reader.truncated(f"data of {tensor.name}")
        expected = _padded(expected + tensor.nbytes, alignment)
    return end


def _padded(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _split_strings(raw: bytes, count: int) -> list[bytes]:
    length_at = struct.Struct("<Q").unpack_from
    strings: list[bytes] = []
    append = strings.append
    position = 0
    for _ in range(count):
        start = position + 8
        position = start + length_at(raw, position)[0]
        append(raw[start:position])
    return strings


def _decode(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(
            f"the {what} is not text", f"it is not UTF-8 ({error.reason})", "Fetch the file again."
        ) from error
