"""A training that takes a second: a tiny random base, a few songs, a few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from expert.train.adapter.train import Options
from support.experts import write_expert
from support.songs import write_songs

LONGEST = 400
"""Tokens: the tiny vocabulary knows few words."""
LORA = 'kind = "lora"\nrank = 32'


def tiny_recipe(folder: Path, adapter: str = LORA, more: str = "") -> Path:
    """Write the folder of a tiny expert for a tiny vocabulary and return its recipe."""
    path = write_expert(folder, adapter)
    text = path.read_text(encoding="utf-8").replace("longest = 96", f"longest = {LONGEST}")
    path.write_text(text + more, encoding="utf-8")
    return path


def tiny_options(folder: Path, base: Path, **changes: Any) -> Options:
    """Return what trains a tiny expert in *folder*: data, recipe and run of its own."""
    data = folder / "data"
    if not data.exists():
        write_songs(data)
    recipe = folder / "songs" / "train.toml"
    if not recipe.exists():
        tiny_recipe(folder / "songs")
    made = Options(recipe, data, folder / "run", base, tokens=1500, device="cpu")
    return replace(made, **changes)
