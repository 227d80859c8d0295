"""Makes an adapter smaller, in one of several forms, and says what that loses.

- `q8_0`, `q4_0`: every direction in a type of llama.cpp; under a budget the weakest go.
- `svd`: as `q8_0`, ranks chosen for each matrix by what a byte buys; needs a budget.
- `q3`, `q2`: packed codes of so many bits a value on average, more for strong directions and none
  for the weakest; the idea of mixed precision by singular value is LoRAQuant's
  (arXiv:2510.26690), codes and allocation are ours. At rest only: `expand` comes before use.
- `osd`: sparse singular vectors (`sparse`); at rest only, needs a budget.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from ..check import check_adapter
from ..errors import AdapterError
from ..gguf_file import inspect
from ..gguf_types import GGMLType
from ..gguf_writer import Value
from ..lora_file import LoraFile, open_lora
from .allocation import allocate_ranks, allocate_widths, direction_bytes
from .codes import WIDTHS
from .dense import (
    LORA,
    TENSOR_ROW,
    head_bytes,
    metadata_of,
    quick_layout,
    small_layout,
    write_lora,
)
from .expand import expand
from .packed_file import (
    CODES,
    PACKED_TYPE,
    SPARSE,
    TENSORS,
    Matrix,
    is_packed,
    packed_metadata,
    read_packed,
    write_packed,
)
from .packing import Packed, pack_codes, pack_sparse
from .sparse import Damage, sparsify
from .spectrum import Factors, Progress, Spectrum, decompose, factors_of, lost

DENSE = {"q8_0": GGMLType.Q8_0, "q4_0": GGMLType.Q4_0, "svd": GGMLType.Q8_0}
WIDTH = {"q3": 3, "q2": 2}
METHODS = (*DENSE, *WIDTH, "osd")
BUDGETED = ("svd", "osd")
"""Methods that mean nothing without a budget."""


@dataclass(frozen=True, slots=True)
class CompressJob:
    """What to make smaller, where to, and how."""

    source: Path
    """A GGUF LoRA, or a packed one."""
    target: Path
    method: str = "q8_0"
    budget: int | None = None
    """Bytes that the file may have; None: what the method takes for all directions."""
    base: Path | None = None
    """GGUF model that the source must fit."""
    judge: Callable[[Path], float] | None = None
    """Says how bad a candidate is, an adapter file; `osd` lets it choose the density."""


@dataclass(frozen=True, slots=True)
class CompressReport:
    """What became of an adapter."""

    method: str
    source_bytes: int
    nbytes: int
    loss: float
    """Share of the squared Frobenius norm of all updates that the new form misses."""
    directions: int
    """Singular directions that it keeps, over all matrices."""
    of: int
    """Singular directions of the source."""
    packed: bool
    """Whether it must be expanded before llama.cpp attaches it."""
    rank: int
    """Highest rank of a matrix once attached, padding included."""
    detail: str = ""
    """What the method chose, in words."""


def compress(job: CompressJob, progress: Progress | None = None) -> CompressReport:
    """Write a smaller form of an adapter; *progress* is told matrices done and in all.

    Raises:
        GGUFError: the source is not a readable GGUF file.
        AdapterError: it is no LoRA, nothing of it fits the budget, or the result not the base.
    """
    _check(job)
    before = job.source.stat().st_size if job.source.is_file() else 0  # the target may be the same
    with tempfile.TemporaryDirectory(prefix="expert-compress.") as folder:
        source = open_lora(_attachable(job.source, Path(folder)))
        if job.base is not None:
            check_adapter(inspect(source.path), inspect(job.base))
        spectra = decompose(source, progress)
        if not spectra:
            _refuse(job, "it changes nothing", "Leave it out.")
        detail = _write(job, source, spectra, Path(folder))
        return replace(_report(job, spectra, detail, Path(folder)), source_bytes=before)


def _check(job: CompressJob) -> None:
    if job.method not in METHODS:
        _refuse(job, f"{job.method} is an unknown method", f"Use {', '.join(METHODS)}.")
    if job.budget is None and job.method in BUDGETED:
        _refuse(job, f"{job.method} needs a budget of bytes", "Give one, such as 500000.")


def _attachable(path: Path, folder: Path) -> Path:
    """Return the source, expanded if it is packed."""
    if not is_packed(inspect(path)):
        return path
    expand(path, folder / "source.gguf")
    return folder / "source.gguf"


def _write(job: CompressJob, source: LoraFile, spectra: Sequence[Spectrum], folder: Path) -> str:
    """Write the result and return what was chosen."""
    if job.method in DENSE:
        return _write_dense(job, source, spectra)
    room = _room(job, source, spectra)
    if job.method in WIDTH:
        widths = allocate_widths(spectra, room)
        if not any(bits.any() for bits in widths):
            _too_little(job)
        packed, method = pack_codes(spectra, widths), CODES
        share = [sum(int((bits == width).sum()) for bits in widths) for width in (0, *WIDTHS)]
        names = ("none", *(f"{width} bits" for width in WIDTHS))
        pairs = zip(names, share, strict=True)
        detail = ", ".join(f"{name}: {count}" for name, count in pairs if count)
    else:
        damage = sparsify(spectra, room, _judge(job, source, folder))
        if damage is None:
            _too_little(job)
        packed, method = pack_sparse(damage.parts), SPARSE
        detail = f"density {damage.density:.0%}"
    _write_packed(job, source, spectra, packed, method)
    return detail


def _write_dense(job: CompressJob, source: LoraFile, spectra: Sequence[Spectrum]) -> str:
    kind, metadata = DENSE[job.method], metadata_of(source, LORA)
    if job.budget is None:
        layouts = [quick_layout(one.factors, kind) for one in spectra]
        parts = [(one.factors, layout) for one, layout in zip(spectra, layouts, strict=True)]
        write_lora(job.target, parts, metadata)
        return ""
    head = head_bytes(metadata) + 64

    def size(ranks: Sequence[int]) -> int:
        pairs = zip(spectra, ranks, strict=True)
        return head + sum(small_layout(one.factors, r, kind).nbytes for one, r in pairs if r)

    ranks = allocate_ranks(spectra, size, job.budget)
    if not any(ranks):
        _too_little(job)
    chosen = [(one.factors.leading(r), r) for one, r in zip(spectra, ranks, strict=True) if r]
    parts = [(factors, small_layout(factors, r, kind)) for factors, r in chosen]
    write_lora(job.target, parts, metadata)
    return f"ranks {min(ranks)} to {max(ranks)}"


def _judge(job: CompressJob, source: LoraFile, folder: Path) -> Callable[[Damage], float] | None:
    """Return what hands the judge a candidate as a file that can be attached."""
    judge = job.judge
    if judge is None:
        return None

    def judged(damage: Damage) -> float:
        factors = [part.factors() for part in damage.parts]
        parts = [(one, quick_layout(one, GGMLType.Q8_0)) for one in factors]
        target = folder / f"{damage.density}.gguf"
        write_lora(target, parts, metadata_of(source, LORA))
        return judge(target)

    return judged


def _room(job: CompressJob, source: LoraFile, spectra: Sequence[Spectrum]) -> int:
    """Return the bytes there are for the directions in a packed file."""
    if job.budget is None:
        width = WIDTH[job.method]
        return sum(len(one.energy) * direction_bytes(one, width) for one in spectra)
    matrices = [_matrix(one.factors) for one in spectra]
    levels = {width: [0.0] * (1 << width) for width in WIDTHS} if job.method in WIDTH else {}
    method = CODES if job.method in WIDTH else SPARSE
    keys = _packed_keys(source) | packed_metadata(matrices, method, 0.0, levels)
    table = len(TENSORS[method]) * (TENSOR_ROW + len("packed.values"))
    return job.budget - head_bytes(keys) - table - 64


def _write_packed(
    job: CompressJob, source: LoraFile, spectra: Sequence[Spectrum], packed: Packed, method: str
) -> None:
    loss = min(lost(spectra, packed.factors), 1.0)
    keys = packed_metadata(packed.matrices, method, loss, packed.levels)
    write_packed(job.target, _packed_keys(source) | keys, packed.data)


def _packed_keys(source: LoraFile) -> dict[str, Value]:
    return metadata_of(source, {"general.type": PACKED_TYPE})


def _report(
    job: CompressJob, spectra: Sequence[Spectrum], detail: str, folder: Path
) -> CompressReport:
    """Read back what was written: its loss is that of the file, not of a plan."""
    packed = is_packed(inspect(job.target))
    file = job.target
    if packed:
        kept = sum(matrix.rank for matrix in read_packed(file).matrices)
        file = folder / "expanded.gguf"
        expand(job.target, file)
    lora = open_lora(file)
    if not packed:
        kept = sum(_used(factors) for factors in factors_of(lora))
    return CompressReport(
        job.method,
        0,
        job.target.stat().st_size,
        lost(spectra, factors_of(lora)),
        kept,
        sum(len(one.energy) for one in spectra),
        packed,
        max(pair.rank for pair in lora.pairs.values()),
        detail,
    )


def _used(factors: Factors) -> int:
    """Return how many directions of a stored update are not padding."""
    return int((factors.u.any(axis=1) & factors.v.any(axis=1)).sum())


def _matrix(factors: Factors) -> Matrix:
    return Matrix(factors.target, factors.v.shape[1], factors.u.shape[1], factors.rank)


def _too_little(job: CompressJob) -> NoReturn:
    _refuse(job, f"not one direction of it fits {job.budget} bytes", "Allow more bytes.")


def _refuse(job: CompressJob, why: str, fix: str) -> NoReturn:
    raise AdapterError(f"{job.source} cannot be compressed", why, fix)
