"""The examples of `docs/training.md`, as they stand there, on a tiny base."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from expert.cli import main
from expert.package.keys import PrivateKey, write_key_pair
from expert.train.adapter.recipe import read_recipe
from support.checkpoints import Qwen3Shape, qwen3_checkpoint
from support.songs import write_songs
from support.teacher_server import teacher_server
from support.tiny_training import tiny_recipe

TEXT = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (expert train .+)$", TEXT, re.MULTILINE)
SETTINGS = re.findall(r"^```toml\n(.+?)^```", TEXT, re.MULTILINE | re.DOTALL)
MARKS = "<!-- FIGURES -->\n<!-- /FIGURES -->\n<!-- RESULTS -->\n<!-- /RESULTS -->\n"


@pytest.fixture
def place(tmp_path: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with everything that the examples name."""
    data = write_songs(tmp_path / "data", 40)
    (data / "preferences").mkdir()
    rows = [{"prompt": f"song {n}", "chosen": f"play {n}", "rejected": "no"} for n in range(40)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (data / "preferences" / "songs.jsonl").write_text(text, encoding="utf-8")
    tiny_recipe(tmp_path / "experts" / "songs", more="\n" + "\n".join(SETTINGS))
    (tmp_path / "experts" / "pocket").mkdir()
    (tmp_path / "experts" / "pocket" / "README.md").write_text(MARKS, encoding="utf-8")
    (tmp_path / "experts" / "pocket" / "pocket.gguf").write_bytes(tiny_path.read_bytes())
    (tmp_path / "teacher.gguf").write_bytes(tiny_path.read_bytes())
    finished = tmp_path / "pretrained"
    qwen3_checkpoint(finished / "checkpoint", Qwen3Shape(seed=9))
    record = {"step": 1, "tokens": 1_000_000, "seconds": 60.0, "loss": {"snips": 2.0}}
    (finished / "log.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    (finished / "evaluation.json").write_text('{"perplexity": 80.0}', encoding="utf-8")
    write_key_pair(PrivateKey.generate(), tmp_path / "key.pem")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_examples() -> None:
    """Of each way to train."""
    words = {command.split()[2] for command in COMMANDS}
    assert {"dpo", "distill", "all", "experts/songs/train.toml"} == words and len(SETTINGS) == 2


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_runs(command: str, place: Path, tiny_path: Path, pocket: Path) -> None:
    """With a moment of training, and without measuring."""
    words = shlex.split(command)[1:]
    if "all" not in words:
        words += ["--base", str(tiny_path)]
    if "dpo" not in words and "--level" not in words and "--sweep" not in words:
        recipe = place / "experts" / "songs" / "train.toml"
        few = recipe.read_text(encoding="utf-8").replace("[data]", "[data]\nlimit = 12")
        recipe.write_text(few.replace("validation = 5", "validation = 2"), encoding="utf-8")
    with teacher_server(lambda text: "a song") as server:
        words = [server.url if "://" in word else word for word in words]
        assert main([*words, "--tokens", "600", "--rows", "0", "--device", "cpu"]) == 0


def test_the_settings_are_read(place: Path) -> None:
    """As sections of a recipe."""
    recipe = read_recipe(place / "experts" / "songs" / "train.toml")
    assert recipe.preferences is not None and recipe.preferences.beta == 0.1
    assert recipe.distillation.top == 20 and recipe.distillation.weight == 1.0
