"""LoHa: the elementwise product of two low-rank products, (B1 A1) o (B2 A2) (arXiv 2108.06098).

Such a product of ranks r has rank r^2 at most: its factors are the products of each column of B1
with each of B2, and of each row of A1 with each of A2 (Khatri-Rao products).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..adapter_base import read_base
from ..lora_file import Floats
from ..peft_config import PeftConfig, positive, read_pattern
from .folded import FoldedPair, write_folded
from .job import AdapterJob, AdapterReport, Progress
from .source import AdaptedModule, read_modules

B1, A1, B2, A2 = ".hada_w1_a", ".hada_w1_b", ".hada_w2_a", ".hada_w2_b"


def convert(job: AdapterJob, config: dict[str, Any], progress: Progress | None) -> AdapterReport:
    """Multiply the factors out."""
    base, settings = read_base(job.base), _settings(job, config)
    pairs = [_fold(module, settings) for module in read_modules(job.source, base, (B1, A1, B2, A2))]
    write_folded(job, "loha", base, pairs, progress)
    return AdapterReport(job.target, "loha", "lora")


def _settings(job: AdapterJob, config: dict[str, Any]) -> PeftConfig:
    """Read the ranks and alphas, which work as LoRA's do."""
    folder = job.source
    ranks = read_pattern(folder, config, "rank_pattern")
    return PeftConfig(
        folder,
        int(positive(folder, "r", config.get("r"))),
        positive(folder, "alpha", config.get("alpha")),
        {key: int(value) for key, value in ranks.items()},
        read_pattern(folder, config, "alpha_pattern"),
        rank_stabilised=False,
        invocation_tokens=(),
    )


def _fold(module: AdaptedModule, settings: PeftConfig) -> FoldedPair:
    rank = settings.rank_of(module.name)
    scale = settings.scale_of(module.name)
    width = min(rank * rank, *module.shape)
    return FoldedPair(module.target, width, partial(_factors, module, rank, scale))


def _factors(module: AdaptedModule, rank: int, scale: float) -> tuple[Floats, Floats]:
    outputs, inputs = module.shape
    b1, b2 = (module.load(name, (outputs, rank)) for name in (B1, B2))
    a1, a2 = (module.load(name, (rank, inputs)) for name in (A1, A2))
    if rank * rank < min(outputs, inputs):
        a = (a1[:, None] * a2[None]).reshape(rank * rank, inputs)
        b = (b1[:, :, None] * b2[:, None]).reshape(outputs, rank * rank)
        return a, b * np.float32(scale)
    # The full matrix has fewer numbers than those factors: it becomes one, the other is 1.
    full = np.float32(scale) * (b1 @ a1) * (b2 @ a2)
    if outputs < inputs:
        return full, np.eye(outputs, dtype=np.float32)
    return np.eye(inputs, dtype=np.float32), full
