"""What is needed to repeat a run: seed, versions, hashes of recipe and data, and the base."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from expert.train.adapter.base import Base
from expert.train.adapter.feed import Material
from expert.train.adapter.processes import described
from expert.train.adapter.recipe import Recipe
from expert.train.adapter.run import Run

PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "unsloth", "tokenizers", "numpy", "gguf",
    "llama-cpp-python",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of what a run depends on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Facts:
    """What a run was made from."""

    recipe: Recipe
    base: Base
    material: Material
    method: str


def describe(facts: Facts, run: Run) -> dict[str, Any]:
    """Return the record of a finished run, ready for JSON."""
    base, material = facts.base, facts.material
    return {
        "name": facts.recipe.name,
        "method": facts.method,
        "recipe": asdict(facts.recipe),
        "base": {"name": base.name, "identity": asdict(base.identity)},
        "data": {"sha256": material.digest, "conversations": material.rows},
        "left_out": list(run.trainee.left_out),
        "rate": run.rate,
        "device": f"{described(run.processes)}, {platform.machine()}",
        "versions": versions(),
        "steps": run.step,
        "tokens": run.tokens,
        "minutes": round(run.seconds / 60, 2),
        "stopped_early": not run.budget.over,
        "validation_loss": round(run.best_loss, 4),
    }
