"""VeRA: diag(b) B diag(d) A with one random A and B for all modules (arXiv 2310.11454).

A GGUF file cannot share factors between matrices, so that each gets its own slices of A and B;
with PEFT's usual rank of 256 the file is as large as that of a LoRA of this rank.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..adapter_base import read_base
from ..lora_file import Floats
from ..safetensors_file import read_safetensors
from .folded import FoldedPair, write_folded
from .job import AdapterJob, AdapterReport, Progress
from .source import WEIGHTS_FILE, AdaptedModule, group, refuse

LAMBDA_B, LAMBDA_D = ".vera_lambda_b", ".vera_lambda_d"
SHARED = ("base_model.vera_A", "base_model.vera_B")


def convert(job: AdapterJob, config: dict[str, Any], progress: Progress | None) -> AdapterReport:
    """Fold both vectors into the slices of the shared matrices."""
    base = read_base(job.base)
    stored = read_safetensors(job.source / WEIGHTS_FILE)
    if not all(name in stored for name in SHARED):
        refuse(
            job.source,
            "its random matrices are not stored, and generating them again depends on the machine "
            "(save it with save_projection=True)",
        )
    a, b = (np.asarray(stored.pop(name).load(), np.float32) for name in SHARED)
    modules = group(job.source, base, stored, (LAMBDA_B, LAMBDA_D))
    for module in modules:
        _check_shared(module, a, b)
    pairs = [
        FoldedPair(module.target, a.shape[0], partial(_factors, module, a, b)) for module in modules
    ]
    write_folded(job, "vera", base, pairs, progress)
    return AdapterReport(job.target, "vera", "lora")


def _check_shared(module: AdaptedModule, a: Floats, b: Floats) -> None:
    outputs, inputs = module.shape
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
        refuse(module.folder, f"its shared matrices are {a.shape} and {b.shape}")
    if b.shape[0] < outputs or a.shape[1] < inputs:
        refuse(module.folder, f"its shared matrices are too small for {module.name}")


def _factors(module: AdaptedModule, a: Floats, b: Floats) -> tuple[Floats, Floats]:
    (outputs, inputs), rank = module.shape, a.shape[0]
    d = module.load(LAMBDA_D, (rank,))
    return a[:, :inputs] * d[:, None], b[:outputs] * module.load(LAMBDA_B, (outputs,))[:, None]
