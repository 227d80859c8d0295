"""Fusion: one adapter that computes the sum of several, with the same bytes in any order."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFWriter, quants

from expert_converters import fused_pair
from expert_converters.check import check_adapter
from expert_converters.errors import AdapterError
from expert_converters.fuse import FuseJob, fuse
from expert_converters.gguf_file import inspect
from expert_converters.gguf_types import GGMLType
from expert_converters.identity import base_identity, declared_identity
from expert_converters.model import ModelJob, convert_model
from support.adapter_peers import adapted_logits, load_base, model_logits, peft_logits
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter, qwen3_checkpoint
from support.fusion import Q_A, Q_B, SCALES, converted, make_sources, worst_error

# PEFT reads an attribute that transformers has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

DOWN = "blk.0.ffn_down.weight.lora_b"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three PEFT adapters of different ranks, scales and matrices."""
    return make_sources(tmp_path_factory.mktemp("peft"))


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
    assert report.parts == tuple(sorted(report.parts))
    by_digest = {hashlib.sha256(path.read_bytes()).hexdigest(): inspect(path) for path in paths}
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


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memfd is Linux's")
def test_llama_cpp_loads_from_memory(sources: list[Path], tiny_gguf: Path, tmp_path: Path) -> None:
    """A memfd is handed over by its path below /proc, and computes the same."""
    paths = converted(sources, tiny_gguf, tmp_path, "q8_0")
    parts = list(zip(paths, SCALES, strict=True))
    fuse(FuseJob(parts, tmp_path / "fused.gguf"))
    with os.fdopen(os.memfd_create("fused"), "wb") as file:
        fuse(FuseJob(parts, file))
        memory = Path(f"/proc/self/fd/{file.fileno()}")
        check_adapter(inspect(memory), inspect(tiny_gguf))
        found = adapted_logits(tiny_gguf, [(memory, 1.0)])
    expected = adapted_logits(tiny_gguf, [(tmp_path / "fused.gguf", 1.0)])
    np.testing.assert_array_equal(found, expected)


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


def test_only_mixed_factors_take_the_mixed_type(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """A matrix that one part changes, or all in one type, stays as it is stored."""
    (exact,) = converted(sources[:1], tiny_gguf, tmp_path, "f32")
    (packed,) = converted(sources[2:], tiny_gguf, tmp_path, "q8_0")
    parts = [(exact, 1.0), (packed, 0.5)]
    fuse(FuseJob(parts, tmp_path / "fused.gguf", mixed="q8_0", base=tiny_gguf))
    tensors = inspect(tmp_path / "fused.gguf").tensors
    assert tensors["blk.0.attn_v.weight.lora_b"].type is GGMLType.Q8_0
    assert tensors["blk.0.attn_q.weight.lora_b"].type is GGMLType.F32
    assert worst_error(tmp_path / "fused.gguf", parts) < 2e-2


def test_the_fused_file_names_its_base(
    sources: list[Path], tiny_gguf: Path, tmp_path: Path
) -> None:
    """It is refused by other weights of the same shape, as its parts are; those do not fuse."""
    here = converted(sources, tiny_gguf, tmp_path, "q8_0")
    fuse(FuseJob([(path, 1.0) for path in here], tmp_path / "fused.gguf"))
    expected = base_identity(inspect(tiny_gguf))
    assert declared_identity(inspect(tmp_path / "fused.gguf")) == expected
    folder = qwen3_checkpoint(tmp_path / "other", Qwen3Shape(seed=7))
    other = convert_model(ModelJob(folder, tmp_path / "other.gguf", "f32"))
    (tmp_path / "there").mkdir()
    (foreign,) = converted(sources[1:2], other, tmp_path / "there", "q8_0")
    with pytest.raises(AdapterError, match="different weights"):
        fuse(FuseJob([(here[0], 1.0), (foreign, 1.0)], tmp_path / "none.gguf"))


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


@pytest.mark.parametrize(
    ("kinds", "rank", "fused_rank"),
    [((Type.Q8_0, Type.F16), 8, 32), ((Type.Q4_0, Type.Q4_0), 32, 96)],
    ids=["llama.cpp's Q8_0 with F16", "Q4_0"],
)
def test_types_that_others_write(
    kinds: tuple[Type, Type], rank: int, fused_rank: int, tiny_gguf: Path, tmp_path: Path
) -> None:
    """Factors of two types, as llama.cpp's converter makes of small ranks, and coarser blocks."""
    random = np.random.default_rng(0)
    parts = []
    for index, scale in enumerate(SCALES):
        writer = GGUFWriter(tmp_path / f"{index}.gguf", "qwen3")
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", 16.0)
        for name, shape, kind in zip((Q_A, Q_B), ((rank, 64), (128, rank)), kinds, strict=True):
            values = random.standard_normal(shape, dtype=np.float32)
            writer.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        parts.append((tmp_path / f"{index}.gguf", scale))
    fuse(FuseJob(parts, tmp_path / "fused.gguf", base=tiny_gguf))
    fused = inspect(tmp_path / "fused.gguf").tensors
    assert fused[Q_B].shape == (fused_rank, 128)
    assert [fused[name].type for name in (Q_A, Q_B)] == list(kinds)
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
