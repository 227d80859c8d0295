"""Writes well-formed GGUF files whose contents contradict what llama.cpp expects, from a seed.

Where `hostile` damages bytes, this changes meanings: keys dropped, added or of another type and
value, tensors dropped, renamed, reshaped or of another type, tokens repeated.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Kind
from numpy.typing import NDArray

from expert_converters.gguf_file import ArrayValue, inspect

Random = random.Random
Value = tuple[Any, Kind, Kind | None]
"""Value, type, and element type of an array."""

SURPLUS_KEYS = (
    *("expert_count", "expert_used_count", "nextn_predict_layers", "expert_group_count"),
    *("attention.sliding_window", "attention.causal", "pooling_type", "embedding_length_out"),
    *("rope.dimension_count", "rope.scaling.type", "rope.scaling.factor", "rope.scale_linear"),
    *("classifier.output_labels", "attention.key_length_swa", "vocab_size", "logit_scale"),
    *("rope.dimension_sections", "attention.max_alibi_bias", "attention.value_length"),
)
SURPLUS_TENSORS = (
    *("output.weight", "cls.weight", "cls.output.weight", "rope_freqs.weight", "output.bias"),
    *("blk.0.attn_qkv.weight", "blk.0.attn_q.bias", "blk.9.attn_q.weight", "token_types.weight"),
    *("blk.0.attn_output.bias", "blk.0.attn_q.scale", "blk.0.ffn_gate_inp.weight", "x"),
)
NUMBERS = (0, 1, 2, 3, 5, 31, 33, 64, 512, 513, 1 << 16, (1 << 31) - 1, (1 << 32) - 1)
TEXTS = ("", "gpt2", "bert", "llama", "qwen2", "llama-bpe", "yarn", "longrope", "phi-3", "a" * 5000)


class Contents:
    """The metadata and tensors of a file, to be changed and written again."""

    def __init__(self, path: Path) -> None:
        source = inspect(path)
        self.values: dict[str, Value] = {}
        for key, value in source.metadata.items():
            kind = Kind(source.types[key])
            if isinstance(value, ArrayValue):
                self.values[key] = (source.array(key), kind, Kind(value.type))
            else:
                self.values[key] = (value, kind, None)
        self.tensors: dict[str, tuple[NDArray[Any], Type, tuple[int, ...]]] = {
            name: (
                np.frombuffer(source.tensor_bytes(name), np.uint8),
                Type(tensor.type),
                tensor.shape[::-1],
            )
            for name, tensor in source.tensors.items()
        }

    def write(self, path: Path) -> None:
        """Write the file; every field is encoded as its type demands."""
        writer = gguf.GGUFWriter(None, "x")
        writer.kv_data[0].clear()
        for key, (value, kind, element) in self.values.items():
            writer.add_key_value(key, value, kind, element)
        alignment = self.values.get("general.alignment", (32,))[0]
        if alignment in (16, 64, 128):
            writer.data_alignment = alignment
        for name, (data, kind, shape) in self.tensors.items():
            writer.add_tensor_info(name, shape, np.dtype("f4"), data.nbytes, raw_dtype=kind)
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for data, _, _ in self.tensors.values():
            writer.write_tensor_data(data)
        writer.close()


def hostile_models(source: Path, folder: Path, count: int, seed: int = 0) -> Iterator[Path]:
    """Write *count* changed copies of the model *source*, one at a time, and yield their paths."""
    changes: tuple[Callable[[Contents, Random], None], ...] = (
        drop_key,
        retype_key,
        change_number,
        change_text,
        add_key,
        change_array,
        repeat_token,
        drop_tensor,
        rename_tensor,
        reshape_tensor,
        retype_tensor,
    )
    for index in range(count):
        chance = Random(f"{seed}/{index}")
        contents = Contents(source)
        change = changes[index % len(changes)]
        change(contents, chance)
        path = folder / f"{index}-{change.__name__}.gguf"
        contents.write(path)
        yield path


def drop_key(contents: Contents, chance: Random) -> None:
    """Leave one key out."""
    del contents.values[chance.choice(list(contents.values))]


def retype_key(contents: Contents, chance: Random) -> None:
    """Store a key, or the elements of an array, as another type."""
    key = chance.choice(list(contents.values))
    contents.values[key] = _random_value(chance)


def change_number(contents: Contents, chance: Random) -> None:
    """Give a number another value of the same type."""
    numbers = [
        key for key, value in contents.values.items() if value[1] in (Kind.UINT32, Kind.BOOL)
    ]
    floats = [key for key, value in contents.values.items() if value[1] is Kind.FLOAT32]
    if chance.random() < 0.7:
        key = chance.choice(numbers)
        kind = contents.values[key][1]
        number = chance.choice(NUMBERS)
        contents.values[key] = (bool(number) if kind is Kind.BOOL else number, kind, None)
    else:
        real = chance.choice((0.0, -1.0, 1e-38, 1e38, float("nan"), float("inf")))
        contents.values[chance.choice(floats)] = (real, Kind.FLOAT32, None)


def change_text(contents: Contents, chance: Random) -> None:
    """Give a text another value."""
    texts = [key for key, value in contents.values.items() if value[1] is Kind.STRING]
    contents.values[chance.choice(texts)] = (chance.choice(TEXTS), Kind.STRING, None)


def add_key(contents: Contents, chance: Random) -> None:
    """Add a key that llama.cpp reads, but this architecture does not need."""
    architecture = contents.values["general.architecture"][0]
    names = [f"{architecture}.{key}" for key in SURPLUS_KEYS]
    names += ["general.alignment", "general.tensor_extra.name", "split.count"]
    names += ["tokenizer.ggml.add_bos_token", "tokenizer.ggml.suppress_tokens"]
    names += ["tokenizer.ggml.precompiled_charsmap", "tokenizer.ggml.bos_token_id"]
    contents.values[chance.choice(names)] = _random_value(chance)


def change_array(contents: Contents, chance: Random) -> None:
    """Shorten an array, lengthen it, or change one element."""
    arrays = [key for key, value in contents.values.items() if value[1] is Kind.ARRAY]
    key = chance.choice(arrays)
    value, kind, element = contents.values[key]
    how = chance.randrange(3)
    if how == 0:
        value = value[: chance.randrange(1, len(value))]
    elif how == 1:
        value = value + value[:1]
    else:
        position = chance.randrange(len(value))
        other: Any = chance.choice(["", "a b", "\0"]) if isinstance(value[0], str) else None
        value[position] = chance.choice((-1, 0, 6, 7, 99)) if other is None else other
    contents.values[key] = (value, kind, element)


def repeat_token(contents: Contents, chance: Random) -> None:
    """Give two tokens the same text, or one token the type of a byte."""
    if chance.random() < 0.5:
        tokens = contents.values["tokenizer.ggml.tokens"][0]
        tokens[chance.randrange(len(tokens))] = chance.choice(tokens)
    else:
        types = contents.values["tokenizer.ggml.token_type"][0]
        types[chance.randrange(len(types))] = 6


def drop_tensor(contents: Contents, chance: Random) -> None:
    """Leave one tensor out."""
    del contents.tensors[chance.choice(list(contents.tensors))]


def rename_tensor(contents: Contents, chance: Random) -> None:
    """Rename a tensor, or add one under the name of another architecture's."""
    name = chance.choice(list(contents.tensors))
    tensor = contents.tensors[name]
    if chance.random() < 0.5:
        del contents.tensors[name]
    contents.tensors[chance.choice(SURPLUS_TENSORS)] = tensor


def reshape_tensor(contents: Contents, chance: Random) -> None:
    """Store a tensor transposed, with one more dimension, or shortened."""
    name = chance.choice(list(contents.tensors))
    _, _, shape = contents.tensors[name]
    shapes = [shape[::-1], (*shape, 2), (2, *shape), shape[:-1] or (1,), (1,), (*shape[:-1], 32)]
    new = chance.choice(shapes)
    data = np.zeros(int(np.prod(new)) * 4, np.uint8)
    contents.tensors[name] = (data, Type.F32, new)


def retype_tensor(contents: Contents, chance: Random) -> None:
    """Store a tensor as another type, zeros for values."""
    name = chance.choice(list(contents.tensors))
    shape = contents.tensors[name][2]
    kind = chance.choice(list(Type))
    block, size = gguf.GGML_QUANT_SIZES[kind]
    nbytes = int(np.prod(shape)) // block * size
    contents.tensors[name] = (np.zeros(nbytes, np.uint8), kind, shape)


def _random_value(chance: Random) -> Value:
    number = chance.choice(NUMBERS)
    choices: tuple[Value, ...] = (
        (number, Kind.UINT32, None),
        (number >> 1, Kind.INT32, None),
        (number, Kind.UINT64, None),
        (chance.random() * 4, Kind.FLOAT32, None),
        (number & 1 == 1, Kind.BOOL, None),
        (chance.choice(TEXTS), Kind.STRING, None),
        ([number >> 1], Kind.ARRAY, Kind.INT32),
        ([number, 1, 2, 3], Kind.ARRAY, Kind.UINT32),
        ([0.5], Kind.ARRAY, Kind.FLOAT32),
        (["x", "y"], Kind.ARRAY, Kind.STRING),
    )
    return chance.choice(choices)
