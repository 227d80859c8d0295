"""Attacks an adapter file: each field and each tensor in turn, and what does not belong inside."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Kind

from support.hostile import fields
from support.hostile_models import Contents

HARMLESS = ("general.", "expert.base.", "controlvector.layer_count")
"""Keys that may be absent or odd: descriptions, and a base that need not be named."""


@dataclass(frozen=True)
class Attack:
    """A damaged copy of an adapter."""

    name: str
    path: Path
    harmful: bool
    """Whether it must be refused; else it may also be attached and compute."""


_VALUES: tuple[tuple[str, Any, Kind, Kind | None], ...] = (
    ("a number", 7, Kind.UINT32, None),
    ("a negative number", -1, Kind.INT64, None),
    ("an empty text", "", Kind.STRING, None),
    ("a long text", "x" * 70_000, Kind.STRING, None),
    ("NaN", float("nan"), Kind.FLOAT32, None),
    ("infinity", float("inf"), Kind.FLOAT64, None),
    ("zero", 0.0, Kind.FLOAT32, None),
    ("true", True, Kind.BOOL, None),
    ("numbers", [2**32 - 1, 0], Kind.ARRAY, Kind.UINT32),
    ("texts", ["a", ""], Kind.ARRAY, Kind.STRING),
)


def attacks(source: Path, folder: Path) -> Iterator[Attack]:
    """Write damaged copies of the adapter *source* into *folder*, one after another."""
    number = 0

    def place() -> Path:
        nonlocal number
        number += 1
        return folder / f"{number}.gguf"

    for name, change, harmful in (*_metadata(source), *_tensors(source), *_additions()):
        contents = Contents(source)
        change(contents)
        path = place()
        contents.write(path)
        yield Attack(name, path, harmful)
    for name, data in _raw(source.read_bytes()):
        path = place()
        path.write_bytes(data)
        yield Attack(name, path, True)


Change = Callable[[Contents], None]


def _metadata(source: Path) -> Iterator[tuple[str, Change, bool]]:
    for key, (_, kind, element) in Contents(source).values.items():
        vital = key in ("general.architecture", "general.type") or not key.startswith(HARMLESS)
        optional = key in ("adapter.alora.invocation_tokens", "controlvector.model_hint")
        yield f"{key} is absent", _drop(key), vital and not optional
        for what, value, other, inner in _VALUES:
            same = (other, inner) == (kind, element) and key == "adapter.lora.prompt_prefix"
            yield f"{key} is {what}", _put(key, value, other, inner), vital and not same


def _drop(key: str) -> Change:
    return lambda contents: contents.values.pop(key, None) and None


def _put(key: str, value: Any, kind: Kind, element: Kind | None = None) -> Change:
    return lambda contents: contents.values.__setitem__(key, (value, kind, element))


def _tensors(source: Path) -> Iterator[tuple[str, Change, bool]]:
    for name, (_, kind, shape) in Contents(source).tensors.items():
        size = int(np.prod(shape))
        yield f"{name} is absent", _without(name), True
        for what, value in (("NaN", np.nan), ("infinity", np.inf)):
            yield f"{name} holds {what}", _poison(name, value), True
        forms: dict[str, tuple[tuple[int, ...], Type]] = {
            "has a third dimension": ((2, *shape), kind),
            "has one dimension": ((size,), kind),
            "is transposed": (shape[::-1], kind),
            "has a row too many": ((shape[0] + 1, *shape[1:]), kind),
            "holds whole numbers": (shape, Type.I32),
        }
        for what, (form, stored) in forms.items():
            if (form, stored) != (shape, kind):
                harmful = what != "has a row too many" or ".lora_" in name
                yield f"{name} {what}", _reshape(name, form, stored), harmful


def _without(name: str) -> Change:
    return lambda contents: contents.tensors.pop(name, None) and None


def _poison(name: str, value: float) -> Change:
    def change(contents: Contents) -> None:
        data, kind, shape = contents.tensors[name]
        data = data.copy()
        raw = np.float32(value) if kind is Type.F32 else np.float16(value)
        data[: raw.nbytes] = np.frombuffer(raw.tobytes(), np.uint8)
        contents.tensors[name] = (data, kind, shape)

    return change


def _reshape(name: str, shape: tuple[int, ...], kind: Type) -> Change:
    def change(contents: Contents) -> None:
        block, size = gguf.GGML_QUANT_SIZES[kind]
        data = np.zeros(int(np.prod(shape)) // block * size, np.uint8)
        contents.tensors[name] = (data, kind, shape)

    return change


def _additions() -> Iterator[tuple[str, Change, bool]]:
    yield "a chat template inside", _put("tokenizer.chat_template", "{{ x }}", Kind.STRING), True
    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges"):
        yield f"{key} inside", _put(key, ["a", "b"], Kind.ARRAY, Kind.STRING), True
    yield "another vocabulary inside", _put("tokenizer.ggml.model", "gpt2", Kind.STRING), True
    yield "hyperparameters inside", _put("qwen3.block_count", 99, Kind.UINT32), True
    for target, shapes in (
        ("token_embd.weight", ((448, 32), (64, 32))),
        ("output.weight", ((32, 64), (448, 32))),
        ("blk.0.attn_norm.weight", ((32, 64), (64, 32))),
        ("blk.99.attn_q.weight", ((32, 64), (128, 32))),
        ("", ((32, 64), (128, 32))),
        ("blk.0.attn_q.weight\n", ((32, 64), (128, 32))),
    ):
        yield f"a pair for {target!r}", _pair(target, *shapes), True
    yield "a tensor of its own", _add("blk.0.attn_q.weight", (64, 64)), True


def _pair(target: str, a: tuple[int, ...], b: tuple[int, ...]) -> Change:
    def change(contents: Contents) -> None:
        _add(f"{target}.lora_a", a)(contents)
        _add(f"{target}.lora_b", b)(contents)

    return change


def _add(name: str, shape: tuple[int, ...]) -> Change:
    def change(contents: Contents) -> None:
        contents.tensors[name] = (np.zeros(int(np.prod(shape)) * 4, np.uint8), Type.F32, shape)

    return change


def _raw(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield files that no writer makes: hostile numbers, names given twice, and cut ends."""
    layout = fields(data)
    end = layout[-1].start
    for share in (0, 3, 4, 24, 60, end // 2, end - 1, end, len(data) // 2, len(data) - 1):
        yield f"cut to {share} bytes", data[:share]
    hostile = {"shape": (0, 2**63, 2**64 - 1), "dims": (0, 3, 5, 2**31), "tensor": (99, 2**32 - 1)}
    for field in layout[:-1]:
        for number in hostile.get(field.name.split(" ")[0], ()):
            value = (number % (1 << 8 * field.size)).to_bytes(field.size, "little")
            yield f"{field.name} is {number}", _patch(data, field.start, value)
        if field.name.startswith("offset of"):
            yield f"{field.name} is far", _patch(data, field.start, struct.pack("<Q", 1 << 40))
    for count in ("n_tensors", "n_kv"):
        (field,) = (field for field in layout if field.name == count)
        yield f"{count} is huge", _patch(data, field.start, struct.pack("<Q", 2**61))
    yield "two tensors of one name", _twice(data)


def _patch(data: bytes, start: int, replacement: bytes) -> bytes:
    return data[:start] + replacement + data[start + len(replacement) :]


def _twice(data: bytes) -> bytes:
    """Give the second tensor the name of the first."""
    names = [field for field in fields(data) if field.name.startswith("length of tensor")]
    texts = [data[f.start + 8 :][: int.from_bytes(data[f.start :][:8], "little")] for f in names]
    return data.replace(texts[1], texts[0], 1) if len(texts) > 1 else data[:-1]
