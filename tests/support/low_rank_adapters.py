"""Synthetic adapters with a spectrum like a trained one's: a few strong directions, and noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expert_converters.compress.dense import LORA, quick_layout, write_lora
from expert_converters.compress.spectrum import Factors
from expert_converters.gguf_types import GGMLType
from expert_converters.gguf_writer import Value

TINY = {
    "attn_q": (128, 64),
    "attn_k": (64, 64),
    "attn_v": (64, 64),
    "attn_output": (64, 128),
    "ffn_gate": (96, 64),
    "ffn_up": (96, 64),
    "ffn_down": (64, 96),
}
"""Outputs and inputs of the matrices of a block of the tiny model."""


@dataclass(frozen=True)
class Synthetic:
    """What to make up."""

    rank: int = 32
    decay: float = 6.0
    """Directions until a singular value has fallen to 1/e of the strongest."""
    strength: float = 2.0
    blocks: int = 2
    seed: int = 0
    heavy: bool = False
    """Few large entries in each vector, as sparse methods hope for, instead of normal ones."""
    invocation: tuple[int, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    """Further metadata, such as the base it is for."""


def updates(made: Synthetic) -> list[Factors]:
    """Return the update of every matrix."""
    random = np.random.default_rng(made.seed)
    strengths = made.strength * np.exp(-np.arange(made.rank) / made.decay)
    found = []
    for block in range(made.blocks):
        for name, (outputs, inputs) in TINY.items():
            u, v = (random.standard_normal((made.rank, n)) for n in (outputs, inputs))
            if made.heavy:
                u, v = u**5, v**5
            u /= np.linalg.norm(u, axis=1, keepdims=True)
            v /= np.linalg.norm(v, axis=1, keepdims=True)
            u *= strengths[:, None]
            target = f"blk.{block}.{name}.weight"
            found.append(Factors(target, u.astype(np.float32), v.astype(np.float32)))
    return found


def write_synthetic(path: Path, made: Synthetic | None = None, kind: str = "F32") -> Path:
    """Write a made-up adapter for the tiny model and return its path."""
    made = made or Synthetic()
    parts = [(one, quick_layout(one, GGMLType[kind])) for one in updates(made)]
    metadata: dict[str, Value] = {"general.architecture": "qwen3", **LORA, **dict(made.keys)}
    if made.invocation:
        metadata["adapter.alora.invocation_tokens"] = list(made.invocation)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_lora(path, parts, metadata)
    return path
