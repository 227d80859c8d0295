"""AdaLoRA: B diag(E) A, whose rank differs by module after pruning (arXiv 2303.10512).

PEFT divides by the rank the adapter started from, which pruning does not change, plus 1e-5
(`peft/tuners/adalora/layer.py`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..adapter_base import read_base
from ..lora_file import Floats
from ..peft_config import positive
from .folded import FoldedPair, write_folded
from .job import AdapterJob, AdapterReport, Progress
from .source import AdaptedModule, read_modules, refuse

A, B, E = ".lora_A", ".lora_B", ".lora_E"
EPSILON = 1e-5


def convert(job: AdapterJob, config: dict[str, Any], progress: Progress | None) -> AdapterReport:
    """Fold E into A and leave pruned ranks out."""
    base = read_base(job.base)
    initial = positive(job.source, "init_r", config.get("init_r"))
    alpha = positive(job.source, "lora_alpha", config.get("lora_alpha"))
    modules = read_modules(job.source, base, (A, B, E))
    pairs = [_fold(module, alpha / (initial + EPSILON)) for module in modules]
    left = [pair for pair in pairs if pair.rank]
    if not left:
        refuse(job.source, "every rank of it was pruned")
    write_folded(job, "adalora", base, left, progress)
    return AdapterReport(job.target, "adalora", "lora")


def _fold(module: AdaptedModule, scale: float) -> FoldedPair:
    stored = module.tensors[E].shape
    if len(stored) != 2 or stored[1] != 1:
        refuse(module.folder, f"{module.name}{E} is {stored}, expected (rank, 1)")
    # An array of no elements cannot be mapped from the file.
    e = module.load(E, stored) if stored[0] else np.zeros(stored, np.float32)
    kept = int(np.count_nonzero(e))
    return FoldedPair(module.target, kept, partial(_factors, module, e, scale))


def _factors(module: AdaptedModule, e: Floats, scale: float) -> tuple[Floats, Floats]:
    outputs, inputs = module.shape
    rank, kept = len(e), e[:, 0] != 0
    a = module.load(A, (rank, inputs)) * e
    b = module.load(B, (outputs, rank)) * np.float32(scale)
    return a[kept], b[:, kept]
