"""PEFT LoRA to GGUF: equal to llama.cpp's converter where that is right, to PEFT everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expert_converters.check import check_adapter
from expert_converters.errors import AdapterError, CheckpointError
from expert_converters.gguf_file import inspect
from expert_converters.gguf_types import GGMLType
from expert_converters.identity import PREFIX, declared_identity
from expert_converters.lora import LoraJob, convert_lora
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter, write_safetensors
from support.converter_peers import (
    assert_same_gguf,
    llama_logits,
    lora_job,
    run_llama_cpp_converter,
)

# PEFT reads an attribute that transformers has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

TOKENS = [5, 17, 300, 42, 9, 401, 11, 250]
UNTIED = Qwen3Shape(tie_word_embeddings=False, seed=5)
PATTERNED = AdapterShape(
    rank=8,
    alpha=12,
    rank_pattern={r"layers\.0\.self_attn\.q_proj": 40, "down_proj": 4},
    alpha_pattern={"v_proj": 30.0, r"model\.layers\.1\.mlp\.up_proj": 3.0},
)
EMBEDDINGS = AdapterShape(rank=16, alpha=16, targets=("q_proj", "lm_head"))


def peft_logits(base: Path, adapter: Path | None) -> NDArray[np.float32]:
    """Return the logits of PEFT on transformers, in f32."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    with torch.no_grad():
        logits = model.eval()(torch.tensor([TOKENS])).logits[0]
    result: NDArray[np.float32] = logits.numpy()
    return result


@pytest.mark.parametrize(
    "shape",
    [
        AdapterShape(),
        AdapterShape(rank=32, alpha=64),
        AdapterShape(use_rslora=True),
        PATTERNED,
        replace(PATTERNED, use_rslora=True),
        AdapterShape(dtype="bfloat16"),
        AdapterShape(dtype="float16", rank=5, targets=("o_proj",)),
    ],
    ids=["plain", "rank-32", "rslora", "patterns", "rslora-patterns", "bf16", "f16-rank-5"],
)
def test_logits_equal_peft(
    shape: AdapterShape, tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """llama.cpp with the converted adapter computes what PEFT computes with the original."""
    source = peft_adapter(tmp_path / "peft", shape=shape)
    adapter = convert_lora(LoraJob(source, tiny_gguf, tmp_path / "lora.gguf", "f32"))
    check_adapter(inspect(adapter), inspect(tiny_gguf))

    expected = peft_logits(tiny_checkpoint, source)
    got = llama_logits(tiny_gguf, TOKENS, adapter)

    effect = np.abs(expected - llama_logits(tiny_gguf, TOKENS)).max()
    assert effect > 0.1, "the adapter must change something for this test to mean anything"
    np.testing.assert_allclose(got, expected, atol=5e-5)


def test_output_matrix_of_an_untied_base_can_be_adapted(
    untied_checkpoint: Path, untied_gguf: Path, tmp_path: Path
) -> None:
    """An adapter on lm_head computes what PEFT computes."""
    source = peft_adapter(tmp_path / "peft", UNTIED, EMBEDDINGS)
    adapter = convert_lora(LoraJob(source, untied_gguf, tmp_path / "lora.gguf", "f32"))
    expected = peft_logits(untied_checkpoint, source)
    np.testing.assert_allclose(llama_logits(untied_gguf, TOKENS, adapter), expected, atol=5e-5)


def test_input_embedding_of_an_untied_base_can_be_adapted(
    untied_checkpoint: Path, untied_gguf: Path, tmp_path: Path
) -> None:
    """An adapter PEFT trained on embed_tokens, base layer beside it, computes the same."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_pretrained(untied_checkpoint, dtype=torch.float32)
    config = LoraConfig(
        r=8, lora_alpha=24, target_modules=["embed_tokens", "v_proj"], init_lora_weights=False
    )
    model = get_peft_model(model, config)
    model.save_pretrained(tmp_path / "peft", save_embedding_layers=True)

    job = LoraJob(tmp_path / "peft", untied_gguf, tmp_path / "lora.gguf", "f32")
    adapter = convert_lora(job)
    check_adapter(inspect(adapter), inspect(untied_gguf))
    expected = peft_logits(untied_checkpoint, tmp_path / "peft")
    np.testing.assert_allclose(llama_logits(untied_gguf, TOKENS, adapter), expected, atol=5e-5)


def test_q8_0_is_the_default_with_alpha_equal_to_rank(tiny_gguf: Path, tmp_path: Path) -> None:
    """Both factors are Q8_0, ranks are multiples of 32, and the scale lies in B alone."""
    source = peft_adapter(tmp_path / "peft", shape=AdapterShape(rank=40, alpha=20))
    adapter = inspect(convert_lora(LoraJob(source, tiny_gguf, tmp_path / "lora.gguf")))
    assert {tensor.type for tensor in adapter.tensors.values()} == {GGMLType.Q8_0}
    assert {adapter.tensors["blk.0.attn_q.weight.lora_b"].shape} == {(64, 128)}
    assert adapter.metadata["adapter.lora.alpha"] == 64.0


def test_q8_0_stays_near_peft(tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    """Quantising the factors costs little of the adapter's effect."""
    source = peft_adapter(tmp_path / "peft", shape=PATTERNED)
    adapter = convert_lora(LoraJob(source, tiny_gguf, tmp_path / "lora.gguf"))
    expected = peft_logits(tiny_checkpoint, source)
    base, got = llama_logits(tiny_gguf, TOKENS), llama_logits(tiny_gguf, TOKENS, adapter)
    assert np.abs(got - expected).mean() < 0.02 * np.abs(expected - base).mean()


def test_f16_fallback_when_a_row_does_not_hold_whole_blocks(tmp_path: Path) -> None:
    """A matrix whose inputs are no multiple of 32 keeps its A in f16, and B in Q8_0."""
    from support.checkpoints import qwen3_checkpoint

    shape = Qwen3Shape(hidden_size=72)
    base = qwen3_checkpoint(tmp_path / "base", shape)
    source = peft_adapter(tmp_path / "peft", shape)
    adapter = inspect(convert_lora(LoraJob(source, base, tmp_path / "lora.gguf")))
    assert adapter.tensors["blk.0.attn_q.weight.lora_a"].type is GGMLType.F16
    assert adapter.tensors["blk.0.attn_q.weight.lora_b"].type is GGMLType.Q8_0


def test_a_gguf_base_is_named_and_a_folder_gives_the_same_tensors(
    tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """A GGUF base is named by its identity; shapes, and so tensors, come from either."""
    source = peft_adapter(tmp_path / "peft")
    first = convert_lora(LoraJob(source, tiny_gguf, tmp_path / "a.gguf"))
    second = convert_lora(LoraJob(source, tiny_checkpoint, tmp_path / "b.gguf"))
    one, other = inspect(first), inspect(second)
    named = {key: value for key, value in one.metadata.items() if key.startswith(PREFIX)}
    assert declared_identity(one) is not None and declared_identity(other) is None
    assert {k: v for k, v in one.metadata.items() if k not in named} == other.metadata
    assert one.tensors == other.tensors
    assert all(one.tensor_bytes(name) == other.tensor_bytes(name) for name in one.tensors)


@pytest.mark.slow
def test_plain_adapters_equal_llama_cpp(
    llama_cpp_source: Path, tiny_checkpoint: Path, untied_checkpoint: Path, tmp_path: Path
) -> None:
    """Where llama.cpp's converter is right, our file is the same byte by byte."""
    plain = AdapterShape(rank=32, alpha=48)
    cases = {
        "f32": (peft_adapter(tmp_path / "plain", shape=plain), tiny_checkpoint, "f32"),
        "f16": (tmp_path / "plain", tiny_checkpoint, "f16"),
        "bf16": (
            peft_adapter(tmp_path / "half", shape=replace(plain, dtype="bfloat16")),
            tiny_checkpoint,
            "bf16",
        ),
        "q8_0": (
            peft_adapter(tmp_path / "unit", shape=replace(plain, alpha=32)),
            tiny_checkpoint,
            "q8_0",
        ),
        "alora": (
            peft_adapter(
                tmp_path / "alora", shape=replace(plain, alora_invocation_tokens=(401, 7, 3))
            ),
            tiny_checkpoint,
            "f32",
        ),
        "output": (
            peft_adapter(tmp_path / "output", UNTIED, replace(EMBEDDINGS, rank=64)),
            untied_checkpoint,
            "f32",
        ),
    }
    jobs = [
        lora_job(source, base, tmp_path / f"theirs-{name}.gguf", kind)
        for name, (source, base, kind) in cases.items()
    ]
    run_llama_cpp_converter(llama_cpp_source, jobs)
    for name, (source, base, kind) in cases.items():
        ours = convert_lora(LoraJob(source, base, tmp_path / f"ours-{name}.gguf", kind))
        assert_same_gguf(ours, tmp_path / f"theirs-{name}.gguf")


def test_invocation_tokens_are_kept(tiny_gguf: Path, tmp_path: Path) -> None:
    """An aLoRA's tokens reach the key llama.cpp reads."""
    shape = AdapterShape(alora_invocation_tokens=(401, 2, 3))
    source = peft_adapter(tmp_path / "peft", shape=shape)
    adapter = inspect(convert_lora(LoraJob(source, tiny_gguf, tmp_path / "lora.gguf")))
    assert adapter.array("adapter.alora.invocation_tokens") == [401, 2, 3]


def test_progress_counts_matrices(tiny_gguf: Path, tmp_path: Path) -> None:
    """The callback sees every matrix and the total."""
    seen: list[tuple[int, int]] = []
    source = peft_adapter(tmp_path / "peft")
    job = LoraJob(source, tiny_gguf, tmp_path / "lora.gguf")
    convert_lora(job, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 14) for done in range(1, 15)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "lora_only"}, "biases"),
        ({"lora_bias": True}, "biases"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"peft_type": None}, "None"),
        ({"r": 16}, "expected"),
        ({"r": 0}, "positive"),
        ({"r": "8"}, "not a number"),
        ({"lora_alpha": float("nan")}, "positive"),
        ({"lora_alpha": None}, "not a number"),
        ({"rank_pattern": {"q_proj": 4}}, "expected"),
        ({"rank_pattern": [1]}, "not an object"),
        ({"alpha_pattern": {"(": 4}}, "regular expression"),
        ({"alora_invocation_tokens": [5000]}, "5000"),
        ({"alora_invocation_tokens": ["a"]}, "token ids"),
        ({"target_parameters": ["x"]}, "bare parameters"),
        ({"layer_replication": [[0, 1]]}, "repeats layers"),
        ({"trainable_token_indices": [1]}, "token embeddings"),
        ({"fan_in_fan_out": True}, "transposed"),
    ],
)
def test_configurations_that_cannot_be_converted(
    change: dict[str, Any], reason: str, tiny_gguf: Path, tmp_path: Path
) -> None:
    """Each is refused with its reason, and no file is left."""
    source = peft_adapter(tmp_path / "peft")
    config = json.loads((source / "adapter_config.json").read_text())
    (source / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(AdapterError, match=reason):
        convert_lora(LoraJob(source, tiny_gguf, tmp_path / "out" / "lora.gguf"))
    assert not list((tmp_path / "out").glob("*"))


A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
B = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({A: (8, 64)}, "one of its two factors"),
        ({A: (8, 64), B: (128, 4)}, "factor B"),
        ({A: (8, 32), B: (128, 8)}, "factor A"),
        ({A: (8, 64, 1), B: (128, 8)}, "factor A"),
        ({A: (8, 64), B: (128, 8), B.replace("lora_B.weight", "lora_B.bias"): (128,)}, "lost"),
        ({A.replace("lora_A.weight", "lora_magnitude_vector"): (128,)}, "DoRA"),
        ({A.replace("q_proj", "x_proj"): (8, 64)}, "no matrix"),
        ({A.replace("layers.0", "layers.7"): (8, 64)}, "no matrix"),
        ({A.replace("q_proj", "q_norm"): (8, 64)}, "no matrix"),
        ({"base_model.model.model.embed_tokens.lora_embedding_A": (8, 448)}, "shares"),
        ({"base_model.model.lm_head.lora_A.weight": (8, 64)}, "shares"),
        ({"base_model.model.lm_head.weight": (448, 64)}, "lost"),
        ({}, "no LoRA factors"),
    ],
)
def test_tensors_that_cannot_be_converted(
    tensors: dict[str, tuple[int, ...]], reason: str, tiny_gguf: Path, tmp_path: Path
) -> None:
    """Incomplete, surplus, misshapen and unknown tensors are refused with their reason."""
    source = peft_adapter(tmp_path / "peft")
    values = {name: np.zeros(shape, np.float32) for name, shape in tensors.items()}
    write_safetensors(source / "adapter_model.safetensors", values, "float32")
    with pytest.raises(AdapterError, match=reason):
        convert_lora(LoraJob(source, tiny_gguf, tmp_path / "lora.gguf"))


def test_numbers_that_are_not_finite_are_refused(tiny_gguf: Path, tmp_path: Path) -> None:
    """A NaN in the source never reaches a file."""
    source = peft_adapter(tmp_path / "peft")
    values = {A: np.full((8, 64), np.nan, np.float32), B: np.zeros((128, 8), np.float32)}
    write_safetensors(source / "adapter_model.safetensors", values, "float32")
    with pytest.raises(CheckpointError, match="NaN"):
        convert_lora(LoraJob(source, tiny_gguf, tmp_path / "out" / "lora.gguf"))
    assert not list((tmp_path / "out").glob("*"))


def test_missing_files_and_unknown_types(tiny_gguf: Path, tmp_path: Path) -> None:
    """The error names what is missing."""
    with pytest.raises(CheckpointError, match="adapter_config"):
        convert_lora(LoraJob(tmp_path, tiny_gguf, tmp_path / "lora.gguf"))
    source = peft_adapter(tmp_path / "peft")
    with pytest.raises(AdapterError, match="unknown type"):
        convert_lora(LoraJob(source, tiny_gguf, tmp_path / "lora.gguf", "q4_k"))
