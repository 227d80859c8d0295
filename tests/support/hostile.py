"""Damages GGUF files in every way a hostile or unlucky one could be, from a seed.

`mutants` yields whole files with a description; `fields` finds the numbers of a header without
the code under test. `hostile_models` beside this module writes valid files with hostile contents.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
HOSTILE_NUMBERS = (
    *(0, 1, 2, 3, 7, 8, 9, 31, 33, 64, 255, 256, 4096, 65535, 65536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
)
Random = random.Random
Mutator = Callable[[bytes, list["Field"], Random], tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Field:
    """A number in a header: what it is, where, and how wide (bytes)."""

    name: str
    start: int
    size: int


def fields(data: bytes) -> list[Field]:
    """Find every number of a valid GGUF header; of an array, the first two elements."""
    found = [Field("version", 4, 4), Field("n_tensors", 8, 8), Field("n_kv", 16, 8)]
    n_tensors, n_values = struct.unpack_from("<QQ", data, 8)
    position = 24
    for _ in range(n_values):
        position = _value_fields(data, position, found)
    for _ in range(n_tensors):
        position = _tensor_fields(data, position, found)
    found.append(Field("end", position, 0))
    return found


def mutants(data: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield *count* damaged copies of the valid file *data*, each with a description."""
    layout = fields(data)
    mutators: tuple[Mutator, ...] = (
        flip_bit,
        flip_bit,
        set_field,
        set_field,
        set_field,
        change_type,
        change_text,
        truncate,
        delete_span,
        repeat_span,
        swap_fields,
        noise,
    )
    for index in range(count):
        chance = Random(f"{seed}/{index}")
        mutator = mutators[index % len(mutators)]
        description, damaged = mutator(data, layout, chance)
        yield f"{index}: {description}", damaged


def flip_bit(data: bytes, layout: list[Field], chance: Random) -> tuple[str, bytes]:
    """Flip one bit of the header, preferably in a number."""
    if chance.random() < 0.7:
        field = chance.choice(layout[:-1])
        position = field.start + chance.randrange(field.size)
        what = field.name
    else:
        position = chance.randrange(layout[-1].start)
        what = f"byte {position}"
    bit = chance.randrange(8)
    return f"bit {bit} of {what} flipped", _patch(
        data, position, bytes([data[position] ^ 1 << bit])
    )


def set_field(data: bytes, layout: list[Field], chance: Random) -> tuple[str, bytes]:
    """Give a number a hostile value."""
    field = chance.choice(layout[:-1])
    old = int.from_bytes(data[field.start : field.start + field.size], "little")
    value = chance.choice((*HOSTILE_NUMBERS, old + 1, old - 1, old * 2, len(data)))
    value %= 1 << 8 * field.size
    return f"{field.name} = {value}", _patch(
        data, field.start, value.to_bytes(field.size, "little")
    )


def change_type(data: bytes, layout: list[Field], chance: Random) -> tuple[str, bytes]:
    """Give a metadata value or a tensor another type."""
    field = chance.choice([field for field in layout if "type" in field.name])
    value = chance.randrange(13) if field.name.startswith("type of value") else chance.randrange(45)
    return f"{field.name} = {value}", _patch(data, field.start, struct.pack("<I", value))


def change_text(data: bytes, layout: list[Field], chance: Random) -> tuple[str, bytes]:
    """Replace characters of a key, a name or a text, keeping its length."""
    field = chance.choice([field for field in layout if field.name.startswith("length of")])
    length = int.from_bytes(data[field.start : field.start + 8], "little")
    if length == 0:
        return "nothing changed", data
    start = field.start + 8 + chance.randrange(length)
    text = bytes(chance.choice(b"abz019._\x00\xff \xc3") for _ in range(chance.randint(1, 3)))
    text = text[: field.start + 8 + length - start]
    return f"text {field.name[10:]!r} at {start} changed to {text!r}", _patch(data, start, text)


def truncate(data: bytes, layout: list[Field], chance: Random) -> tuple[str, bytes]:
    """Cut the file off, mostly within the header."""
    end = layout[-1].start if chance.random() < 0.7 else len(data)
    keep = chance.randrange(end)
    return f"cut to {keep} bytes", data[:keep]


def delete_span(data: bytes, layout: list[Field], chance: Random) -> tuple[str, bytes]:
    """Remove a few bytes from the header."""
    start = chance.randrange(layout[-1].start)
    length = chance.choice((1, 4, 8, 32, 100, 1000))
    return f"{length} bytes at {start} removed", data[:start] + data[start + length :]


def repeat_span(data: bytes, layout: list[Field], chance: Random) -> tuple[str, bytes]:
    """Write a few bytes of the header twice."""
    start = chance.randrange(layout[-1].start)
    length = chance.choice((1, 4, 8, 32, 100, 1000))
    span = data[start : start + length]
    return f"{length} bytes at {start} repeated", data[:start] + span + data[start:]


def swap_fields(data: bytes, layout: list[Field], chance: Random) -> tuple[str, bytes]:
    """Exchange two numbers of the same width."""
    one = chance.choice(layout[:-1])
    other = chance.choice([field for field in layout if field.size == one.size])
    first = data[one.start : one.start + one.size]
    second = data[other.start : other.start + other.size]
    swapped = _patch(_patch(data, one.start, second), other.start, first)
    return f"{one.name} and {other.name} exchanged", swapped


def noise(data: bytes, layout: list[Field], chance: Random) -> tuple[str, bytes]:
    """Overwrite a span of the header with random bytes."""
    start = chance.randrange(layout[-1].start)
    length = chance.choice((1, 2, 4, 16, 64, 512))
    return f"{length} random bytes at {start}", _patch(data, start, chance.randbytes(length))


def _patch(data: bytes, start: int, replacement: bytes) -> bytes:
    return data[:start] + replacement + data[start + len(replacement) :]


def _value_fields(data: bytes, position: int, found: list[Field]) -> int:
    key, position = _string_field(data, position, "key", found)
    kind = struct.unpack_from("<I", data, position)[0]
    found.append(Field(f"type of value {key}", position, 4))
    position += 4
    count = 1
    if kind == ARRAY:
        kind, count = struct.unpack_from("<IQ", data, position)
        found.append(Field(f"type of value elements {key}", position, 4))
        found.append(Field(f"count of {key}", position + 4, 8))
        position += 12
    for index in range(count):
        known = found if index < 2 else []
        if kind == STRING:
            _, position = _string_field(data, position, f"value {key}", known)
        else:
            known.append(Field(f"value {key}", position, SIZES[kind]))
            position += SIZES[kind]
    return position


def _tensor_fields(data: bytes, position: int, found: list[Field]) -> int:
    name, position = _string_field(data, position, "tensor", found)
    dims = struct.unpack_from("<I", data, position)[0]
    found.append(Field(f"dims of {name}", position, 4))
    position += 4
    for _ in range(dims):
        found.append(Field(f"shape of {name}", position, 8))
        position += 8
    found.append(Field(f"tensor type of {name}", position, 4))
    found.append(Field(f"offset of {name}", position + 4, 8))
    return position + 12


def _string_field(data: bytes, position: int, what: str, found: list[Field]) -> tuple[str, int]:
    length = struct.unpack_from("<Q", data, position)[0]
    end = position + 8 + length
    text = data[position + 8 : end].decode()
    found.append(Field(f"length of {what} {text[:40]}", position, 8))
    return text, end
