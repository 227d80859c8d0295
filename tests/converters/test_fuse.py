"""Fusion: one adapter that computes the sum of several, with the same bytes in any order."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expert_converters import fused_pair
from expert_converters.check import check_adapter
from expert_converters.errors import AdapterError, NotGGUF
from expert_converters.fuse import FuseJob, fuse
from expert_converters.gguf_file import inspect
from expert_converters.gguf_types import GGMLType
from expert_converters.lora import LoraJob, convert_lora
from support.adapter_peers import (
    adapted_logits,
    dense_updates,
    load_base,
    model_logits,
    peft_logits,
    relative_error,
)
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter

# PEFT reads an attribute that transformers has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

SHAPES = (
    AdapterShape(rank=32, alpha=32, seed=1),
    AdapterShape(rank=8, alpha=24, seed=2, targets=("q_proj", "v_proj", "down_proj")),
    AdapterShape(rank=40, alpha=10, seed=3, targets=("v_proj", "o_proj")),
)
SCALES = (1.0, 0.5, -0.75)
Q_A, Q_B = "blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"
DOWN = "blk.0.ffn_down.weight.lora_b"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three PEFT adapters of different ranks, scales and matrices."""
    folder = tmp_path_factory.mktemp("peft")
    return [peft_adapter(folder / str(index), shape=shape) for index, shape in enumerate(SHAPES)]


def converted(sources: list[Path], base: Path, folder: Path, kind: str) -> list[Path]:
    """Convert adapters to GGUF."""
    return [
        convert_lora(LoraJob(source, base, folder / f"{source.name}-{kind}.gguf", kind))
        for source in sources
    ]


def weighted_sum(parts: list[tuple[Path, float]]) -> dict[str, Any]:
    """Return the sum of scale times update, computed on full matrices."""
    total: dict[str, Any] = {}
    for path, scale in parts:
        for target, update in dense_updates(path).items():
            total[target] = total.get(target, 0) + scale * update
    return total


def worst_error(fused: Path, parts: list[tuple[Path, float]]) -> float:
    """Return the largest relative error of a fused matrix against the sum of the parts."""
    found, expected = dense_updates(fused), weighted_sum(parts)
    assert found.keys() == expected.keys()
    return max(relative_error(found[target], expected[target]) for target in expected)


# Float types round a scaled number once; Q8_0 rounds only each block's scale, to 11 bits.
@pytest.mark.parametrize(
    ("kind", "tolerance"), [("f32", 1e-6), ("f16", 1e-3), ("bf16", 1e-2), ("q8_0", 1e-3)]
)
def test_fused_is_the_sum_of_the_parts(
    kind: str, tolerance: float, sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Every matrix is the weighted sum, over adapters of differing ranks and matrices."""
    paths = converted(sources, tiny_gguf, tmp_path, kind)
    parts = list(zip(paths, SCALES, strict=True))
    report = fuse(FuseJob(parts, tmp_path / "fused.gguf", base=tiny_gguf))
    assert worst_error(tmp_path / "fused.gguf", parts) < tolerance
    assert report.energy == 1.0
    assert set(report.retained.values()) == {1.0}
    assert report.nbytes == (tmp_path / "fused.gguf").stat().st_size


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (2.0, 0.25, -4.0)])
def test_powers_of_two_copy_q8_0_without_any_rounding(
    scales: tuple[float, ...], tiny_gguf: Path, tmp_path: Path
) -> None:
    """With alpha equal to rank everywhere, not one bit of the parts is lost."""
    shapes = [AdapterShape(rank=32, alpha=32, seed=seed) for seed in range(3)]
    sources = [peft_adapter(tmp_path / f"peft-{shape.seed}", shape=shape) for shape in shapes]
    parts = list(zip(converted(sources, tiny_gguf, tmp_path, "q8_0"), scales, strict=True))
    report = fuse(FuseJob(parts, tmp_path / "fused.gguf", base=tiny_gguf))
    assert report.rank == 96
    assert worst_error(tmp_path / "fused.gguf", parts) < 1e-14


def test_q8_0_blocks_are_copied_byte_by_byte(tiny_gguf: Path, tmp_path: Path) -> None:
    """A's rows lie below each other and B's blocks of 34 bytes beside each other."""
    shapes = [AdapterShape(rank=rank, alpha=rank, seed=rank) for rank in (32, 64)]
    sources = [peft_adapter(tmp_path / f"peft-{shape.seed}", shape=shape) for shape in shapes]
    paths = converted(sources, tiny_gguf, tmp_path, "q8_0")
    report = fuse(FuseJob([(path, 1.0) for path in paths], tmp_path / "fused.gguf"))
    fused = inspect(tmp_path / "fused.gguf")
    ordered = sorted(map(inspect, paths), key=lambda header: header.tensors[Q_B].shape[0])
    if report.parts != tuple(sorted(report.parts)):
        pytest.fail("the report's order is not canonical")
    import hashlib

    by_digest = {hashlib.sha256(part.path.read_bytes()).hexdigest(): part for part in ordered}
    in_order = [by_digest[digest] for digest, _ in report.parts]
    assert fused.tensor_bytes(Q_A) == b"".join(part.tensor_bytes(Q_A) for part in in_order)
    rows = [np.frombuffer(part.tensor_bytes(Q_B), np.uint8).reshape(128, -1) for part in in_order]
    assert fused.tensor_bytes(Q_B) == np.concatenate(rows, axis=1).tobytes()


def test_a_lightly_trained_b_survives_a_small_scale(tiny_gguf: Path, tmp_path: Path) -> None:
    """Block scales below the normal range of half precision are not scaled down further."""
    source = peft_adapter(tmp_path / "peft", shape=AdapterShape(rank=32, alpha=32, scale=1e-3))
    (path,) = converted([source], tiny_gguf, tmp_path, "q8_0")
    fuse(FuseJob([(path, 0.03)], tmp_path / "fused.gguf"))
    assert worst_error(tmp_path / "fused.gguf", [(path, 0.03)]) < 1e-3


def test_fused_equals_peft(
    sources: list[Path], tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """The fused adapter computes what PEFT's add_weighted_adapter(combination_type="cat") does."""
    from peft import PeftModel

    model = PeftModel.from_pretrained(load_base(tiny_checkpoint), str(sources[0]), "0")
    names = ["0"]
    for source in sources[1:]:
        names.append(source.name)
        model.load_adapter(str(source), source.name)
    # PEFT takes square roots of scales for other combinations and allows none below 0 there.
    model.add_weighted_adapter(names, [1.0, 0.5, 0.75], "sum", combination_type="cat")
    model.set_adapter("sum")
    expected = model_logits(model)

    paths = converted(sources, tiny_gguf, tmp_path, "f32")
    fuse(FuseJob(list(zip(paths, (1.0, 0.5, 0.75), strict=True)), tmp_path / "fused.gguf"))
    found = adapted_logits(tiny_gguf, [(tmp_path / "fused.gguf", 1.0)])
    assert np.abs(expected - peft_logits(tiny_checkpoint, None)).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=5e-5)


@pytest.mark.parametrize(("kind", "tolerance"), [("f32", 2e-5), ("f16", 2e-3), ("q8_0", 2e-2)])
def test_llama_cpp_computes_the_same_fused_and_separate(
    kind: str, tolerance: float, sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """One fused adapter and the separate ones differ by the order of the sums alone."""
    paths = converted(sources, tiny_gguf, tmp_path, kind)
    parts = list(zip(paths, SCALES, strict=True))
    fuse(FuseJob(parts, tmp_path / "fused.gguf", base=tiny_gguf))
    separate = adapted_logits(tiny_gguf, parts)
    fused = adapted_logits(tiny_gguf, [(tmp_path / "fused.gguf", 1.0)])
    assert np.abs(separate - adapted_logits(tiny_gguf)).max() > 0.1
    np.testing.assert_allclose(fused, separate, atol=tolerance)


def test_planted_faults_show_in_the_logits(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were B's blocks not interleaved, or scales not applied, the comparison would say so."""
    paths = converted(sources, tiny_gguf, tmp_path, "q8_0")
    parts = list(zip(paths, SCALES, strict=True))

    def error() -> float:
        fuse(FuseJob(parts, tmp_path / "fused.gguf"))
        separate = adapted_logits(tiny_gguf, parts)
        fused = adapted_logits(tiny_gguf, [(tmp_path / "fused.gguf", 1.0)])
        return float(np.abs(fused - separate).max())

    sound = error()
    with monkeypatch.context() as patch:
        patch.setattr(fused_pair, "_multiply", lambda *_: None)
        assert error() > 20 * sound

    own = fused_pair._side_by_side

    def not_interleaved(*arguments: Any) -> Any:
        joined = own(*arguments)
        blocks = joined.reshape(joined.shape[0], -1, 34).transpose(1, 0, 2)
        return np.ascontiguousarray(blocks).reshape(joined.shape)

    monkeypatch.setattr(fused_pair, "_side_by_side", not_interleaved)
    assert error() > 20 * sound


def test_order_does_not_matter(sources: list[Path], tiny_gguf: Path, tmp_path: Path) -> None:
    """Every order of the same adapters and scales gives the same bytes, a repeated one too."""
    paths = converted(sources, tiny_gguf, tmp_path, "q8_0")
    parts = [*zip(paths, SCALES, strict=True), (paths[0], 0.25)]
    files = set()
    for order in itertools.permutations(parts):
        file = io.BytesIO()
        fuse(FuseJob(order, file))
        files.add(file.getvalue())
    assert len(files) == 1


def test_digests_that_are_known_give_the_same_file(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Naming the SHA-256 of each part saves time and changes nothing."""
    paths = converted(sources, tiny_gguf, tmp_path, "q8_0")
    parts = list(zip(paths, SCALES, strict=True))
    first, second = io.BytesIO(), io.BytesIO()
    report = fuse(FuseJob(parts, first))
    digests = [dict((scale, digest) for digest, scale in report.parts)[scale] for scale in SCALES]
    assert fuse(FuseJob(parts, second, digests=digests)) == report
    assert first.getvalue() == second.getvalue()


def test_an_open_file_gets_the_bytes_a_path_gets(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Handing over in memory needs no file system."""
    paths = converted(sources, tiny_gguf, tmp_path, "f16")
    parts = list(zip(paths, SCALES, strict=True))
    file = io.BytesIO()
    assert fuse(FuseJob(parts, file)) == fuse(FuseJob(parts, tmp_path / "fused.gguf"))
    assert file.getvalue() == (tmp_path / "fused.gguf").read_bytes()


def test_scale_zero_leaves_an_adapter_out(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """It takes up no rank, as if it had not been named."""
    paths = converted(sources, tiny_gguf, tmp_path, "q8_0")
    with_zero, without = io.BytesIO(), io.BytesIO()
    report = fuse(FuseJob([(paths[0], 1.0), (paths[1], 0.0)], with_zero))
    fuse(FuseJob([(paths[0], 1.0)], without))
    assert with_zero.getvalue() == without.getvalue()
    assert [scale for _, scale in report.parts] == [1.0]


def test_opposite_scales_cancel(sources: list[Path], tiny_gguf: Path, tmp_path: Path) -> None:
    """An adapter minus itself changes nothing."""
    (path, *_) = converted(sources, tiny_gguf, tmp_path, "q8_0")
    fuse(FuseJob([(path, 0.7), (path, -0.7)], tmp_path / "fused.gguf"))
    found = adapted_logits(tiny_gguf, [(tmp_path / "fused.gguf", 1.0)])
    np.testing.assert_allclose(found, adapted_logits(tiny_gguf), atol=2e-5)


def test_mixed_types(sources: list[Path], tiny_gguf: Path, tmp_path: Path) -> None:
    """Mixed parts become f32 and lose nothing, or the type that is asked for."""
    (exact,) = converted(sources[:1], tiny_gguf, tmp_path, "f32")
    (half,) = converted(sources[1:2], tiny_gguf, tmp_path, "f16")
    (packed,) = converted(sources[2:], tiny_gguf, tmp_path, "q8_0")
    parts = list(zip((exact, half, packed), SCALES, strict=True))
    for kind, stored, tolerance in (
        (None, GGMLType.F32, 1e-6),
        ("f16", GGMLType.F16, 1e-3),
        ("q8_0", GGMLType.Q8_0, 2e-2),
    ):
        fuse(FuseJob(parts, tmp_path / "fused.gguf", type=kind, base=tiny_gguf))
        assert inspect(tmp_path / "fused.gguf").tensors["blk.0.attn_v.weight.lora_b"].type is stored
        assert worst_error(tmp_path / "fused.gguf", parts) < tolerance


def test_q8_0_is_kept_where_only_one_part_must_be_quantised(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Parts that are Q8_0 already keep their blocks when another is quantised beside them."""
    (half,) = converted(sources[1:2], tiny_gguf, tmp_path, "f16")
    (packed,) = converted(sources[:1], tiny_gguf, tmp_path, "q8_0")
    report = fuse(FuseJob([(half, 1.0), (packed, 1.0)], tmp_path / "fused.gguf", type="q8_0"))
    part, fused = inspect(packed), inspect(tmp_path / "fused.gguf")
    blocks = np.frombuffer(fused.tensor_bytes(DOWN), np.uint8).reshape(64, 2, 34)
    own = np.frombuffer(part.tensor_bytes(DOWN), np.uint8).reshape(64, 34)
    assert report.rank == 64
    assert any((blocks[:, index] == own).all() for index in range(2))


def test_llama_cpps_mixed_factors_are_accepted(tiny_gguf: Path, tmp_path: Path) -> None:
    """A Q8_0 factor A beside an f16 factor B of rank 8, as llama.cpp's converter writes them."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    random = np.random.default_rng(0)
    paths = []
    for index in range(3):
        path = tmp_path / f"{index}.gguf"
        writer = GGUFWriter(path, "qwen3")
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", 16.0)
        a = random.standard_normal((8, 64), dtype=np.float32)
        b = random.standard_normal((128, 8), dtype=np.float32)
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(Q_A, quants.quantize(a, kind), raw_dtype=kind)
        writer.add_tensor(Q_B, b.astype(np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        paths.append(path)
    parts = list(zip(paths, SCALES, strict=True))
    fuse(FuseJob(parts, tmp_path / "fused.gguf", base=tiny_gguf))
    assert inspect(tmp_path / "fused.gguf").tensors[Q_B].shape == (32, 128)
    assert worst_error(tmp_path / "fused.gguf", parts) < 1e-3


def test_embedding_adapters_are_fused_transposed(untied_gguf: Path, tmp_path: Path) -> None:
    """The input embedding's A is stored (tokens, rank), so that its columns are joined."""
    from support.checkpoints import write_safetensors

    random = np.random.default_rng(0)
    name = "base_model.model.model.embed_tokens.lora_embedding_"
    for kind, tolerance in (("f32", 1e-6), ("q8_0", 1e-3)):
        parts = []
        for index, scale in enumerate(SCALES):
            source = peft_adapter(tmp_path / str(index), Qwen3Shape(tie_word_embeddings=False))
            tensors = {
                name + "A": random.standard_normal((8, 448), dtype=np.float32),
                name + "B": random.standard_normal((64, 8), dtype=np.float32),
            }
            write_safetensors(source / "adapter_model.safetensors", tensors, "float32")
            parts.append((converted([source], untied_gguf, tmp_path, kind)[0], scale))
        fuse(FuseJob(parts, tmp_path / "fused.gguf", base=untied_gguf))
        assert worst_error(tmp_path / "fused.gguf", parts) < tolerance
        fuse(FuseJob(parts, tmp_path / "small.gguf", rank=24, base=untied_gguf))
        assert worst_error(tmp_path / "small.gguf", parts) < 2e-2


def test_truncation_keeps_the_reported_energy(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """The result is the best approximation: the dense SVD keeps no more, and the report is true."""
    parts = list(zip(converted(sources, tiny_gguf, tmp_path, "f32"), SCALES, strict=True))
    report = fuse(FuseJob(parts, tmp_path / "fused.gguf", rank=16, base=tiny_gguf))
    found, expected = dense_updates(tmp_path / "fused.gguf"), weighted_sum(parts)
    kept = total = 0.0
    for target, update in expected.items():
        squares = np.linalg.svd(update, compute_uv=False) ** 2
        best = squares[:16].sum() / squares.sum()
        assert report.retained[target] == pytest.approx(best, abs=1e-6)
        assert 1 - relative_error(found[target], update) ** 2 == pytest.approx(best, abs=1e-5)
        kept, total = kept + squares[:16].sum(), total + squares.sum()
    assert report.energy == pytest.approx(kept / total, abs=1e-6)
    assert 0.3 < report.energy < 0.99


def test_truncation_to_the_full_rank_changes_nothing(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Nothing is lost where the rank suffices, and no rank is wasted."""
    parts = list(zip(converted(sources, tiny_gguf, tmp_path, "f32"), SCALES, strict=True))
    report = fuse(FuseJob(parts, tmp_path / "fused.gguf", rank=1000, base=tiny_gguf))
    assert worst_error(tmp_path / "fused.gguf", parts) < 1e-5
    assert report.energy == pytest.approx(1.0)


def test_truncation_survives_quantisation(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Singular values are shared between the factors, so that Q8_0 adds little to the loss."""
    parts = list(zip(converted(sources, tiny_gguf, tmp_path, "q8_0"), SCALES, strict=True))
    report = fuse(FuseJob(parts, tmp_path / "fused.gguf", rank=32, base=tiny_gguf))
    found, expected = dense_updates(tmp_path / "fused.gguf"), weighted_sum(parts)
    for target, update in expected.items():
        kept = 1 - relative_error(found[target], update) ** 2
        assert kept == pytest.approx(report.retained[target], abs=1e-3)


def alora(seed: int, tokens: tuple[int, ...] | None) -> AdapterShape:
    """An aLoRA of rank 32."""
    return AdapterShape(rank=32, alpha=32, seed=seed, alora_invocation_tokens=tokens)


def test_aloras_of_the_same_invocation_keep_it(tiny_gguf: Path, tmp_path: Path) -> None:
    """The fused adapter is active from the same tokens on."""
    sources = [peft_adapter(tmp_path / str(seed), shape=alora(seed, (401, 3))) for seed in (1, 2)]
    paths = converted(sources, tiny_gguf, tmp_path, "q8_0")
    fuse(FuseJob([(path, 0.5) for path in paths], tmp_path / "fused.gguf", base=tiny_gguf))
    fused = inspect(tmp_path / "fused.gguf")
    assert fused.array("adapter.alora.invocation_tokens") == [401, 3]


@pytest.mark.parametrize("tokens", [(401, 4), None])
def test_aloras_of_different_invocations_are_refused(
    tokens: tuple[int, ...] | None, tiny_gguf: Path, tmp_path: Path
) -> None:
    """Neither with other tokens nor with an ordinary LoRA."""
    shapes = (alora(1, (401, 3)), alora(2, tokens))
    sources = [peft_adapter(tmp_path / str(shape.seed), shape=shape) for shape in shapes]
    paths = converted(sources, tiny_gguf, tmp_path, "q8_0")
    with pytest.raises(AdapterError, match="invocation tokens"):
        fuse(FuseJob([(path, 1.0) for path in paths], tmp_path / "out" / "fused.gguf"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"parts": []}, "other than 0"),
        ({"rank": 0}, "not positive"),
        ({"type": "q4_k"}, "unknown type"),
        ({"digests": ["00"]}, "digests"),
    ],
)
def test_jobs_that_make_no_sense(
    change: dict[str, Any], reason: str, sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Each is refused with its reason."""
    paths = converted(sources, tiny_gguf, tmp_path, "q8_0")
    job = FuseJob([(path, 1.0) for path in paths], tmp_path / "fused.gguf")
    with pytest.raises(AdapterError, match=reason):
        fuse(replace(job, **change))


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 1e30])
def test_scales_beyond_all_bounds(
    scale: float, sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """No NaN or infinity reaches a file, and no half of a file is left."""
    (path, *_) = converted(sources, tiny_gguf, tmp_path, "q8_0")
    with pytest.raises(AdapterError, match="scale"):
        fuse(FuseJob([(path, scale)], tmp_path / "out" / "fused.gguf"))
    assert not list((tmp_path / "out").glob("*"))


def test_ranks_beyond_the_limit_are_refused(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """A result that check_adapter would refuse is not made; truncation helps."""
    (path, *_) = converted(sources, tiny_gguf, tmp_path, "q8_0")
    parts = [(path, 0.001 * index) for index in range(1, 258)]
    with pytest.raises(AdapterError, match="8192"):
        fuse(FuseJob(parts, io.BytesIO()))


def test_files_that_are_no_adapters(sources: list[Path], tiny_gguf: Path, tmp_path: Path) -> None:
    """Models, other files and missing ones are named."""
    (path, *_) = converted(sources, tiny_gguf, tmp_path, "q8_0")
    with pytest.raises(AdapterError, match="not a LoRA"):
        fuse(FuseJob([(path, 1.0), (tiny_gguf, 1.0)], tmp_path / "fused.gguf"))
    with pytest.raises(NotGGUF):
        fuse(FuseJob([(path, 1.0), (tmp_path / "none.gguf", 1.0)], tmp_path / "fused.gguf"))


def test_adapters_of_different_bases_are_refused(tmp_path: Path, tiny_gguf: Path) -> None:
    """Matrices of another shape cannot be added, and the base check names the misfit."""
    from support.checkpoints import qwen3_checkpoint

    wide = Qwen3Shape(hidden_size=96)
    base = qwen3_checkpoint(tmp_path / "base", wide)
    other = converted([peft_adapter(tmp_path / "wide", wide)], base, tmp_path, "q8_0")
    own = converted([peft_adapter(tmp_path / "tiny")], tiny_gguf, tmp_path, "q8_0")
    with pytest.raises(AdapterError, match="one base model"):
        fuse(FuseJob([(path, 1.0) for path in other + own], tmp_path / "out" / "fused.gguf"))
    with pytest.raises(AdapterError, match="shape"):
        fuse(FuseJob([(other[0], 1.0)], tmp_path / "out" / "fused.gguf", base=tiny_gguf))
    assert not list((tmp_path / "out").glob("*"))


def test_a_fused_adapter_can_be_fused_again(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """Its own alpha and ranks are taken into account."""
    paths = converted(sources, tiny_gguf, tmp_path, "f32")
    fuse(FuseJob(list(zip(paths[:2], SCALES[:2], strict=True)), tmp_path / "first.gguf"))
    fuse(FuseJob([(tmp_path / "first.gguf", 2.0), (paths[2], 1.0)], tmp_path / "second.gguf"))
    check_adapter(inspect(tmp_path / "second.gguf"), inspect(tiny_gguf))
    expected = [(paths[0], 2.0), (paths[1], 1.0), (paths[2], 1.0)]
    assert worst_error(tmp_path / "second.gguf", expected) < 1e-5
