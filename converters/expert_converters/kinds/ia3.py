"""IA3: outputs, or the inputs of feed-forward layers, times a trained vector (arXiv 2205.05638)."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..adapter_base import read_base
from ..lora_file import Floats
from .job import AdapterJob, AdapterReport, Progress
from .merged import rewrite_base
from .source import AdaptedModule, read_modules, refuse

VECTOR = ".ia3_l"


def convert(job: AdapterJob, config: dict[str, Any], progress: Progress | None) -> AdapterReport:
    """Multiply the vectors into the matrices, or approximate that."""
    base = read_base(job.base)
    modules = read_modules(job.source, base, (VECTOR,))
    rewrites = {module.target: partial(_rewrite, module) for module in modules}
    return rewrite_base(job, "ia3", base, rewrites, progress)


def _rewrite(module: AdaptedModule, weight: Floats) -> Floats:
    outputs, inputs = module.shape
    stored = module.tensors[VECTOR].shape
    # A row vector scales the inputs and a column vector the outputs, square matrices included.
    if stored not in ((outputs, 1), (1, inputs)):
        refuse(module.folder, f"{module.name}{VECTOR} is {stored}, not one vector of the matrix")
    return weight * module.load(VECTOR, stored)
