"""What cannot be fused is refused with its reason, and leaves nothing behind."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expert_converters.errors import AdapterError, NotGGUF
from expert_converters.fuse import FuseJob, fuse
from expert_converters.gguf_file import inspect
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter
from support.fusion import converted, make_sources


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three PEFT adapters of different ranks, scales and matrices."""
    return make_sources(tmp_path_factory.mktemp("peft"))


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
