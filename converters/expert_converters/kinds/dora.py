"""DoRA: rows of W + s B A brought to trained lengths (arXiv 2402.09353).

The new matrix is D (W + s B A) with D = diag(m / |W + s B A|), a change of full rank because of
(D - 1) W.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..adapter_base import read_base
from ..lora_file import Floats
from ..peft_config import read_peft_config
from .job import AdapterJob, AdapterReport, Progress
from .merged import rewrite_base
from .source import AdaptedModule, read_modules, refuse

A, B, MAGNITUDE = ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"


def convert(job: AdapterJob, config: dict[str, Any], progress: Progress | None) -> AdapterReport:
    """Merge DoRA, or approximate it."""
    settings = read_peft_config(job.source, dora=True)
    if settings.invocation_tokens:
        refuse(job.source, "it is active from invocation tokens on, which a merged model is not")
    base = read_base(job.base)
    rewrites = {
        module.target: partial(
            _rewrite, module, settings.rank_of(module.name), settings.scale_of(module.name)
        )
        for module in read_modules(job.source, base, (A, B, MAGNITUDE))
    }
    return rewrite_base(job, "dora", base, rewrites, progress)


def _rewrite(module: AdaptedModule, rank: int, scale: float, weight: Floats) -> Floats:
    outputs, inputs = module.shape
    update = module.load(B, (outputs, rank)) @ module.load(A, (rank, inputs))
    moved = weight + np.float32(scale) * update
    lengths = np.linalg.norm(moved, axis=1)
    if not lengths.all():
        refuse(module.folder, f"a row of {module.name} has no length that could be changed")
    changed: Floats = moved * (module.load(MAGNITUDE, (outputs,)) / lengths)[:, None]
    return changed
