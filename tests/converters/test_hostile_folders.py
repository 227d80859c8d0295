"""Folders of checkpoints and adapters whose files lie: typed errors, soon, and nothing left."""

from __future__ import annotations

import io
import json
import shutil
import struct
import time
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from expert_converters.checkpoint import read_json
from expert_converters.compress.compress import CompressJob, compress
from expert_converters.errors import AdapterError, CheckpointError, ConversionError
from expert_converters.fuse import FuseJob, fuse
from expert_converters.gguf_file import inspect
from expert_converters.gguf_types import GGMLType
from expert_converters.gguf_writer import NewTensor, Value, write_gguf
from expert_converters.interference import measure
from expert_converters.lora import LoraJob, convert_lora
from expert_converters.model import ModelJob, convert_model
from expert_converters.safetensors_file import read_safetensors
from support.checkpoints import peft_adapter

Change = Callable[[Any], Any]


def edited(source: Path, target: Path, name: str, change: Change | bytes) -> Path:
    """Copy a folder with one of its files changed, as JSON, or replaced."""
    shutil.copytree(source, target)
    if isinstance(change, bytes):
        (target / name).write_bytes(change)
    else:
        content = json.loads((target / name).read_text())
        change(content)
        (target / name).write_text(json.dumps(content))
    return target


def put(**values: Any) -> Change:
    """Set keys of a file."""
    return lambda content: content.update(values)


def vocabulary(**tokens: Any) -> Change:
    """Add tokens to a tokenizer."""
    return lambda content: content["model"]["vocab"].update(tokens)


CARD = "README.md"
CHECKPOINTS: dict[str, tuple[str, Change | bytes]] = {
    "a context beyond GGUF's numbers": ("config.json", put(max_position_embeddings=2**40)),
    "layers that take hours to count": ("config.json", put(num_hidden_layers=10**9)),
    "rope beyond floats": ("config.json", put(rope_theta=10**400)),
    "epsilon beyond floats": ("config.json", put(rms_norm_eps=10**400)),
    "a penalty that is a text": ("generation_config.json", b'{"repetition_penalty": "x"}'),
    "a token below zero": ("tokenizer.json", vocabulary(zzz=-1)),
    "a token that is true": ("tokenizer.json", vocabulary(zzz=True)),
    "one number for two tokens": ("tokenizer.json", vocabulary(zzz=5)),
    "an added token below zero": (
        "tokenizer.json",
        lambda content: content["added_tokens"].append({"id": -3, "content": "q"}),
    ),
    "half a character as a token": ("tokenizer.json", vocabulary(**{"\ud800": 440})),
    "half a character in a template": ("tokenizer_config.json", put(chat_template="\ud800")),
    "a merge of three": (
        "tokenizer.json",
        lambda content: content["model"].update(merges=[["a", "b", "c"]]),
    ),
    "a card that is no YAML": (CARD, b"---\n: : [\n---\n"),
    "a card that is no UTF-8": (CARD, b"---\nlicense: \xff\n---\n"),
    "a bottomless configuration": ("config.json", b"[" * 200_000),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_checkpoints_that_lie(case: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Each is refused within seconds with what, why and what to do; no file is begun."""
    source = edited(tiny_checkpoint, tmp_path / "source", *CHECKPOINTS[case])
    start = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        convert_model(ModelJob(source, tmp_path / "out" / "m.gguf", "f16"))
    assert caught.value.what and caught.value.why and caught.value.fix
    assert time.monotonic() - start < 20
    assert not list(tmp_path.glob("out/*")) + list(tmp_path.glob("out/.*"))


ADAPTERS: dict[str, tuple[str, Change | bytes]] = {
    "alpha beyond floats": ("adapter_config.json", put(lora_alpha=1e300)),
    "alpha beyond all floats": ("adapter_config.json", put(lora_alpha=10**400)),
    "a rank and a half": ("adapter_config.json", put(r=8.5)),
    "a rank and a half for a module": ("adapter_config.json", put(rank_pattern={"q_proj": 8.5})),
    "a card that is no YAML": (CARD, b"---\n: : [\n---\n"),
    "a card that is no UTF-8": (CARD, b"---\nlicense: \xff\n---\n"),
    "a bottomless configuration": ("adapter_config.json", b"[" * 200_000),
}


@pytest.mark.parametrize("case", ADAPTERS)
def test_adapters_that_lie(case: str, tiny_gguf: Path, tmp_path: Path) -> None:
    """The same for the folders that PEFT writes."""
    source = edited(peft_adapter(tmp_path / "peft"), tmp_path / "source", *ADAPTERS[case])
    with pytest.raises(ConversionError) as caught:
        convert_lora(LoraJob(source, tiny_gguf, tmp_path / "out" / "a.gguf"))
    assert caught.value.what and caught.value.why and caught.value.fix
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("twin", ["model.layers.0.self_attn.q_proj.lora_A.weight", "embedding"])
def test_a_factor_that_is_there_twice_is_noticed(
    twin: str, tiny_gguf: Path, tmp_path: Path
) -> None:
    """Under a name without the prefix, or as an embedding's: neither replaces the other."""
    folder = peft_adapter(tmp_path / "peft")
    weights = load_file(folder / "adapter_model.safetensors")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    if twin == "embedding":
        twin = name.replace(".lora_A.weight", ".lora_embedding_A")
    save_file(weights | {twin: weights[name] * 2}, folder / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="twice"):
        convert_lora(LoraJob(folder, tiny_gguf, tmp_path / "a.gguf"))


@pytest.mark.parametrize(
    "table",
    [
        b"[" * 200_000,
        b'{"a": {"dtype": [], "shape": [1], "data_offsets": [0, 4]}}',
        b'{"position_ids": {"dtype": {}, "shape": [1], "data_offsets": [0, 4]}}',
    ],
)
def test_tables_of_tensors_that_lie(table: bytes, tmp_path: Path) -> None:
    """Bottomless ones, and types that are lists."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(table).to_bytes(8, "little") + table + bytes(4))
    with pytest.raises(CheckpointError, match="damaged"):
        read_safetensors(path)
    path.write_bytes(b"[" * 200_000)
    with pytest.raises(CheckpointError, match="damaged"):
        read_json(path)


@pytest.fixture
def poisoned(tiny_gguf: Path, tmp_path: Path) -> tuple[Path, Path]:
    """An adapter, and the same with one number that is none."""
    good = convert_lora(
        LoraJob(peft_adapter(tmp_path / "peft"), tiny_gguf, tmp_path / "good.gguf", "f32")
    )
    header = inspect(good)
    start = header.data_offset + next(iter(header.tensors.values())).offset
    data = bytearray(good.read_bytes())
    data[start : start + 4] = struct.pack("<f", float("nan"))
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(data)
    return bad, good


def test_a_number_that_is_none_is_said(poisoned: tuple[Path, Path], tmp_path: Path) -> None:
    """By all that computes with an adapter's numbers, instead of failing inside a decomposition."""
    bad, good = poisoned
    target = tmp_path / "out.gguf"
    work: list[Callable[[], object]] = [
        lambda: fuse(FuseJob([(bad, 1.0), (good, 1.0)], target, rank=4)),
        lambda: measure(bad, good),
        lambda: measure(good, bad),
        lambda: compress(CompressJob(bad, target, "q3")),
        lambda: compress(CompressJob(bad, target, "q8_0")),
    ]
    for attempt in work:
        with pytest.raises(AdapterError, match="NaN or infinity"):
            attempt()
        assert not target.exists()


def plain_adapter(path: Path, target: str, inputs: int) -> Path:
    """Write an adapter of one matrix."""
    keys: dict[str, Value] = {
        "general.architecture": "qwen3",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 32.0,
    }
    tensors = [
        NewTensor(f"{target}.lora_a", (inputs, 32), GGMLType.F32),
        NewTensor(f"{target}.lora_b", (32, 128), GGMLType.F32),
    ]
    data = [np.ones((32, inputs), np.float32), np.ones((128, 32), np.float32)]
    with path.open("wb") as file:
        write_gguf(file, keys, tensors, data)
    return path


@pytest.mark.parametrize("digests", list(permutations(["00", "11", "22"])))
def test_shapes_are_compared_among_all_parts(digests: tuple[str, ...], tmp_path: Path) -> None:
    """Whichever comes first, the two that contradict each other are named."""
    parts = [
        plain_adapter(tmp_path / f"{n}.gguf", f"blk.{layer}.attn_q.weight", inputs)
        for n, (layer, inputs) in enumerate(((0, 64), (1, 64), (1, 128)))
    ]
    with pytest.raises(AdapterError) as caught:
        fuse(FuseJob([(path, 1.0) for path in parts], tmp_path / "fused.gguf", digests=digests))
    assert str(parts[1]) in caught.value.why and str(parts[2]) in caught.value.why


def test_lists_and_rows_that_would_be_garbled_are_refused() -> None:
    """A list of two types, and a row that is part of a block, cannot be written."""
    with pytest.raises(ValueError, match="not of one type"):
        write_gguf(io.BytesIO(), {"a": [1, 0.5]}, [], [])
    with pytest.raises(ValueError, match="no whole blocks"):
        part = NewTensor("x", (8, 4), GGMLType.Q8_0)
        write_gguf(io.BytesIO(), {}, [part], [np.zeros(34, np.uint8)])
