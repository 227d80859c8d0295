"""What a conversion of any kind of adapter is asked for, and what it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int, int], None]

LIMIT = 0.1
"""Relative error an approximation may have: it keeps 99 % of the update's energy then.

Quantising factors to Q8_0 costs about 0.01, so that ten times as much is still a small change of
the update, and much more would no longer be the adapter that was trained.
"""


@dataclass(frozen=True, slots=True)
class AdapterJob:
    """What to convert, for which base, where to, and how."""

    source: Path
    """Folder with `adapter_config.json` and `adapter_model.safetensors`."""
    base: Path
    """The base model: a GGUF file, or a checkpoint folder where its weights are not needed."""
    target: Path
    type: str = "q8_0"
    """f32, f16, bf16 or q8_0, for the factors of a LoRA; merged matrices keep the base's type."""
    name: str | None = None
    """`general.name`; by default that of the folder."""
    rank: int | None = None
    """Rank of a LoRA that approximates DoRA or IA3; None merges them into a copy of the base."""
    limit: float = LIMIT
    """Highest relative error, in the Frobenius norm, of such an approximation."""


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """What became of an adapter."""

    path: Path
    kind: str
    """lora, dora, adalora, vera, loha, ia3 or soft-prompt."""
    form: str
    """What the file is: lora, model or soft-prompt."""
    residual: float = 0.0
    """Relative error of the approximation in the Frobenius norm; 0 where it is exact."""

    @property
    def exact(self) -> bool:
        """Whether nothing but the rounding of the stored type is lost."""
        return self.residual == 0.0
