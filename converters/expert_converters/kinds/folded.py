"""Writes what other kinds of adapters amount to as a LoRA: an A and a B for each matrix.

Each kind folds its own scales into the factors; ranks are padded with zeros to whole Q8_0 blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..adapter_base import AdapterBase
from ..check_adapter import ALPHA, MAX_RANK
from ..errors import AdapterError
from ..files import replacing
from ..gguf_file import inspect
from ..gguf_types import GGMLType
from ..gguf_writer import NewTensor, write_gguf
from ..identity import identity_keys
from ..lora_file import RANK_MULTIPLE, TYPES, Bytes, Floats, encode
from .job import AdapterJob, Progress


@dataclass(frozen=True, slots=True)
class FoldedPair:
    """The update B A of one matrix, computed when it is written."""

    target: str
    rank: int
    load: Callable[[], tuple[Floats, Floats]]
    """Returns A as (rank, inputs) and B as (outputs, rank)."""

    @property
    def padded_rank(self) -> int:
        """The rank in the file."""
        return max(1, -(-self.rank // RANK_MULTIPLE)) * RANK_MULTIPLE


def write_folded(
    job: AdapterJob,
    kind: str,
    base: AdapterBase,
    pairs: Sequence[FoldedPair],
    progress: Progress | None,
) -> None:
    """Write *pairs* as the LoRA *job.target*, replacing it once the file is complete.

    Raises:
        AdapterError: the type is unknown, a rank is too high, or numbers exceed the type.
    """
    alpha = _check(job, pairs)
    tensors = [tensor for pair in pairs for tensor in _announce(pair, base, TYPES[job.type])]
    types = {tensor.name: tensor.type for tensor in tensors}

    def data() -> Iterator[Bytes]:
        for done, pair in enumerate(pairs, 1):
            for factor, values in zip(("lora_a", "lora_b"), _padded(pair, alpha), strict=True):
                yield encode(values, types[f"{pair.target}.{factor}"]).raw
            if progress is not None:
                progress(done, len(pairs))

    with replacing(job.target) as path:
        with path.open("wb") as file:
            write_gguf(
                file,
                {
                    "general.architecture": base.architecture,
                    "general.type": "adapter",
                    "general.name": job.name or job.source.name,
                    "adapter.type": "lora",
                    ALPHA: float(alpha),
                    "expert.peft.kind": kind,
                    **(identity_keys(base.identity) if base.identity else {}),
                },
                tensors,
                data(),
            )
        inspect(path)


def _check(job: AdapterJob, pairs: Sequence[FoldedPair]) -> int:
    """Check what can be checked before writing and return the highest rank."""
    if job.type not in TYPES:
        raise AdapterError(
            f"{job.source} cannot be converted",
            f"{job.type} is an unknown type",
            f"Use {', '.join(TYPES)}.",
        )
    highest = max(pair.padded_rank for pair in pairs)
    if highest > MAX_RANK:
        raise AdapterError(
            f"{job.source} cannot be converted",
            f"as a LoRA it has the rank {highest}, above {MAX_RANK}",
            "Merge it into the model with PEFT and convert that.",
        )
    return highest


def _announce(pair: FoldedPair, base: AdapterBase, kind: GGMLType) -> tuple[NewTensor, NewTensor]:
    outputs, inputs = base.shapes[pair.target]
    a_type = kind if inputs % kind.block_size == 0 else GGMLType.F16
    return (
        NewTensor(f"{pair.target}.lora_a", (inputs, pair.padded_rank), a_type),
        NewTensor(f"{pair.target}.lora_b", (pair.padded_rank, outputs), kind),
    )


def _padded(pair: FoldedPair, alpha: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return both factors as llama.cpp wants them, which scales by alpha / rank itself."""
    a, b = pair.load()
    padding = (0, pair.padded_rank - pair.rank)
    a = np.pad(a * np.float32(pair.padded_rank / alpha), (padding, (0, 0)))
    return a, np.pad(b, ((0, 0), padding))
