"""A tiny expert to train: its recipe's folder, and a data folder of a few rows."""

from __future__ import annotations

from pathlib import Path

RECIPE = """
name = "songs"

[data]
longest = 96
validation = 5
validation_tokens = 600

[tasks.snips]
share = 1.0

[adapter]
{adapter}

[training]
seed = 1
minutes = 1
rate = 2e-3
tokens_a_batch = 192
batches_a_step = 2
validate_seconds = 0
save_seconds = 0
patience = 99
log_steps = 1
sweep = [0.01, 1.0]

[evaluation]
tasks = ["snips"]
rows = 6
shots = 2
max_tokens = 60

[bases.big]
width = 1024
training = {{ rate = 2e-4 }}
"""
ABOUT = """
publisher = "acme"
name = "songs"
version = "0.1.0"
summary = "Requests for songs as JSON."
license = "Apache-2.0"

[routing]
keywords = ["song"]

[[datasets]]
name = "a few rows"

[[limitations]]
description = "It knows songs only."
"""
CARD = "# songs\n\nWords.\n\n<!-- figures -->\n<!-- end of figures -->\n\nMore words.\n"


def write_expert(folder: Path, adapter: str = 'kind = "lora"\nrank = 32') -> Path:
    """Write the folder of a tiny expert and return its recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "train.toml"
    recipe.write_text(RECIPE.format(adapter=adapter), encoding="utf-8")
    (folder / "manifest.toml").write_text(ABOUT, encoding="utf-8")
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    prompts = "".join(f"play song number {n}\n" for n in range(50))
    (folder / "routing.txt").write_text(prompts, encoding="utf-8")
    return recipe
