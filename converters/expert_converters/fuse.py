"""Fuses several LoRA adapters into one that computes their weighted sum.

The sum of products s1 B1 A1 + s2 B2 A2 is the product of [B1 B2] with the rows of s1 A1 above those
of s2 A2, so fusing means concatenating: stored blocks are copied and never decoded. One fused
adapter costs far less a token than several, and unlike theirs its sum has a fixed order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from .check_adapter import ALPHA, INVOCATION, MAX_RANK, check_adapter
from .errors import AdapterError
from .files import replacing
from .fused_pair import FusedPair, StoredType, plan_pair
from .gguf_file import inspect
from .gguf_writer import Value, write_gguf
from .identity import identity_keys
from .lora_file import TYPES, Bytes, LoraFile, Pair, open_lora
from .low_rank import LowRank

PARTS = "expert.fused.sha256"
SCALES = "expert.fused.scales"


@dataclass(frozen=True, slots=True)
class FuseJob:
    """Which adapters to fuse at which scales, where to, and how."""

    parts: Sequence[tuple[Path, float]]
    target: Path | BinaryIO
    """A path is replaced once the file is complete; an open file (a memfd) is written into."""
    rank: int | None = None
    """Highest rank of the result, by truncated SVD; None keeps everything."""
    type: str | None = None
    """f32, f16, bf16 or q8_0; None keeps the parts' own type where they share one."""
    base: Path | None = None
    """GGUF model that the file must fit before it replaces the target; only with a path."""
    digests: Sequence[str] = ()
    """SHA-256 of each part's file where known, in hexadecimal: hashing is half of the work."""
    mixed: str = "f32"
    """Type of a factor whose parts have several types, where *type* is None: f32 loses nothing,
    q8_0 takes a quarter of it and loses no more than the coarser part has lost already."""


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


def fuse(job: FuseJob) -> FuseReport:
    """Fuse adapters into one GGUF adapter that computes the sum of scale times adapter.

    The same set of adapters and scales gives the same bytes, whatever their order. Concatenation is
    exact but for the rounding of scaled numbers in the stored type; parts of scale 0 are left out.
    With `rank`, each matrix's sum is replaced by its best approximation of that rank.

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
        _refuse("there are not as many digests as adapters", "Give one for each, or none.")
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
    shapes: dict[str, tuple[tuple[int, int], Path]] = {}
    named = next((part.lora for part in parts if part.lora.base), None)
    for lora in (part.lora for part in parts[1:]):
        if lora.architecture != first.architecture:
            _refuse(
                f"{first.path} is for {first.architecture}, {lora.path} for {lora.architecture}",
                "Fuse adapters of one base model.",
            )
        if lora.base and named and lora.base != named.base:
            _refuse(
                f"{named.path} and {lora.path} were made for different weights of one shape",
                "Fuse adapters of one base model.",
            )
        if lora.invocation != first.invocation:
            _refuse(
                f"{first.path} is active from the tokens {list(first.invocation)} on, "
                f"{lora.path} from {list(lora.invocation)} on",
                "Fuse only adapters with the same invocation tokens.",
            )
    for lora in (part.lora for part in parts):
        for target, pair in lora.pairs.items():
            shape, path = shapes.setdefault(target, (pair.shape, lora.path))
            if pair.shape != shape:
                _refuse(
                    f"{target} is {shape} in {path}, {pair.shape} in {lora.path}",
                    "Fuse adapters of one base model.",
                )


def _plan(job: FuseJob, parts: Sequence[Part]) -> list[FusedPair]:
    for name in (job.type, job.mixed):
        if name is not None and name not in TYPES:
            _refuse(f"{name} is an unknown type", f"Use {', '.join(TYPES)}.")
    if job.rank is not None and job.rank < 1:
        _refuse(f"the rank {job.rank} is not positive", "Use a rank such as 32.")
    stored = StoredType(TYPES[job.type] if job.type is not None else None, TYPES[job.mixed])
    covering: dict[str, list[tuple[Pair, float]]] = {}
    for part in parts:
        for target, pair in part.lora.pairs.items():
            covering.setdefault(target, []).append((pair, part.scale))
    plan = [plan_pair(target, found, stored, job.rank) for target, found in covering.items()]
    highest = max(pair.rank for pair in plan)
    if highest > MAX_RANK:
        _refuse(f"they have the rank {highest} together, above {MAX_RANK}", "Fuse with a rank.")
    return plan


def _write(file: BinaryIO, parts: Sequence[Part], plan: Sequence[FusedPair]) -> FuseReport:
    alpha = float(max(pair.rank for pair in plan))
    kept: dict[str, LowRank] = {}

    def data() -> Iterator[Bytes]:
        for pair in plan:
            if pair.truncated is None:
                yield from pair.concatenate(alpha)
            else:
                a, b, kept[pair.target] = pair.approximate(alpha, pair.truncated)
                yield from (a, b)

    tensors = [tensor for pair in plan for tensor in pair.tensors()]
    nbytes = write_gguf(file, _metadata(parts, alpha), tensors, data())
    file.flush()
    total = sum(low.total for low in kept.values())
    return FuseReport(
        tuple((part.digest, part.scale) for part in parts),
        int(alpha),
        nbytes,
        {pair.target: kept[pair.target].share if kept else 1.0 for pair in plan},
        sum(low.kept for low in kept.values()) / total if total else 1.0,
    )


def _metadata(parts: Sequence[Part], alpha: float) -> dict[str, Value]:
    first = parts[0].lora
    metadata: dict[str, Value] = {
        "general.architecture": first.architecture,
        "general.type": "adapter",
        "adapter.type": "lora",
        ALPHA: alpha,
        PARTS: [part.digest for part in parts],
        SCALES: [part.scale for part in parts],
    }
    named = next((part.lora.base for part in parts if part.lora.base), None)
    if named:
        metadata |= identity_keys(named)
    if first.invocation:
        metadata[INVOCATION] = list(first.invocation)
    return metadata


def _refuse(why: str, fix: str) -> NoReturn:
    raise AdapterError("The adapters cannot be fused", why, fix)
