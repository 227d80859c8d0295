"""Adapter checks: what would abort llama.cpp, or go wrong silently, is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Kind

from expert_converters.check import check_adapter
from expert_converters.errors import AdapterError
from expert_converters.gguf_file import inspect
from expert_converters.lora import LoraJob, convert_lora
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.hostile_models import Contents

Change = Callable[[Contents], None]
A, B = "blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"
ALPHA, INVOCATION = "adapter.lora.alpha", "adapter.alora.invocation_tokens"


@pytest.fixture(scope="module")
def adapter(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Q8_0 adapter with invocation tokens."""
    folder = tmp_path_factory.mktemp("adapter")
    source = peft_adapter(folder / "peft", shape=AdapterShape(alora_invocation_tokens=(401, 3)))
    return convert_lora(LoraJob(source, tiny_gguf, folder / "lora.gguf"))


def put(key: str, value: Any, kind: Kind, element: Kind | None = None) -> Change:
    """Set a key to a value of a type, or leave it out where None."""

    def change(contents: Contents) -> None:
        contents.values.pop(key, None)
        if value is not None:
            contents.values[key] = (value, kind, element)

    return change


def tensor(name: str, shape: tuple[int, ...] | None, kind: Type = Type.F32) -> Change:
    """Put zeros of a shape (numpy order) and type in place of a tensor, or leave it out."""

    def change(contents: Contents) -> None:
        contents.tensors.pop(name, None)
        if shape is not None:
            block, size = gguf.GGML_QUANT_SIZES[kind]
            data = np.zeros(int(np.prod(shape)) // block * size, np.uint8)
            contents.tensors[name] = (data, kind, shape)

    return change


def values(kind: Type, raw: bytes) -> Change:
    """Start the first factor, stored as *kind*, with the bytes *raw*."""

    def change(contents: Contents) -> None:
        tensor(A, (32, 64), kind)(contents)
        contents.tensors[A][0][: len(raw)] = np.frombuffer(raw, np.uint8)

    return change


def pair(target: str, rank: int, outputs: int, inputs: int) -> Change:
    """Add the factors of another matrix."""

    def change(contents: Contents) -> None:
        tensor(f"{target}.lora_a", (rank, inputs))(contents)
        tensor(f"{target}.lora_b", (outputs, rank))(contents)

    return change


FAULTS: dict[str, tuple[Change, str]] = {
    "other architecture": (put("general.architecture", "llama", Kind.STRING), "'llama'"),
    "architecture as a number": (put("general.architecture", 1, Kind.UINT32), "UINT32"),
    "not an adapter": (put("general.type", "model", Kind.STRING), "'model'"),
    "no type": (put("adapter.type", None, Kind.STRING), "adapter.type is None"),
    "other type": (put("adapter.type", "ia3", Kind.STRING), "'ia3'"),
    "no alpha": (put(ALPHA, None, Kind.FLOAT32), "alpha is None"),
    "alpha as a number": (put(ALPHA, 16, Kind.UINT32), "UINT32"),
    "alpha zero": (put(ALPHA, 0.0, Kind.FLOAT32), "alpha is 0.0"),
    "alpha negative": (put(ALPHA, -3.0, Kind.FLOAT32), "alpha is -3.0"),
    "alpha infinite": (put(ALPHA, float("inf"), Kind.FLOAT32), "alpha is inf"),
    "alpha not a number": (put(ALPHA, float("nan"), Kind.FLOAT32), "alpha is nan"),
    "signed invocation": (put(INVOCATION, [1], Kind.ARRAY, Kind.INT32), "UINT32"),
    "invocation as a number": (put(INVOCATION, 1, Kind.UINT32), "expected ARRAY"),
    "invocation outside": (put(INVOCATION, [448], Kind.ARRAY, Kind.UINT32), "448 tokens"),
    "prefix as a number": (put("adapter.lora.prompt_prefix", 1, Kind.UINT32), "prompt_prefix"),
    "unknown key": (put("adapter.lora.rank", 1, Kind.UINT32), "adapter.lora.rank"),
    "model key": (put("qwen3.block_count", 1, Kind.UINT32), "qwen3.block_count"),
    "one factor": (tensor(B, None), "attn_q.weight.lora_b is missing"),
    "norm": (tensor("blk.0.attn_norm.weight", (64,)), "no effect"),
    "other suffix": (tensor("blk.0.attn_q.weight.lora_c", (64,)), "not a LoRA factor"),
    "unknown target": (pair("blk.9.attn_q.weight", 32, 128, 64), "no matrix blk.9"),
    "vector target": (pair("blk.0.attn_norm.weight", 32, 64, 64), "no matrix blk.0.attn_norm"),
    "tied embedding": (pair("token_embd.weight", 32, 448, 64), "shares"),
    "tied output": (pair("output.weight", 32, 448, 64), "shares"),
    "other inputs": (tensor(A, (32, 96)), "lora_a has the shape"),
    "other outputs": (tensor(B, (64, 32)), "lora_b has the shape"),
    "other rank": (tensor(A, (64, 64)), "lora_a has the shape"),
    "transposed": (tensor(A, (64, 32)), "lora_a has the shape"),
    "third dimension": (tensor(A, (2, 32, 64)), "3 dimensions"),
    "one dimension": (tensor(A, (64,)), "1 dimensions"),
    "fine-grained type": (tensor(A, (32, 64), Type.Q5_0), "Q5_0"),
    "whole numbers": (tensor(A, (32, 64), Type.I8), "I8"),
    "NaN in F32": (values(Type.F32, np.float32(np.nan).tobytes()), "NaN"),
    "infinity in F16": (values(Type.F16, np.float16(np.inf).tobytes()), "NaN"),
    "infinity in BF16": (values(Type.BF16, b"\x80\x7f"), "NaN"),
    "NaN in Q8_0": (values(Type.Q8_0, b"\x01\x7e"), "NaN"),
    "NaN in Q4_0": (values(Type.Q4_0, b"\x01\x7e"), "NaN"),
    "no tensors": (lambda contents: contents.tensors.clear(), "no tensors"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault: str, adapter: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    """Each fault gives an error naming the key or tensor."""
    change, reason = FAULTS[fault]
    contents = Contents(adapter)
    change(contents)
    contents.write(tmp_path / "lora.gguf")
    with pytest.raises(AdapterError, match=reason) as caught:
        check_adapter(inspect(tmp_path / "lora.gguf"), inspect(tiny_gguf))
    assert caught.value.what and caught.value.fix


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0"])
def test_converted_adapters_pass(kind: str, tiny_gguf: Path, tmp_path: Path) -> None:
    """Every type the converter writes is allowed."""
    source = peft_adapter(tmp_path / "peft")
    adapter = convert_lora(LoraJob(source, tiny_gguf, tmp_path / "lora.gguf", kind))
    check_adapter(inspect(adapter), inspect(tiny_gguf))


def test_descriptions_and_own_keys_pass(adapter: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    """Free text of others and keys of our own do no harm."""
    contents = Contents(adapter)
    put("general.tags", ["a", "b"], Kind.ARRAY, Kind.STRING)(contents)
    put("expert.manifest", "{}", Kind.STRING)(contents)
    put("adapter.lora.task_name", "sql", Kind.STRING)(contents)
    contents.write(tmp_path / "lora.gguf")
    check_adapter(inspect(tmp_path / "lora.gguf"), inspect(tiny_gguf))


def test_values_can_be_left_unread(adapter: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    """A caller who knows the file's hash skips reading every number."""
    contents = Contents(adapter)
    values(Type.F32, np.float32(np.nan).tobytes())(contents)
    contents.write(tmp_path / "lora.gguf")
    check_adapter(inspect(tmp_path / "lora.gguf"), inspect(tiny_gguf), values=False)


def test_an_adapter_of_another_base(adapter: Path, untied_gguf: Path, tmp_path: Path) -> None:
    """Shapes decide: an untied twin fits, a wider model does not."""
    from expert_converters.model import ModelJob, convert_model
    from support.checkpoints import qwen3_checkpoint

    check_adapter(inspect(adapter), inspect(untied_gguf))
    wide = replace(Qwen3Shape(), hidden_size=96)
    source = qwen3_checkpoint(tmp_path / "wide", wide)
    model = convert_model(ModelJob(source, tmp_path / "wide.gguf"))
    with pytest.raises(AdapterError, match=r"expected \(96, 32\)"):
        check_adapter(inspect(adapter), inspect(model))
