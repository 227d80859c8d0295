"""Kinds that fold into a LoRA: llama.cpp computes what PEFT does, at the noise of f32."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expert_converters.check import check_adapter
from expert_converters.errors import AdapterError
from expert_converters.gguf_file import inspect
from expert_converters.identity import base_identity, declared_identity
from expert_converters.kinds import AdapterJob, AdapterReport, adalora, convert_adapter
from expert_converters.lora import LoraJob, convert_lora
from support.adapter_peers import adapted_logits, dense_updates, model_logits, peft_logits
from support.checkpoints import AdapterShape, peft_adapter, write_safetensors
from support.peft_kinds import TARGETS, moved_base, peft_folder, prune_adalora

pytestmark = [
    # PEFT reads an attribute that transformers has deprecated.
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    # It looks for AdaLoRA's rank pattern as if it were LoRA's.
    pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning"),
    # It says so of every initialisation that changes the base.
    pytest.mark.filterwarnings("ignore:`init_lora_weights:UserWarning"),
]
ATOL = 5e-5


def adalora_config(**changes: Any) -> Any:
    """Return the configuration of an AdaLoRA."""
    from peft import AdaLoraConfig

    settings = {"init_r": 12, "lora_alpha": 24, "total_step": 10, "target_modules": list(TARGETS)}
    return AdaLoraConfig(**(settings | changes))


def vera_config(**changes: Any) -> Any:
    """Return the configuration of a VeRA."""
    from peft import VeraConfig

    return VeraConfig(**({"r": 48, "target_modules": list(TARGETS)} | changes))


def loha_config(**changes: Any) -> Any:
    """Return the configuration of a LoHa of differing ranks and alphas."""
    from peft import LoHaConfig

    settings = {
        "r": 4,
        "alpha": 6,
        "target_modules": list(TARGETS),
        "rank_pattern": {"q_proj": 9, "down_proj": 3},
        "alpha_pattern": {"v_proj": 20},
    }
    return LoHaConfig(**(settings | changes))


CONFIGS = {"adalora": adalora_config, "vera": vera_config, "loha": loha_config}


@pytest.fixture(scope="module")
def folders(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One adapter of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    made = {
        name: peft_folder(tiny_checkpoint, folder / name, config())
        for name, config in CONFIGS.items()
    }
    pruned = folder / "adalora-pruned"
    return made | {pruned.name: prune_adalora(tiny_checkpoint, pruned, adalora_config())}


def convert(source: Path, base: Path, target: Path, kind: str = "f32") -> AdapterReport:
    """Convert an adapter."""
    return convert_adapter(AdapterJob(source, base, target, kind))


@pytest.mark.parametrize("kind", ["adalora", "adalora-pruned", "vera", "loha"])
def test_logits_equal_peft(
    kind: str, folders: dict[str, Path], tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """The folded LoRA is exact, and safe for llama.cpp."""
    report = convert(folders[kind], tiny_gguf, tmp_path / "lora.gguf")
    assert (report.form, report.exact, report.residual) == ("lora", True, 0.0)
    assert report.kind == kind.removesuffix("-pruned")
    check_adapter(inspect(report.path), inspect(tiny_gguf))
    assert declared_identity(inspect(report.path)) == base_identity(inspect(tiny_gguf))

    expected = peft_logits(tiny_checkpoint, folders[kind])
    effect = np.abs(expected - adapted_logits(tiny_gguf)).max()
    assert effect > 0.1, "the adapter must change something for this test to mean anything"
    np.testing.assert_allclose(adapted_logits(tiny_gguf, [(report.path, 1.0)]), expected, atol=ATOL)


@pytest.mark.parametrize("kind", ["adalora", "vera", "loha"])
def test_q8_0_stays_near_peft(
    kind: str, folders: dict[str, Path], tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """Quantising the folded factors costs little of the adapter's effect."""
    report = convert(folders[kind], tiny_gguf, tmp_path / "lora.gguf", "q8_0")
    expected, base = peft_logits(tiny_checkpoint, folders[kind]), adapted_logits(tiny_gguf)
    found = adapted_logits(tiny_gguf, [(report.path, 1.0)])
    assert np.abs(found - expected).mean() < 0.03 * np.abs(expected - base).mean()


def test_ranks_are_padded_to_blocks(
    folders: dict[str, Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Pruned, squared and odd ranks all end up as multiples of 32; rank 0 is left out."""
    for name, folder in folders.items():
        header = inspect(convert(folder, tiny_gguf, tmp_path / f"{name}.gguf").path)
        ranks = {t.shape[0] for n, t in header.tensors.items() if n.endswith("lora_b")}
        assert all(rank % 32 == 0 for rank in ranks), name
    pruned = inspect(tmp_path / "adalora-pruned.gguf")
    assert "blk.0.attn_q.weight.lora_a" not in pruned.tensors
    assert "blk.1.attn_q.weight.lora_a" in pruned.tensors


def test_loha_of_a_rank_above_the_matrix_becomes_the_matrix(
    tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """81 squared ranks of 64 inputs would be more numbers than the full matrix has."""
    config = loha_config(rank_pattern={}, alpha_pattern={}, r=9, alpha=9)
    source = peft_folder(tiny_checkpoint, tmp_path / "loha", config)
    report = convert(source, tiny_gguf, tmp_path / "lora.gguf")
    header = inspect(report.path)
    assert header.tensors["blk.0.attn_q.weight.lora_b"].shape == (64, 128)
    assert header.tensors["blk.0.attn_output.weight.lora_b"].shape == (64, 64)
    found = adapted_logits(tiny_gguf, [(report.path, 1.0)])
    np.testing.assert_allclose(found, peft_logits(tiny_checkpoint, source), atol=ATOL)


def test_adalora_divides_by_the_rank_it_started_from(
    folders: dict[str, Path],
    tiny_checkpoint: Path,
    tiny_gguf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A planted fault of the size of PEFT's epsilon does not hide in the tolerance of others."""
    source = folders["adalora"]
    sound = dense_updates(convert(source, tiny_gguf, tmp_path / "sound.gguf").path)
    monkeypatch.setattr(adalora, "EPSILON", 0.0)
    faulty = dense_updates(convert(source, tiny_gguf, tmp_path / "faulty.gguf").path)
    target = "blk.0.attn_q.weight"
    ratio = np.linalg.norm(faulty[target]) / np.linalg.norm(sound[target])
    assert ratio == pytest.approx((12 + 1e-5) / 12, rel=1e-7)
    assert peft_logits(tiny_checkpoint, source).shape == (8, 448)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_converted_pissa_and_olora_equal_the_trained_model(
    start: str, tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """On the unchanged base, the converted adapter computes what the changed one was trained to."""
    model = moved_base(tiny_checkpoint, tmp_path / "peft", start, convert=True)
    report = convert(tmp_path / "peft", tiny_gguf, tmp_path / "lora.gguf")
    assert (report.kind, report.form) == ("lora", "lora")
    expected = model_logits(model)
    assert np.abs(expected - adapted_logits(tiny_gguf)).max() > 0.1
    np.testing.assert_allclose(adapted_logits(tiny_gguf, [(report.path, 1.0)]), expected, atol=2e-4)


@pytest.mark.parametrize("start", ["pissa", "olora", "pissa_niter_4"])
def test_unconverted_ones_are_refused(
    start: str, tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """They belong to a base that nobody has; both entries say how to save them."""
    moved_base(tiny_checkpoint, tmp_path / "peft", start, convert=False)
    with pytest.raises(AdapterError, match="path_initial_model_for_weight_conversion"):
        convert(tmp_path / "peft", tiny_gguf, tmp_path / "lora.gguf")
    with pytest.raises(AdapterError, match="path_initial_model_for_weight_conversion"):
        convert_lora(LoraJob(tmp_path / "peft", tiny_gguf, tmp_path / "lora.gguf"))


def test_plain_lora_is_handed_on(tiny_gguf: Path, tmp_path: Path) -> None:
    """The same bytes as from convert_lora, rank-stabilised or not, and progress is passed on."""
    source = peft_adapter(tmp_path / "peft", shape=AdapterShape(use_rslora=True))
    seen: list[tuple[int, int]] = []
    job = AdapterJob(source, tiny_gguf, tmp_path / "one.gguf", "q8_0", "name")
    report = convert_adapter(job, lambda done, total: seen.append((done, total)))
    convert_lora(LoraJob(source, tiny_gguf, tmp_path / "two.gguf", "q8_0", "name"))
    assert report.path.read_bytes() == (tmp_path / "two.gguf").read_bytes()
    assert (report.kind, report.form, report.exact) == ("lora", "lora", True)
    assert seen[-1] == (14, 14)


def test_progress_counts_matrices(
    folders: dict[str, Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """The callback sees every matrix and the total."""
    seen: list[tuple[int, int]] = []
    job = AdapterJob(folders["vera"], tiny_gguf, tmp_path / "lora.gguf")
    convert_adapter(job, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 14) for done in range(1, 15)]


def edited(
    source: Path,
    target: Path,
    config: dict[str, Any],
    drop: str = "",
    add: Mapping[str, NDArray[np.float32]] | None = None,
) -> Path:
    """Copy an adapter with another configuration, without some tensors, and with others."""
    from safetensors.numpy import load_file

    target.mkdir()
    own = json.loads((source / "adapter_config.json").read_text())
    (target / "adapter_config.json").write_text(json.dumps(own | config))
    tensors = load_file(source / "adapter_model.safetensors")
    kept = {name: value for name, value in tensors.items() if not drop or drop not in name}
    write_safetensors(target / "adapter_model.safetensors", kept | dict(add or {}), "float32")
    return target


@pytest.mark.parametrize(
    ("kind", "config", "drop", "reason"),
    [
        ("adalora", {"peft_type": "LOKR"}, "", "LOKR"),
        ("adalora", {"peft_type": None}, "", "None"),
        ("adalora", {"init_r": 0}, "", "positive"),
        ("adalora", {"lora_alpha": "x"}, "", "not a number"),
        ("adalora", {"bias": "all"}, "", "biases"),
        ("adalora", {"modules_to_save": ["lm_head"]}, "", "layers of its own"),
        ("adalora", {}, "layers.0.self_attn.q_proj.lora_E", "missing"),
        ("adalora", {}, "layers", "adapts nothing"),
        ("vera", {}, "vera_A", "save_projection"),
        ("vera", {}, "layers.1.mlp.up_proj.vera_lambda_b", "missing"),
        ("vera", {"fan_in_fan_out": True}, "", "transposed"),
        ("loha", {"r": 5}, "", "expected"),
        ("loha", {"alpha": -1}, "", "positive"),
        ("loha", {"rank_pattern": {"(": 2}}, "", "regular expression"),
        ("loha", {}, "k_proj.hada_w2_b", "missing"),
    ],
)
def test_damaged_adapters_are_refused(
    kind: str,
    config: dict[str, Any],
    drop: str,
    reason: str,
    folders: dict[str, Path],
    tiny_gguf: Path,
    tmp_path: Path,
) -> None:
    """Each with its reason, and no file is left."""
    source = edited(folders[kind], tmp_path / "source", config, drop)
    with pytest.raises(AdapterError, match=reason):
        convert(source, tiny_gguf, tmp_path / "out" / "lora.gguf")
    assert not list((tmp_path / "out").glob("*"))


Q = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("kind", "name", "shape", "reason"),
    [
        ("adalora", f"{Q}.lora_A", (12, 32), "expected"),
        ("adalora", f"{Q}.lora_E", (12,), "expected"),
        ("adalora", f"{Q}.bias", (128,), "lost"),
        ("adalora", Q.replace("layers.0", "layers.9") + ".lora_E", (12, 1), "no matrix"),
        ("adalora", "base_model.model.model.embed_tokens.lora_E", (12, 1), "no matrix"),
        ("vera", "base_model.vera_A", (48, 32), "too small"),
        ("vera", "base_model.vera_A", (40, 128), "shared matrices"),
        ("vera", f"{Q}.vera_lambda_d", (47,), "expected"),
        ("loha", f"{Q}.hada_w1_a", (128, 8), "expected"),
        ("loha", f"{Q}.hada_t1", (4, 4), "lost"),
    ],
)
def test_misshapen_and_surplus_tensors_are_refused(
    kind: str,
    name: str,
    shape: tuple[int, ...],
    reason: str,
    folders: dict[str, Path],
    tiny_gguf: Path,
    tmp_path: Path,
) -> None:
    """Nothing is sliced, broadcast or lost in silence."""
    tensors: dict[str, NDArray[np.float32]] = {name: np.ones(shape, np.float32)}
    source = edited(folders[kind], tmp_path / "source", {}, add=tensors)
    with pytest.raises(AdapterError, match=reason):
        convert(source, tiny_gguf, tmp_path / "out" / "lora.gguf")
    assert not list((tmp_path / "out").glob("*"))


def test_an_adalora_pruned_to_nothing_is_refused(
    folders: dict[str, Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """There is nothing to write."""
    from safetensors.numpy import load_file

    stored = load_file(folders["adalora"] / "adapter_model.safetensors")
    zeros = {name: 0 * value for name, value in stored.items() if name.endswith("lora_E")}
    source = edited(folders["adalora"], tmp_path / "source", {}, add=zeros)
    with pytest.raises(AdapterError, match="pruned"):
        convert(source, tiny_gguf, tmp_path / "lora.gguf")


def test_types_and_ranks_that_cannot_be_written(
    folders: dict[str, Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """An unknown type and a rank beyond check_adapter's limit are refused."""
    with pytest.raises(AdapterError, match="unknown type"):
        convert(folders["vera"], tiny_gguf, tmp_path / "lora.gguf", "q4_k")
    shared = {
        "base_model.vera_A": np.ones((8193, 128), np.float32),
        "base_model.vera_B": np.ones((128, 8193), np.float32),
    }
    source = edited(folders["vera"], tmp_path / "source", {}, add=shared)
    with pytest.raises(AdapterError, match="8192"):
        convert(source, tiny_gguf, tmp_path / "lora.gguf")
