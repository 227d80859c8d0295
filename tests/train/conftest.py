"""A tiny data folder and recipe, and the real data where it is present."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard

ROOT = Path(__file__).parents[2]
WORDS = [
    "the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "seven", "small",
    "birds", "sing", "about", "rivers",
]  # fmt: skip
RECIPE = """
[model]
size = "tiny"
vocab_size = 320
context = 128
rope_theta = 10000.0
compute = "float32"

[data]
longest = 128
document = 64
characters = 150000

[data.variants]
snips = 2

[training]
seed = 1
tokens_a_batch = 256
batches_a_step = 2
muon_rate = 0.02
embedding_rate = 0.03
norm_rate = 0.003
weight_decay = 0.05
newton_schulz_steps = 4
warmup = 0.02
decay = 0.3
save_seconds = 0
log_steps = 1

[mix]
snips = [[0.0, 3]]
text = [[0.0, 1]]
"""


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a `.jsonl.zst` file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(zstandard.ZstdCompressor().compress(lines.encode()))


def song(number: int) -> dict[str, Any]:
    """Return one SNIPS-like row."""
    name = f"{WORDS[number % 14]} {WORDS[number % 11]}"
    slots = {"intent": "PlayMusic", "slots": {"track": name}}
    return {"text": f"play {name} number {number}", "json": slots, "tags": []}


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a few rows of text and of one task."""
    data = tmp_path_factory.mktemp("data")
    texts = [{"text": f"Title {n}\n" + " ".join(WORDS * 4) + "."} for n in range(600)]
    for name in (
        "reference", "african_storybook_ccby", "wikinews_en", "openstax_ccby", "docs_tech",
        "wikipedia_en_2015",
    ):  # fmt: skip
        write_rows(data / "pretrain" / f"{name}.jsonl.zst", texts)
    rows = [song(number) for number in range(120)]
    write_rows(data / "experts/json/snips_train.jsonl.zst", rows[:110])
    write_rows(data / "experts/json/snips_valid.jsonl.zst", rows[100:])
    return data


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a recipe that trains in seconds."""
    path = tmp_path_factory.mktemp("recipe") / "train.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the real data folder."""
    folder = Path(os.environ.get("EXPERT_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "experts").is_dir():
        pytest.skip(f"needs the training data (EXPERT_DATA or {folder})")
    return folder
