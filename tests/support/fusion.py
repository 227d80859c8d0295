"""What the tests of fusion share: three unlike adapters, and their sum on full matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expert_converters.lora import LoraJob, convert_lora
from support.adapter_peers import Doubles, dense_updates, relative_error
from support.checkpoints import AdapterShape, peft_adapter

Parts = Sequence[tuple[Path, float]]

SHAPES = (
    AdapterShape(rank=32, alpha=32, seed=1),
    AdapterShape(rank=8, alpha=24, seed=2, targets=("q_proj", "v_proj", "down_proj")),
    AdapterShape(rank=40, alpha=10, seed=3, targets=("v_proj", "o_proj")),
)
SCALES = (1.0, 0.5, -0.75)
Q_A, Q_B = "blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"


def make_sources(folder: Path) -> list[Path]:
    """Write three PEFT adapters of different ranks, scales and matrices."""
    return [peft_adapter(folder / str(index), shape=shape) for index, shape in enumerate(SHAPES)]


def converted(sources: Sequence[Path], base: Path, folder: Path, kind: str) -> list[Path]:
    """Convert adapters to GGUF."""
    return [
        convert_lora(LoraJob(source, base, folder / f"{source.name}-{kind}.gguf", kind))
        for source in sources
    ]


def weighted_sum(parts: Parts) -> dict[str, Doubles]:
    """Return the sum of scale times update, computed on full matrices."""
    total: dict[str, Doubles] = {}
    for path, scale in parts:
        for target, update in dense_updates(path).items():
            total[target] = total.get(target, 0) + scale * update
    return total


def worst_error(fused: Path, parts: Parts) -> float:
    """Return the largest relative error of a fused matrix against the sum of the parts."""
    found, expected = dense_updates(fused), weighted_sum(parts)
    assert found.keys() == expected.keys()
    return max(relative_error(found[target], expected[target]) for target in expected)
