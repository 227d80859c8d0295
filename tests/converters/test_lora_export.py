"""GGUF LoRA back to PEFT: nothing is lost, and PEFT computes what llama.cpp does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expert_converters.errors import AdapterError, ModelError
from expert_converters.gguf_file import inspect
from expert_converters.lora import LoraJob, convert_lora
from expert_converters.lora_export import export_lora
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.converter_peers import llama_logits

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

PATTERNED = AdapterShape(rank=8, alpha=12, rank_pattern={"q_proj": 40}, use_rslora=True)
TOKENS = [5, 17, 300, 42, 9]


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0"])
@pytest.mark.parametrize(
    "shape",
    [AdapterShape(), PATTERNED, replace(PATTERNED, alora_invocation_tokens=(401, 7))],
    ids=["plain", "patterns", "alora"],
)
def test_round_trip(kind: str, shape: AdapterShape, tiny_gguf: Path, tmp_path: Path) -> None:
    """GGUF to PEFT and back gives the same tensors, alpha and invocation tokens."""
    source = peft_adapter(tmp_path / "peft", shape=shape)
    first = convert_lora(LoraJob(source, tiny_gguf, tmp_path / "first.gguf", kind, name="same"))
    folder = export_lora(first, tiny_gguf, tmp_path / "exported")
    second = convert_lora(LoraJob(folder, tiny_gguf, tmp_path / "second.gguf", kind, name="same"))
    before, after = inspect(first), inspect(second)
    assert set(before.tensors) == set(after.tensors)
    for name in before.tensors:
        assert before.tensor_bytes(name) == after.tensor_bytes(name), name
    alpha = "adapter.lora.alpha"
    assert after.metadata[alpha] == pytest.approx(before.metadata[alpha])
    invocation = "adapter.alora.invocation_tokens"
    assert (invocation in before.metadata) == (invocation in after.metadata)


def test_peft_computes_the_same(tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    """PEFT on transformers, with the exported folder, gives llama.cpp's logits."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    source = peft_adapter(tmp_path / "peft", shape=PATTERNED)
    adapter = convert_lora(LoraJob(source, tiny_gguf, tmp_path / "lora.gguf", "f32"))
    folder = export_lora(adapter, tiny_gguf, tmp_path / "exported")
    base: Any = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(folder))
    with torch.no_grad():
        expected = model(torch.tensor([TOKENS])).logits[0].numpy()
    np.testing.assert_allclose(llama_logits(tiny_gguf, TOKENS, adapter), expected, atol=5e-5)


def test_embedding_adapters_round_trip(untied_gguf: Path, tmp_path: Path) -> None:
    """An input embedding's factor is stored transposed in GGUF and comes back as PEFT has it."""
    from support.checkpoints import write_safetensors

    random = np.random.default_rng(0)
    source = peft_adapter(tmp_path / "peft", Qwen3Shape(tie_word_embeddings=False))
    name = "base_model.model.model.embed_tokens.lora_embedding_"
    tensors = {
        name + "A": random.standard_normal((8, 448), dtype=np.float32),
        name + "B": random.standard_normal((64, 8), dtype=np.float32),
    }
    write_safetensors(source / "adapter_model.safetensors", tensors, "float32")
    adapter = convert_lora(LoraJob(source, untied_gguf, tmp_path / "lora.gguf", "f32"))
    folder = export_lora(adapter, untied_gguf, tmp_path / "exported")

    from safetensors.numpy import load_file

    found = load_file(folder / "adapter_model.safetensors")
    np.testing.assert_array_equal(found[name + "A"][:8], tensors[name + "A"])
    np.testing.assert_array_equal(found[name + "B"][:, :8], tensors[name + "B"])
    assert json.loads((folder / "adapter_config.json").read_text())["target_modules"] == [
        "model.embed_tokens"
    ]


def test_nothing_is_overwritten_or_left(tiny_gguf: Path, tmp_path: Path) -> None:
    """An existing folder, and a base that is no model, are refused without traces."""
    source = peft_adapter(tmp_path / "peft")
    adapter = convert_lora(LoraJob(source, tiny_gguf, tmp_path / "lora.gguf"))
    with pytest.raises(AdapterError, match="exists"):
        export_lora(adapter, tiny_gguf, source)
    with pytest.raises(ModelError):
        export_lora(adapter, adapter, tmp_path / "exported")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lora.gguf", "peft"]
