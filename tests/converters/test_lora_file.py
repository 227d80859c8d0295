"""Opening adapters: the decoded numbers are gguf-py's, and broken files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from expert_converters.errors import AdapterError, GGUFError
from expert_converters.gguf_types import GGMLType
from expert_converters.lora_file import encode, open_lora

Q = "blk.0.attn_q.weight"
A, B = f"{Q}.lora_a", f"{Q}.lora_b"
ALPHA = "adapter.lora.alpha"


def write(path: Path, tensors: dict[str, tuple[Any, Type]], **changes: Any) -> Path:
    """Write an adapter with gguf-py."""
    writer = gguf.GGUFWriter(path, "qwen3")
    values = {"general.type": "adapter", "adapter.type": "lora", ALPHA: 16.0} | changes
    for key, value in values.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
        elif value is not None:
            writer.add_float32(key, value)
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def factors(kind: Type = Type.F32, rank: int = 32) -> dict[str, tuple[Any, Type]]:
    """Return random factors of one matrix."""
    random = np.random.default_rng(0)
    return {
        A: (random.standard_normal((rank, 64), dtype=np.float32), kind),
        B: (random.standard_normal((128, rank), dtype=np.float32), kind),
    }


@pytest.mark.parametrize("kind", [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0])
def test_decoded_numbers_are_those_of_gguf_py(kind: Type, tmp_path: Path) -> None:
    """For every type an adapter may have, to the last bit."""
    tensors = factors(kind)
    pair = open_lora(write(tmp_path / "lora.gguf", tensors)).pairs[Q]
    for factor, (data, _) in zip((pair.a, pair.b), tensors.values(), strict=True):
        stored = gguf.quants.quantize(data, kind)
        np.testing.assert_array_equal(factor.values(), gguf.quants.dequantize(stored, kind))
        if kind is not Type.Q4_0:
            again = encode(factor.values(), GGMLType(kind))
            np.testing.assert_array_equal(again.values(), factor.values())
    assert (pair.rank, pair.scale, pair.shape) == (32, 0.5, (128, 64))


def test_numbers_beyond_a_type_are_refused() -> None:
    """Half precision ends at 65504."""
    with pytest.raises(AdapterError, match="F16"):
        encode(np.full((1, 32), 1e5, np.float32), GGMLType.F16)


def without(name: str) -> dict[str, tuple[Any, Type]]:
    """Return factors of which one is missing."""
    tensors = factors()
    del tensors[name]
    return tensors


@pytest.mark.parametrize(
    ("tensors", "changes", "reason"),
    [
        (factors(), {"general.type": "model"}, "not a LoRA"),
        (factors(), {"adapter.type": "vector"}, "not a LoRA"),
        (factors(), {ALPHA: None}, "alpha"),
        (factors(), {ALPHA: -1.0}, "alpha"),
        (factors(), {ALPHA: float("nan")}, "alpha"),
        (factors(), {ALPHA: "16"}, "alpha"),
        (factors(), {"adapter.alora.invocation_tokens": ["a"]}, "UINT32"),
        ({}, {}, "no tensors"),
        (without(A), {}, "one of its two"),
        (without(B), {}, "one of its two"),
        (factors() | {A: (np.zeros((16, 64), np.float32), Type.F32)}, {}, "different ranks"),
        (factors() | {A: (np.zeros((1, 32, 64), np.float32), Type.F32)}, {}, "no matrix"),
        (factors() | {A: (np.zeros((32, 64), np.float32), Type.Q5_0)}, {}, "no matrix"),
        (
            factors() | {"blk.0.attn_norm.weight": (np.zeros(64, np.float32), Type.F32)},
            {},
            "factor",
        ),
    ],
)
def test_files_that_are_no_sound_adapters(
    tensors: dict[str, tuple[Any, Type]], changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    """Each is refused with its reason."""
    with pytest.raises(AdapterError, match=reason):
        open_lora(write(tmp_path / "lora.gguf", tensors, **changes))


def test_every_prefix_of_a_file_is_refused(tmp_path: Path) -> None:
    """A file cut off anywhere never gives factors."""
    whole = write(tmp_path / "lora.gguf", factors(Type.Q8_0)).read_bytes()
    part = tmp_path / "part.gguf"
    for length in range(0, len(whole) - 32, 97):
        part.write_bytes(whole[:length])
        with pytest.raises((GGUFError, AdapterError)):
            open_lora(part)
