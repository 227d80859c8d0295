"""A training recipe: one TOML file read into frozen dataclasses."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from expert.train.qwen3 import Shape

Knots = tuple[tuple[float, float], ...]
Section = TypeVar("Section")

SIZES: dict[str, dict[str, int]] = {
    "9m": {
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
    },
    "30m": {
        "hidden_size": 512,
        "intermediate_size": 1536,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    },
    "tiny": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    },
}


@dataclass(frozen=True)
class Model:
    """What is trained; `size` names an entry of `SIZES`."""

    size: str
    vocab_size: int
    context: int
    rope_theta: float
    compute: str  # the type of the working weights: "bfloat16" or "float32"

    @property
    def shape(self) -> Shape:
        """The sizes of the network."""
        return Shape(
            vocab_size=self.vocab_size,
            max_position_embeddings=self.context,
            rope_theta=self.rope_theta,
            **SIZES[self.size],
        )


@dataclass(frozen=True)
class Data:
    """How rows become sequences."""

    longest: int  # tokens of a conversation
    document: int  # tokens of a piece of plain text
    characters: int  # of plain text read from each file
    variants: dict[str, int]  # how many random variants of each row a task yields


@dataclass(frozen=True)
class Training:
    """Steps and learning rates; `warmup` and `decay` are shares of the budget."""

    seed: int
    tokens_a_batch: int
    batches_a_step: int
    muon_rate: float
    embedding_rate: float
    norm_rate: float
    weight_decay: float
    newton_schulz_steps: int
    warmup: float
    decay: float
    save_seconds: float
    log_steps: int


@dataclass(frozen=True)
class Recipe:
    """All settings of a run; `mix` gives each task's share of tokens at points of the run."""

    model: Model
    data: Data
    training: Training
    mix: dict[str, Knots]


def _section(kind: type[Section], values: dict[str, Any], name: str) -> Section:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # sections are dataclasses
    if known != set(values):
        raise ValueError(f"[{name}] needs exactly {sorted(known)}, found {sorted(values)}")
    return kind(**values)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ValueError: when a section has missing or unknown settings.
    """
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    return Recipe(
        model=_section(Model, values["model"], "model"),
        data=_section(Data, values["data"], "data"),
        training=_section(Training, values["training"], "training"),
        mix={
            task: tuple((at, share) for at, share in knots) for task, knots in values["mix"].items()
        },
    )


def share(knots: Knots, progress: float) -> float:
    """Interpolate a task's share at `progress`, 0 to 1; zero before its first point."""
    if progress < knots[0][0]:
        return 0.0
    for (start, low), (end, high) in zip(knots, knots[1:], strict=False):
        if progress < end:
            return low + (high - low) * (progress - start) / (end - start)
    return knots[-1][1]
