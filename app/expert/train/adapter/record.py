"""What is needed to repeat a run: seed, versions, hashes of recipe and data, and the base."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from expert.train.adapter.base import Base
from expert.train.adapter.dataset import Dataset
from expert.train.adapter.recipe import Recipe
from expert.train.adapter.run import Run

PACKAGES = ("torch", "transformers", "peft", "tokenizers", "numpy", "gguf", "llama-cpp-python")


def versions() -> dict[str, str]:
    """Return the versions of what a run depends on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def describe(recipe: Recipe, base: Base, dataset: Dataset, run: Run, device: str) -> dict[str, Any]:
    """Return the record of a finished run, ready for JSON."""
    return {
        "name": recipe.name,
        "recipe": asdict(recipe),
        "base": {"name": base.name, "identity": asdict(base.identity)},
        "data": {"sha256": dataset.digest, "conversations": dataset.rows},
        "rate": run.rate,
        "device": f"{device}, {platform.machine()}",
        "versions": versions(),
        "steps": run.step,
        "tokens": run.tokens,
        "minutes": round(run.seconds / 60, 2),
        "stopped_early": not run.budget.over,
        "validation_loss": round(run.best_loss, 4),
    }
