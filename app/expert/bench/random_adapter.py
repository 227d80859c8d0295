"""Random adapters of a given shape, for measuring speed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expert.errors import UsageError
from expert_converters.check_adapter import ALPHA, INVOCATION
from expert_converters.gguf_file import GGUFFile
from expert_converters.gguf_types import GGMLType
from expert_converters.gguf_writer import NewTensor, Value, write_gguf

_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
_SCALE = 0.002  # of a Q8_0 block: small enough to leave the base's answers whole


@dataclass(frozen=True, slots=True)
class RandomAdapter:
    """What to make: Q8_0 over every matrix of every layer."""

    rank: int
    seed: int
    invocation: tuple[int, ...] = ()


def write_random_adapter(base: GGUFFile, spec: RandomAdapter, path: Path) -> None:
    """Write a random adapter for *base* to *path*.

    Raises:
        UsageError: the rank is no whole number of blocks.
    """
    if spec.rank % GGMLType.Q8_0.block_size:
        raise UsageError(
            f"No adapter of rank {spec.rank} can be made.",
            "Its numbers are stored in blocks of 32 ranks.",
            "Give a rank such as 32 or 64.",
        )
    draw = np.random.default_rng(spec.seed)
    metadata: dict[str, Value] = {
        "general.architecture": str(base.metadata["general.architecture"]),
        "general.type": "adapter",
        "adapter.type": "lora",
        ALPHA: float(spec.rank),
    }
    if spec.invocation:
        metadata[INVOCATION] = list(spec.invocation)
    tensors = list(_tensors(base, spec.rank))
    with path.open("wb") as file:
        write_gguf(file, metadata, tensors, (_blocks(draw, tensor) for tensor in tensors))


def _tensors(base: GGUFFile, rank: int) -> Iterator[NewTensor]:
    for name, weight in base.tensors.items():
        if name.removesuffix(".weight").rpartition(".")[2] in _MATRICES:
            inputs, outputs = weight.shape
            yield NewTensor(f"{name}.lora_a", (inputs, rank), GGMLType.Q8_0)
            yield NewTensor(f"{name}.lora_b", (rank, outputs), GGMLType.Q8_0)


def _blocks(draw: np.random.Generator, tensor: NewTensor) -> NDArray[np.uint8]:
    """Return random Q8_0 blocks: a half-precision scale and 32 bytes each."""
    blocks = draw.integers(0, 256, (tensor.nbytes // 34, 34), dtype=np.uint8)
    blocks[:, :2] = np.frombuffer(np.float16(_SCALE).tobytes(), np.uint8)
    return blocks
