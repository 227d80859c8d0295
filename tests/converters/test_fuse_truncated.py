"""Truncated fusion: the best approximation of a rank, with the energy it keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from expert_converters import low_rank
from expert_converters.fuse import FuseJob, fuse
from support.adapter_peers import dense_updates, relative_error
from support.fusion import SCALES, converted, make_sources, weighted_sum, worst_error


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three PEFT adapters of different ranks, scales and matrices."""
    return make_sources(tmp_path_factory.mktemp("peft"))


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


@pytest.mark.parametrize("shape", [(96, 64), (64, 96), (64, 64)])
@pytest.mark.parametrize("rank", [1, 20, 64, 100])
def test_both_ways_to_truncate_agree(shape: tuple[int, int], rank: int) -> None:
    """From thin factors or from the full matrix, the approximation and its energy are the same."""
    random = np.random.default_rng(0)
    a = random.standard_normal((40, shape[1]), dtype=np.float32)
    b = random.standard_normal((shape[0], 40), dtype=np.float32)
    thin = low_rank.truncate_product(a, b, rank)
    full = low_rank.truncate_dense(b @ a, rank)
    np.testing.assert_allclose(full.b @ full.a, thin.b @ thin.a, atol=1e-3)
    assert full.kept == pytest.approx(thin.kept, rel=1e-5)
    assert full.total == pytest.approx(thin.total, rel=1e-5)
    left, singular, right = np.linalg.svd(b.astype(np.float64) @ a, full_matrices=False)
    best = (left[:, :rank] * singular[:rank]) @ right[:rank]
    np.testing.assert_allclose(thin.b @ thin.a, best, atol=1e-3)


def test_nothing_keeps_everything_of_nothing() -> None:
    """A matrix of zeros divides by nothing."""
    zero = np.zeros((8, 8), np.float32)
    for found in (low_rank.truncate_product(zero, zero, 4), low_rank.truncate_dense(zero, 4)):
        assert found.share == 1.0
        assert not (found.b @ found.a).any()
