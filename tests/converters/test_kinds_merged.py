"""DoRA and IA3: exact as a copy of the base, and approximate as a LoRA within a limit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expert_converters.errors import AdapterError
from expert_converters.gguf_file import GGUFFile, inspect
from expert_converters.kinds import AdapterJob, convert_adapter, merged
from expert_converters.kinds.job import LIMIT
from expert_converters.lora import LoraJob, convert_lora
from expert_converters.model import ModelJob, convert_model
from expert_converters.quantise import QuantiseJob, quantise
from support.adapter_peers import adapted_logits, dense_updates, peft_logits, relative_error
from support.checkpoints import write_safetensors
from support.peft_kinds import TARGETS, peft_folder

# PEFT reads an attribute that transformers has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

Q = "blk.0.attn_q.weight"
Q_MODULE = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def folders(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A DoRA with differing scales and an IA3 on outputs and inputs, square matrices included."""
    from peft import IA3Config, LoraConfig

    folder = tmp_path_factory.mktemp("kinds")
    targets = list(TARGETS)
    configs = {
        "dora": LoraConfig(
            r=8,
            lora_alpha=12,
            use_dora=True,
            target_modules=targets,
            rank_pattern={"q_proj": 5},
            alpha_pattern={"v_proj": 30},
        ),
        "ia3": IA3Config(target_modules=targets, feedforward_modules=["down_proj", "up_proj"]),
    }
    return {
        kind: peft_folder(tiny_checkpoint, folder / kind, config, spread=0.15)
        for kind, config in configs.items()
    }


def weight(header: GGUFFile, name: str) -> Any:
    """Return an f32 matrix of a model."""
    shape = header.tensors[name].shape[::-1]
    return np.frombuffer(header.tensor_bytes(name), "<f4").reshape(shape).astype(np.float64)


@pytest.mark.parametrize("kind", ["dora", "ia3"])
def test_merged_logits_equal_peft(
    kind: str, folders: dict[str, Path], tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """A copy of the base with rewritten matrices computes what PEFT does."""
    seen: list[tuple[int, int]] = []
    job = AdapterJob(folders[kind], tiny_gguf, tmp_path / "merged.gguf")
    report = convert_adapter(job, lambda done, total: seen.append((done, total)))
    assert (report.kind, report.form, report.exact) == (kind, "model", True)
    assert seen == [(done, 14) for done in range(1, 15)]
    expected = peft_logits(tiny_checkpoint, folders[kind])
    assert np.abs(expected - adapted_logits(tiny_gguf)).max() > 0.1
    np.testing.assert_allclose(adapted_logits(report.path), expected, atol=5e-5)


@pytest.mark.parametrize(("base_type", "tolerance"), [("f16", 0.01), ("q8_0", 0.06)])
@pytest.mark.parametrize("kind", ["dora", "ia3"])
def test_the_merged_file_keeps_the_bases_type(
    kind: str,
    base_type: str,
    tolerance: float,
    folders: dict[str, Path],
    tiny_checkpoint: Path,
    tmp_path: Path,
) -> None:
    """Only the rewritten matrices differ, and they are off by their type's rounding."""
    base = convert_model(ModelJob(tiny_checkpoint, tmp_path / "base.gguf", base_type))
    report = convert_adapter(AdapterJob(folders[kind], base, tmp_path / "merged.gguf"))
    before, after = inspect(base), inspect(report.path)
    assert before.types == after.types
    assert before.tensors == after.tensors
    changed = {
        name for name in before.tensors if before.tensor_bytes(name) != after.tensor_bytes(name)
    }
    assert len(changed) == 14
    assert not any("norm" in name or "embd" in name for name in changed)
    expected, plain = peft_logits(tiny_checkpoint, folders[kind]), adapted_logits(base)
    error = np.abs(adapted_logits(report.path) - expected).mean()
    assert error < tolerance * np.abs(expected - plain).mean()


def test_a_planted_fault_shows(
    folders: dict[str, Path],
    tiny_checkpoint: Path,
    tiny_gguf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Were one matrix left as it was, the logits would say so."""
    own = merged._read
    target = tmp_path / "merged.gguf"

    def skipping(header: GGUFFile, name: str) -> Any:
        read = own(header, name)
        return 0 * read if name == "blk.1.attn_v.weight" else read

    monkeypatch.setattr(merged, "_read", skipping)
    convert_adapter(AdapterJob(folders["ia3"], tiny_gguf, target))
    expected = peft_logits(tiny_checkpoint, folders["ia3"])
    assert np.abs(adapted_logits(target) - expected).max() > 1e-2


@pytest.mark.parametrize("kind", ["dora", "ia3"])
def test_the_residual_is_that_of_the_best_approximation(
    kind: str, folders: dict[str, Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """The report is true, and no LoRA of this rank comes nearer."""
    merged_job = AdapterJob(folders[kind], tiny_gguf, tmp_path / "merged.gguf")
    convert_adapter(merged_job)
    job = replace(merged_job, target=tmp_path / "lora.gguf", type="f32", rank=24, limit=1.0)
    report = convert_adapter(job)
    assert (report.kind, report.form, report.exact) == (kind, "lora", False)
    base, changed = inspect(tiny_gguf), inspect(tmp_path / "merged.gguf")
    updates = dense_updates(report.path)
    lost = total = 0.0
    for name, update in updates.items():
        delta = weight(changed, name) - weight(base, name)
        squares = np.linalg.svd(delta, compute_uv=False) ** 2
        assert relative_error(update, delta) ** 2 == pytest.approx(
            squares[24:].sum() / squares.sum(), abs=1e-5
        )
        lost, total = lost + squares[24:].sum(), total + squares.sum()
    assert report.residual == pytest.approx(np.sqrt(lost / total), rel=1e-3)
    assert 0.1 < report.residual < 1


@pytest.mark.parametrize("kind", ["dora", "ia3"])
def test_an_approximation_of_full_rank_equals_peft(
    kind: str, folders: dict[str, Path], tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """With ranks enough, the LoRA computes what PEFT does."""
    job = AdapterJob(folders[kind], tiny_gguf, tmp_path / "lora.gguf", "f32", rank=96)
    report = convert_adapter(job)
    assert report.residual < 1e-5
    found = adapted_logits(tiny_gguf, [(report.path, 1.0)])
    np.testing.assert_allclose(found, peft_logits(tiny_checkpoint, folders[kind]), atol=5e-5)


@pytest.mark.parametrize("kind", ["dora", "ia3"])
def test_a_loss_above_the_limit_is_refused(
    kind: str, folders: dict[str, Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """The error states the loss and the limit; nothing is written, unless the limit is raised."""
    job = AdapterJob(folders[kind], tiny_gguf, tmp_path / "out" / "lora.gguf", rank=8)
    with pytest.raises(AdapterError, match=rf"misses its update by .*above {LIMIT:.1%}"):
        convert_adapter(job)
    assert not (tmp_path / "out").exists()
    assert convert_adapter(replace(job, limit=1.0)).residual > LIMIT


def test_a_base_of_k_quants_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    """They cannot be written here; the error says what to do instead."""
    from support.checkpoints import Qwen3Shape, qwen3_checkpoint

    shape = Qwen3Shape(hidden_size=256, intermediate_size=256, head_dim=64)
    folder = qwen3_checkpoint(tmp_path / "base", shape)
    whole = convert_model(ModelJob(folder, tmp_path / "whole.gguf", "f16"))
    base = quantise(QuantiseJob(whole, tmp_path / "base.gguf", "q4_k_m"))
    (tmp_path / "ia3").mkdir()
    config = json.loads((folders["ia3"] / "adapter_config.json").read_text())
    (tmp_path / "ia3" / "adapter_config.json").write_text(json.dumps(config))
    tensors = {f"{Q_MODULE}.ia3_l": np.ones((256, 1), np.float32)}
    write_safetensors(tmp_path / "ia3" / "adapter_model.safetensors", tensors, "float32")
    with pytest.raises(AdapterError, match=r"Q\w_K.*quantise the result"):
        convert_adapter(AdapterJob(tmp_path / "ia3", base, tmp_path / "merged.gguf"))


def edited(source: Path, target: Path, config: dict[str, Any], add: dict[str, Any]) -> Path:
    """Copy an adapter with another configuration and other tensors."""
    from safetensors.numpy import load_file

    target.mkdir()
    own = json.loads((source / "adapter_config.json").read_text())
    (target / "adapter_config.json").write_text(json.dumps(own | config))
    tensors = load_file(source / "adapter_model.safetensors") | add
    write_safetensors(target / "adapter_model.safetensors", tensors, "float32")
    return target


@pytest.mark.parametrize(
    ("kind", "config", "name", "shape", "reason"),
    [
        ("dora", {"r": 9, "rank_pattern": {}}, "", (), "expected"),
        ("dora", {"bias": "all"}, "", (), "biases"),
        ("dora", {"alora_invocation_tokens": [1]}, "", (), "invocation"),
        ("dora", {}, f"{Q_MODULE}.lora_magnitude_vector", (64,), "expected"),
        ("dora", {}, f"{Q_MODULE}.lora_A.bias", (8,), "lost"),
        ("ia3", {}, f"{Q_MODULE}.ia3_l", (64, 1), "not one vector"),
        ("ia3", {}, f"{Q_MODULE}.ia3_l", (128, 64), "not one vector"),
        ("ia3", {}, Q_MODULE.replace("q_proj", "x_proj") + ".ia3_l", (128, 1), "no matrix"),
        ("ia3", {"modules_to_save": ["lm_head"]}, "", (), "layers of its own"),
    ],
)
def test_damaged_adapters_are_refused(
    kind: str,
    config: dict[str, Any],
    name: str,
    shape: tuple[int, ...],
    reason: str,
    folders: dict[str, Path],
    tiny_gguf: Path,
    tmp_path: Path,
) -> None:
    """Each with its reason, and no file is left."""
    add = {name: np.ones(shape, np.float32)} if name else {}
    source = edited(folders[kind], tmp_path / "source", config, add)
    with pytest.raises(AdapterError, match=reason):
        convert_adapter(AdapterJob(source, tiny_gguf, tmp_path / "out" / "merged.gguf"))
    assert not list((tmp_path / "out").glob("*"))


def test_a_row_of_zeros_cannot_be_given_a_length(
    folders: dict[str, Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Instead of a division by zero there is an error."""
    base = tmp_path / "base.gguf"
    raw = bytearray(tiny_gguf.read_bytes())
    header = inspect(tiny_gguf)
    start = header.data_offset + header.tensors[Q].offset
    raw[start : start + 4 * 64] = bytes(4 * 64)
    base.write_bytes(raw)
    zero = {f"{Q_MODULE}.lora_B.weight": np.zeros((128, 5), np.float32)}
    source = edited(folders["dora"], tmp_path / "source", {}, zero)
    with pytest.raises(AdapterError, match="no length"):
        convert_adapter(AdapterJob(source, base, tmp_path / "merged.gguf"))


def test_the_bases_weights_are_needed(
    folders: dict[str, Path], tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """A checkpoint folder and a senseless rank are refused; plain conversion still names DoRA."""
    job = AdapterJob(folders["dora"], tiny_checkpoint, tmp_path / "merged.gguf")
    with pytest.raises(AdapterError, match="GGUF"):
        convert_adapter(job)
    with pytest.raises(AdapterError, match="rank 0"):
        convert_adapter(replace(job, base=tiny_gguf, rank=0))
    with pytest.raises(AdapterError, match="DoRA"):
        convert_lora(LoraJob(folders["dora"], tiny_gguf, tmp_path / "lora.gguf"))
