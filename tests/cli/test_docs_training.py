"""The examples of `docs/training.md`, as they stand there, on a tiny base."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from expert.cli import main
from expert.dataset.reading import Source, read_rows
from expert.package.container import inspect
from expert.package.keys import PrivateKey, write_key_pair
from expert.train.adapter.recipe import read_recipe
from support.checkpoints import Qwen3Shape, qwen3_checkpoint
from support.songs import write_songs
from support.teacher_server import teacher_server
from support.tiny_training import tiny_recipe

TEXT = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (expert train .+)$", TEXT, re.MULTILINE)
BLOCKS = re.findall(r"^```toml\n(.+?)^```", TEXT, re.MULTILINE | re.DOTALL)
SETTINGS = [block for block in BLOCKS if not block.startswith("# ")]
FILES = {block.split()[1]: block for block in BLOCKS if block.startswith("# ")}
STEPS = re.findall(r"^\$ (.+)$", TEXT, re.MULTILINE)
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


SHORT = {
    "expert train": "--base {base} --device cpu --tokens 45000 --rows 6",
    "expert eval": "-m {base} --rows 6 --shots 1 --json",
}
"""What makes an example quick: a tiny base, a moment of training, a few rows."""


@pytest.mark.slow
def test_rows_of_ones_own_become_an_expert(tiny_path: Path, tmp_path: Path) -> None:
    """From a table to a measured package, through the real program, as the page writes it."""
    folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    assert len(STEPS) == 7
    for step in STEPS:
        more = [text for words, text in SHORT.items() if step.startswith(words)]
        done = subprocess.run(
            ["bash", "-c", " ".join([step, *more]).format(base=tiny_path)], cwd=tmp_path,
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, (step, done.stderr)
        for name, text in FILES.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
    scores = json.loads(done.stdout)
    assert [score["condition"] for score in scores] == ["base", "base, few-shot", "expert"]
    assert {score["task"] for score in scores} == {"lines"} and scores[0]["rows"] == 6
    heldout = {row.prompt for row in read_rows(Source(tmp_path / "lines/parts/test.jsonl.zst"))}
    asked = {wrong["prompt"] for score in scores for wrong in score["wrong"]}
    assert asked and asked <= heldout
    (package,) = (tmp_path / "run").glob("*.expert")
    (figure,) = inspect(package).manifest.evaluation
    assert (figure.metric, figure.dataset, figure.samples) == ("structure", "lines", 6)
    log = (tmp_path / "run/log.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in log]
    assert losses[-1]["lines"] < losses[0]["lines"]


def test_the_settings_are_read(place: Path) -> None:
    """As sections of a recipe."""
    recipe = read_recipe(place / "experts" / "songs" / "train.toml")
    assert recipe.preferences is not None and recipe.preferences.beta == 0.1
    assert recipe.distillation.top == 20 and recipe.distillation.weight == 1.0
