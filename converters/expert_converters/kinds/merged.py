"""Adapters that rewrite whole matrices: merged into a copy of the base, or approximated as LoRA.

llama.cpp adds products of thin factors to what a matrix computes; a change of full rank has no
such form. In a copy of the base it is exact. As a LoRA, the best approximation of a given rank is
the truncated SVD, and what that loses is measured and limited.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ..adapter_base import AdapterBase
from ..check import check_model
from ..errors import AdapterError
from ..files import replacing
from ..gguf_file import GGUFFile, inspect
from ..gguf_types import GGMLType
from ..lora_file import Factor, encode
from ..low_rank import LowRank, truncate_dense
from .folded import FoldedPair, write_folded
from .job import AdapterJob, AdapterReport, Progress

Floats = NDArray[np.float32]
Rewrite = Callable[[Floats], Floats]
"""Returns what the adapter makes of a matrix (outputs, inputs)."""

MERGEABLE = (GGMLType.F32, GGMLType.F16, GGMLType.BF16, GGMLType.Q8_0)


def rewrite_base(
    job: AdapterJob,
    kind: str,
    base: AdapterBase,
    rewrites: Mapping[str, Rewrite],
    progress: Progress | None,
) -> AdapterReport:
    """Apply *rewrites*, by the names of matrices, as *job* asks for it.

    Raises:
        AdapterError: the base is no GGUF file of a suitable type, or the approximation that was
            asked for loses too much.
    """
    header = _open_base(job, rewrites)
    if job.rank is None:
        _merge(job, header, rewrites, progress)
        return AdapterReport(job.target, kind, "model")
    approximations = {}
    for done, (target, rewrite) in enumerate(rewrites.items(), 1):
        weight = _read(header, target)
        approximations[target] = truncate_dense(rewrite(weight) - weight, job.rank)
        if progress is not None:
            progress(done, len(rewrites))
    residual = _residual(list(approximations.values()))
    if residual > job.limit:
        _refuse_loss(job, residual)
    pairs = [_pair(target, found) for target, found in approximations.items()]
    write_folded(job, kind, base, pairs, None)
    return AdapterReport(job.target, kind, "lora", residual)


def _open_base(job: AdapterJob, rewrites: Mapping[str, Rewrite]) -> GGUFFile:
    if job.base.is_dir():
        _refuse(job, "its matrices depend on the base's weights", "Give the base as a GGUF file.")
    if job.rank is not None and job.rank < 1:
        _refuse(job, f"the rank {job.rank} is not positive", "Use a rank such as 64.")
    header = inspect(job.base)
    for target in rewrites:
        found = header.tensors[target].type
        if found not in MERGEABLE:
            _refuse(
                job,
                f"{target} of the base is {found.name}, which cannot be written here",
                "Use the f16 or q8_0 file of the base, and quantise the result.",
            )
    return header


def _merge(
    job: AdapterJob, header: GGUFFile, rewrites: Mapping[str, Rewrite], progress: Progress | None
) -> None:
    """Copy the base and overwrite the changed matrices in place, as they keep their types."""
    with replacing(job.target) as path:
        shutil.copyfile(job.base, path)
        with path.open("r+b") as file:
            for done, (target, rewrite) in enumerate(rewrites.items(), 1):
                tensor = header.tensors[target]
                changed = encode(rewrite(_read(header, target)), tensor.type)
                file.seek(header.data_offset + tensor.offset)
                file.write(changed.raw.data)
                if progress is not None:
                    progress(done, len(rewrites))
        check_model(inspect(path))


def _read(header: GGUFFile, name: str) -> Floats:
    tensor = header.tensors[name]
    raw = np.frombuffer(header.tensor_bytes(name), np.uint8).reshape(tensor.shape[1], -1)
    return Factor(tensor.type, raw, tensor.shape[0]).values()


def _residual(approximations: list[LowRank]) -> float:
    total = sum(found.total for found in approximations)
    lost = total - sum(found.kept for found in approximations)
    return math.sqrt(max(lost, 0.0) / total) if total else 0.0


def _pair(target: str, found: LowRank) -> FoldedPair:
    return FoldedPair(target, found.a.shape[0], lambda: (found.a, found.b))


def _refuse_loss(job: AdapterJob, residual: float) -> NoReturn:
    _refuse(
        job,
        f"a LoRA of rank {job.rank} misses its update by {residual:.1%}, above {job.limit:.1%}",
        "Merge it instead (no rank), use a higher rank, or allow a higher limit.",
    )


def _refuse(job: AdapterJob, why: str, fix: str) -> NoReturn:
    raise AdapterError(f"{job.source} cannot be converted", why, fix)
