"""Fuses several LoRA adapters into one that computes their weighted sum.

The sum of products s1 B1 A1 + s2 B2 A2 is the product of [B1 B2] with the rows of s1 A1 above those
of s2 A2, so that fusion is concatenation: stored blocks are copied, never decoded. One fused
adapter costs far less a token than several, and unlike those it is added up in a fixed order.
Scales go into A: an A keeps the size of its initialisation, whereas the half-precision block scales
of a lightly trained B are subnormal already and would lose bits.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from .check_adapter import ALPHA, INVOCATION, MAX_RANK, check_adapter
from .errors import AdapterError
from .files import replacing
from .gguf_file import inspect
from .gguf_types import GGMLType
from .gguf_writer import NewTensor, Value, write_gguf
from .lora_file import Bytes, Factor, Floats, LoraFile, Pair, encode, open_lora
from .low_rank import LowRank, truncate_product

RANK_MULTIPLE = 32
"""Ranks are padded to whole blocks of the quantised types, and of llama.cpp's inner loops."""
TYPES = {
    "f32": GGMLType.F32,
    "f16": GGMLType.F16,
    "bf16": GGMLType.BF16,
    "q8_0": GGMLType.Q8_0,
}
FLOAT_TYPES = {GGMLType.F32: "<f4", GGMLType.F16: "<f2"}
QUANTISATION_VERSION = 2


@dataclass(frozen=True, slots=True)
class FuseJob:
    """Which adapters to fuse at which scales, where to, and how."""

    parts: Sequence[tuple[Path, float]]
    target: Path | BinaryIO
    """A path is replaced once the file is complete; an open file (a memfd) is written into."""
    rank: int | None = None
    """Highest rank of the result, by truncated SVD; None keeps everything."""
    type: str | None = None
    """f32, f16, bf16 or q8_0; None keeps a common type of the parts, and mixes them as f32."""
    base: Path | None = None
    """GGUF model against which a written *path* is checked before it replaces the target."""
    digests: Sequence[str] = ()
    """SHA-256 of each part's file where known, in hexadecimal: hashing takes most of the time."""


@dataclass(frozen=True, slots=True)
class FuseReport:
    """What was fused and what was kept of it."""

    parts: tuple[tuple[str, float], ...]
    """SHA-256 and scale of each part that took effect, in the order of the result."""
    rank: int
    """Highest rank of a matrix, padding included."""
    nbytes: int
    retained: dict[str, float]
    """Share of the squared Frobenius norm of each matrix's update that was kept."""
    energy: float
    """The same over all matrices; 1 where nothing was truncated."""


@dataclass(frozen=True, slots=True)
class Part:
    """One adapter to fuse."""

    digest: str
    scale: float
    lora: LoraFile


@dataclass(frozen=True, slots=True)
class FusedPair:
    """The plan for one matrix of the result."""

    target: str
    pairs: tuple[Pair, ...]
    scales: tuple[float, ...]
    """Factor before each product B A, the adapters' own alpha / rank included."""
    a_type: GGMLType
    b_type: GGMLType
    widths: tuple[int, ...]
    """Ranks each part takes up, padding included."""
    rank: int
    truncated: int | None
    """Rank to truncate to, or None for concatenation."""

    @property
    def flipped(self) -> bool:
        """Whether A is stored transposed."""
        return self.pairs[0].flipped

    def tensors(self) -> tuple[NewTensor, NewTensor]:
        """Announce both factors."""
        first = self.pairs[0]
        a_shape = (self.rank, first.a.rows) if self.flipped else (first.a.columns, self.rank)
        return (
            NewTensor(f"{self.target}.lora_a", a_shape, self.a_type),
            NewTensor(f"{self.target}.lora_b", (self.rank, first.b.rows), self.b_type),
        )


def fuse(job: FuseJob) -> FuseReport:
    """Fuse adapters into one GGUF adapter that computes the sum of scale times adapter.

    The same set of adapters and scales gives the same bytes, whatever their order. Concatenation is
    exact for f32 and within the rounding of the stored type otherwise; parts of scale 0 are left
    out. With `rank`, each sum is replaced by its best approximation of that rank.

    Raises:
        GGUFError: a part is not a readable GGUF file.
        AdapterError: a part is no LoRA, the parts do not go together, or the result does not fit.
    """
    parts = _open_parts(job)
    _check_together(parts)
    plan = _plan(job, parts)
    if not isinstance(job.target, Path):
        return _write(job.target, parts, plan)
    with replacing(job.target) as path:
        with path.open("wb") as file:
            report = _write(file, parts, plan)
        header = inspect(path)
        if job.base is not None:
            check_adapter(header, inspect(job.base))
    return report


def _open_parts(job: FuseJob) -> list[Part]:
    """Open the adapters that take effect, in the order of their contents."""
    if not all(math.isfinite(scale) for _, scale in job.parts):
        _refuse("a scale is not a finite number", "Use numbers such as 1 or 0.5.")
    if job.digests and len(job.digests) != len(job.parts):
        _refuse("the digests are not as many as the adapters", "Give one for each, or none.")
    used = [index for index, (_, scale) in enumerate(job.parts) if scale != 0]
    if not used:
        _refuse("no adapter has a scale other than 0", "Give at least one.")
    paths = [job.parts[index][0] for index in used]
    loras = [open_lora(path) for path in paths]
    digests = [job.digests[index] for index in used] if job.digests else _digests(paths)
    scales = [float(job.parts[index][1]) for index in used]
    parts = [Part(*values) for values in zip(digests, scales, loras, strict=True)]
    return sorted(parts, key=lambda part: (part.digest, part.scale))


def _digests(paths: Sequence[Path]) -> list[str]:
    """Hash files side by side; hashlib releases the interpreter's lock."""

    def digest(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with ThreadPoolExecutor() as pool:
        return list(pool.map(digest, paths))


def _check_together(parts: Sequence[Part]) -> None:
    first = parts[0].lora
    for part in parts[1:]:
        if part.lora.architecture != first.architecture:
            _refuse(
                f"{first.path} is for {first.architecture}, "
                f"{part.lora.path} for {part.lora.architecture}",
                "Fuse adapters of one base model.",
            )
        if part.lora.invocation != first.invocation:
            _refuse(
                f"{first.path} is active from the tokens {list(first.invocation)} on, "
                f"{part.lora.path} from {list(part.lora.invocation)} on",
                "Fuse aLoRA adapters only with the same invocation tokens.",
            )


def _plan(job: FuseJob, parts: Sequence[Part]) -> list[FusedPair]:
    if job.type is not None and job.type not in TYPES:
        _refuse(f"{job.type} is an unknown type", f"Use {', '.join(TYPES)}.")
    if job.rank is not None and job.rank < 1:
        _refuse(f"the rank {job.rank} is not positive", "Use a rank such as 32.")
    targets = dict.fromkeys(target for part in parts for target in part.lora.pairs)
    return [_plan_pair(job, target, parts) for target in targets]


def _plan_pair(job: FuseJob, target: str, parts: Sequence[Part]) -> FusedPair:
    covering = [part for part in parts if target in part.lora.pairs]
    pairs = tuple(part.lora.pairs[target] for part in covering)
    scales = tuple(
        part.scale * pair.scale for part, pair in zip(covering, pairs, strict=True)
    )
    _check_shapes(target, covering)
    a_type = _common_type(job.type, [pair.a for pair in pairs])
    b_type = _common_type(job.type, [pair.b for pair in pairs])
    # Blocks along the rank cannot be shared by two parts.
    block = max(b_type.block_size, a_type.block_size if pairs[0].flipped else 1)
    widths = tuple(_padded(pair.rank, block) for pair in pairs)
    rank = _padded(sum(widths), RANK_MULTIPLE)
    truncated = None
    if job.rank is not None and job.rank < sum(pair.rank for pair in pairs):
        truncated, rank = job.rank, _padded(job.rank, RANK_MULTIPLE)
    if rank > MAX_RANK:
        _refuse(f"{target} would have the rank {rank}, at most {MAX_RANK} works", "Give a rank.")
    return FusedPair(target, pairs, scales, a_type, b_type, widths, rank, truncated)


def _check_shapes(target: str, covering: Sequence[Part]) -> None:
    def shape(part: Part) -> tuple[int, int]:
        pair = part.lora.pairs[target]
        return (pair.a.rows if pair.flipped else pair.a.columns), pair.b.rows

    first = covering[0]
    for part in covering[1:]:
        if shape(part) != shape(first):
            _refuse(
                f"{target} is {shape(first)} in {first.lora.path}, "
                f"{shape(part)} in {part.lora.path}",
                "Fuse adapters of one base model.",
            )


def _common_type(wanted: str | None, factors: Sequence[Factor]) -> GGMLType:
    types = {factor.type for factor in factors}
    kind = TYPES[wanted] if wanted is not None else GGMLType.F32
    if wanted is None and len(types) == 1:
        return types.pop()
    fits = all(factor.columns % kind.block_size == 0 for factor in factors)
    return kind if fits else GGMLType.F16
