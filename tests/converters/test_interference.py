"""Interference: what is measured on thin factors is what full matrices say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expert_converters import interference
from expert_converters.errors import AdapterError
from expert_converters.fuse import FuseJob, fuse
from expert_converters.interference import WARNING_OVERLAP, measure
from expert_converters.lora import LoraJob, convert_lora
from support.adapter_peers import Doubles, dense_updates
from support.checkpoints import (
    AdapterShape,
    Qwen3Shape,
    peft_adapter,
    qwen3_checkpoint,
    write_safetensors,
)
from support.program import expert

FIRST = AdapterShape(rank=8, alpha=16, seed=1)
SECOND = AdapterShape(rank=40, alpha=10, seed=2, targets=("q_proj", "o_proj", "down_proj"))
Q = "blk.0.attn_q.weight"
Q_MODULE = "base_model.model.model.layers.0.self_attn.q_proj.lora_"


def adapter(folder: Path, base: Path, shape: AdapterShape, kind: str = "f32") -> Path:
    """Return a random adapter."""
    source = peft_adapter(folder / f"peft-{shape.seed}", shape=shape)
    return convert_lora(LoraJob(source, base, folder / f"{shape.seed}-{kind}.gguf", kind))


def planted(folder: Path, base: Path, a: NDArray[Any], b: NDArray[Any]) -> Path:
    """Return an adapter of one matrix with the given factors, of scale 1."""
    shape = AdapterShape(rank=len(a), alpha=len(a), targets=("q_proj",))
    source = peft_adapter(folder / "peft", shape=shape)
    tensors = {Q_MODULE + "A.weight": a, Q_MODULE + "B.weight": b}
    write_safetensors(source / "adapter_model.safetensors", tensors, "float32")
    return convert_lora(LoraJob(source, base, folder / "planted.gguf", "f32"))


def dense_cosine(first: Doubles, second: Doubles) -> float:
    """Return the cosine of two full matrices."""
    norms = np.linalg.norm(first) * np.linalg.norm(second)
    return float(np.vdot(first, second) / norms)


def dense_angles(first: Doubles, second: Doubles) -> Doubles:
    """Return the principal angles between the row spaces of two full matrices."""
    bases = []
    for matrix in (first, second):
        _, singular, right = np.linalg.svd(matrix)
        bases.append(right[: int(np.sum(singular > 1e-6 * singular[0]))])
    cosines = np.linalg.svd(bases[0] @ bases[1].T, compute_uv=False)
    angles: Doubles = np.arccos(np.clip(cosines, -1, 1))
    return angles


def test_every_figure_equals_the_dense_one(tiny_gguf: Path, tmp_path: Path) -> None:
    """Cosines, norms, angles and the totals, over ranks, scales and matrices that differ."""
    paths = [adapter(tmp_path, tiny_gguf, shape) for shape in (FIRST, SECOND)]
    found = measure(*paths)
    first, second = (dense_updates(path) for path in paths)
    assert set(found.matrices) == first.keys() & second.keys()
    products = []
    for target, matrix in found.matrices.items():
        expected = dense_cosine(first[target], second[target])
        assert matrix.cosine == pytest.approx(expected, abs=1e-7)
        norms = [np.linalg.norm(update[target]) for update in (first, second)]
        assert matrix.norms == pytest.approx(norms, rel=1e-6)
        expected_angles = dense_angles(first[target], second[target])
        # The arc cosine turns rounding of 1e-16 near 1 into angles of 1e-8.
        np.testing.assert_allclose(matrix.angles, expected_angles, atol=1e-6)
        products.append(np.vdot(first[target], second[target]))
    whole = np.prod([np.sqrt(sum(np.sum(u**2) for u in side.values())) for side in (first, second)])
    assert found.cosine == pytest.approx(sum(products) / whole, abs=1e-7)
    assert found.overlap == pytest.approx(np.abs(products).sum() / whole, abs=1e-7)


def test_an_adapter_overlaps_wholly_with_itself(tiny_gguf: Path, tmp_path: Path) -> None:
    """Also when its scale, sign and quantisation differ, and angles are all zero."""
    exact = adapter(tmp_path, tiny_gguf, FIRST)
    fuse(FuseJob([(exact, -0.5)], tmp_path / "negative.gguf", type="q8_0"))
    found = measure(exact, tmp_path / "negative.gguf")
    assert found.cosine == pytest.approx(-1, abs=1e-3)
    assert found.overlap == pytest.approx(1, abs=1e-3)
    assert found.warning
    same = measure(exact, exact)
    assert same.cosine == pytest.approx(1)
    assert max(max(matrix.angles) for matrix in same.matrices.values()) < 1e-6


def test_independent_adapters_give_no_warning(tiny_gguf: Path, tmp_path: Path) -> None:
    """Random directions overlap by about one over the width, far below the threshold."""
    found = measure(adapter(tmp_path, tiny_gguf, FIRST), adapter(tmp_path, tiny_gguf, SECOND))
    assert found.overlap < 2 / 64
    assert not found.warning


def test_padding_of_the_rank_is_no_direction(tiny_gguf: Path, tmp_path: Path) -> None:
    """A rank of 8 stored as 32 gives 8 angles."""
    path = adapter(tmp_path, tiny_gguf, FIRST, "q8_0")
    assert {len(matrix.angles) for matrix in measure(path, path).matrices.values()} == {8}


def test_planted_angles_and_cosines_are_found(tiny_gguf: Path, tmp_path: Path) -> None:
    """Row spaces at 30 degrees, and orthogonal outputs that make the cosine zero all the same."""
    x, y, z = np.eye(64, dtype=np.float32)[:3]
    tilted = np.sqrt(0.75) * x + 0.5 * z
    out = np.eye(128, dtype=np.float32)
    base = planted(tmp_path / "base", tiny_gguf, np.stack([x, y]), out[:, :2])
    same = planted(tmp_path / "same", tiny_gguf, np.stack([tilted, y]), out[:, :2])
    apart = planted(tmp_path / "apart", tiny_gguf, np.stack([tilted, y]), out[:, 2:4])
    found = measure(base, same)
    assert np.degrees(found.matrices[Q].angles) == pytest.approx([0, 30], abs=1e-3)
    assert found.cosine == pytest.approx((1 + np.sqrt(0.75)) / 2)
    orthogonal = measure(base, apart)
    assert np.degrees(orthogonal.matrices[Q].angles) == pytest.approx([0, 30], abs=1e-3)
    assert orthogonal.overlap == pytest.approx(0, abs=1e-7)


def test_opposite_matrices_cancel_in_the_cosine_but_not_in_the_overlap(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    """Pushing one layer together and another apart is interference twice, not none."""
    random = np.random.default_rng(0)
    shape = AdapterShape(rank=4, alpha=4, targets=("q_proj",))
    paths = []
    a, b = random.standard_normal((4, 64)), random.standard_normal((128, 4))
    for index, signs in enumerate(((1, 1), (1, -1))):
        source = peft_adapter(tmp_path / str(index), shape=shape)
        tensors = {}
        for layer, sign in enumerate(signs):
            name = Q_MODULE.replace("layers.0", f"layers.{layer}")
            tensors[name + "A.weight"] = a.astype(np.float32)
            tensors[name + "B.weight"] = (sign * b).astype(np.float32)
        write_safetensors(source / "adapter_model.safetensors", tensors, "float32")
        job = LoraJob(source, tiny_gguf, tmp_path / f"{index}.gguf", "f32")
        paths.append(convert_lora(job))
    found = measure(*paths)
    assert found.cosine == pytest.approx(0, abs=1e-9)
    assert found.overlap == pytest.approx(1)
    assert found.warning


def test_the_threshold_means_what_it_says(tiny_gguf: Path, tmp_path: Path) -> None:
    """At the threshold, adding an adapter of equal size amplifies the other by a fifth."""
    x, z = np.eye(64, dtype=np.float32)[:2]
    out = np.eye(128, dtype=np.float32)[:, :1]
    other = WARNING_OVERLAP * x + np.sqrt(1 - WARNING_OVERLAP**2) * z
    first = planted(tmp_path / "first", tiny_gguf, x[None], out)
    second = planted(tmp_path / "second", tiny_gguf, other[None].astype(np.float32), out)
    assert measure(first, second).overlap == pytest.approx(WARNING_OVERLAP, abs=1e-6)
    fuse(FuseJob([(first, 1.0), (second, 1.0)], tmp_path / "sum.gguf"))
    direction = dense_updates(first)[Q]
    along = np.vdot(dense_updates(tmp_path / "sum.gguf")[Q], direction)
    assert along == pytest.approx(1.2, abs=1e-5)


@pytest.mark.parametrize(
    ("overlap", "warned"), [(WARNING_OVERLAP - 0.01, False), (WARNING_OVERLAP + 0.01, True)]
)
def test_the_warning_begins_at_the_threshold(
    overlap: float, warned: bool, tiny_gguf: Path, tmp_path: Path
) -> None:
    """`expert conflicts` says so just above it and not just below it."""
    x, z = np.eye(64, dtype=np.float32)[:2]
    out = np.eye(128, dtype=np.float32)[:, :1]
    other = (overlap * x + np.sqrt(1 - overlap**2) * z).astype(np.float32)
    first = planted(tmp_path / "first", tiny_gguf, x[None], out)
    second = planted(tmp_path / "second", tiny_gguf, other[None], out)
    found = measure(first, second)
    assert found.overlap == pytest.approx(overlap, abs=1e-6)
    assert found.warning is warned
    done = expert("conflicts", first, second)
    assert (done.code, "try them together" in done.text) == (0, warned)


def test_worst_names_the_matrices_that_matter(tiny_gguf: Path, tmp_path: Path) -> None:
    """They are ordered by what they add to the overlap, not by their cosine alone."""
    found = measure(adapter(tmp_path, tiny_gguf, FIRST), adapter(tmp_path, tiny_gguf, SECOND))
    weights = {
        target: abs(matrix.cosine) * matrix.norms[0] * matrix.norms[1]
        for target, matrix in found.matrices.items()
    }
    assert found.worst(2) == sorted(weights, key=lambda target: -weights[target])[:2]


def test_an_adapter_without_effect_interferes_with_nothing(tiny_gguf: Path, tmp_path: Path) -> None:
    """An untrained B is zero: no norm, no angles, and no division by zero."""
    zero = replace(FIRST, scale=0.0, seed=9)
    found = measure(adapter(tmp_path, tiny_gguf, FIRST), adapter(tmp_path, tiny_gguf, zero))
    assert (found.cosine, found.overlap, found.warning) == (0.0, 0.0, False)
    assert {matrix.angles for matrix in found.matrices.values()} == {()}


def test_adapters_of_disjoint_matrices_do_not_meet(tiny_gguf: Path, tmp_path: Path) -> None:
    """There is nothing to compare, and no overlap."""
    queries = replace(FIRST, targets=("q_proj",))
    values = replace(FIRST, targets=("v_proj",), seed=5)
    found = measure(adapter(tmp_path, tiny_gguf, queries), adapter(tmp_path, tiny_gguf, values))
    assert (found.overlap, found.matrices) == (0.0, {})


def test_adapters_of_different_bases_are_refused(tiny_gguf: Path, tmp_path: Path) -> None:
    """Their matrices have different shapes."""
    wide = Qwen3Shape(hidden_size=96)
    base = qwen3_checkpoint(tmp_path / "base", wide)
    job = LoraJob(peft_adapter(tmp_path / "wide", wide), base, tmp_path / "wide.gguf", "f32")
    with pytest.raises(AdapterError, match="different base"):
        measure(adapter(tmp_path, tiny_gguf, FIRST), convert_lora(job))


def test_a_planted_fault_is_caught(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgetting to transpose a factor's product gives another figure than the dense one."""
    paths = [adapter(tmp_path, tiny_gguf, replace(FIRST, seed=seed)) for seed in (1, 2)]
    first, second = (dense_updates(path)[Q] for path in paths)
    expected = dense_cosine(first, second)
    assert measure(*paths).matrices[Q].cosine == pytest.approx(expected, abs=1e-7)

    def wrong(outputs: Doubles, inputs: Doubles) -> float:
        return float(np.sum(outputs * inputs.T))

    monkeypatch.setattr(interference, "_trace", wrong)
    assert measure(*paths).matrices[Q].cosine != pytest.approx(expected, abs=1e-4)
