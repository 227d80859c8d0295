"""`expert train dpo`, `distill` and `all`, from the command line to a package."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from expert.cli import main
from expert.package.container import inspect
from expert.package.keys import PrivateKey, write_key_pair
from support.checkpoints import Qwen3Shape, qwen3_checkpoint
from support.songs import write_songs
from support.teacher_server import teacher_server
from support.tiny_training import tiny_recipe

PREFERENCES = '\n[preferences]\nfiles = ["preferences/songs.jsonl"]\n'
CARD = "# Card\n<!-- FIGURES -->\n<!-- /FIGURES -->\n<!-- RESULTS -->\n<!-- /RESULTS -->\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder: data with songs and pairs, and an expert's recipe."""
    data = write_songs(tmp_path / "data", 60)
    (data / "preferences").mkdir()
    rows = [{"prompt": f"song {n}", "chosen": f"play {n}", "rejected": "no"} for n in range(40)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (data / "preferences" / "songs.jsonl").write_text(text, encoding="utf-8")
    tiny_recipe(tmp_path / "experts" / "songs", more=PREFERENCES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*arguments: str | Path) -> int:
    """Run `expert train ARGUMENTS` in this process, on the CPU and for a moment."""
    short = ("--data", "data", "--device", "cpu", "--tokens", "800", "--rows", "0")
    return main(["train", *map(str, arguments), *short])


RECIPE = "experts/songs/train.toml"


def test_pairs_make_a_package(
    place: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The device and the progress are shown; the package names the method."""
    assert train("dpo", RECIPE, "--base", tiny_path, "--out", "run") == 0
    shown = capsys.readouterr()
    assert "training on the CPU" in shown.err and "left" in shown.err
    assert "preferences" in shown.err and "the expert's package" in shown.out
    (package,) = (place / "run").glob("*.expert")
    training = inspect(package).manifest.training
    assert training is not None and training.method == "direct preference optimisation, lora"
    record = json.loads((place / "run" / "run.json").read_text(encoding="utf-8"))
    assert 0.0 <= record["validation_agreement"] <= 1.0


def test_a_recipe_without_pairs_is_told(
    place: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how to name them."""
    tiny_recipe(place / "experts" / "plain")
    assert train("dpo", "experts/plain/train.toml", "--base", tiny_path) == 2
    assert "[preferences]" in capsys.readouterr().err


def test_a_teacher_at_an_address(
    place: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its answers are learnt; a second run asks nothing again."""

    def reply(_: str) -> str:
        time.sleep(0.02)  # long enough for questions to meet
        return "a song"

    with teacher_server(reply) as server:
        arguments = ("distill", RECIPE, "--teacher", server.url, "--teacher-model", "big")
        assert train(*arguments, "--base", tiny_path, "--out", "run") == 0
        asked = len(server.asked)
        assert asked > 20 and server.asked[0]["model"] == "big" and server.most > 1
        assert train(*arguments, "--base", tiny_path, "--out", "run", "--resume") == 0
        assert len(server.asked) == asked
        server.faults += ["status 401"]
        assert train(*arguments, "--base", tiny_path, "--out", "other") == 2
    assert "refuses" in capsys.readouterr().err
    (package,) = (place / "run").glob("*.expert")
    training = inspect(package).manifest.training
    assert training is not None and training.method == "distillation of answers, lora"


def test_a_teacher_on_this_machine(
    place: Path, tiny_path: Path, pocket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The embedded base answers a few questions through the real engine."""
    recipe = place / RECIPE
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace("[data]", "[data]\nlimit = 14").replace(
        "validation = 5", "validation = 2"
    ), encoding="utf-8")  # fmt: skip
    arguments = ("distill", RECIPE, "--teacher", pocket, "--max-tokens", "60", "--out", "run")
    assert train(*arguments, "--base", tiny_path) == 0
    (kept,) = (place / "run" / "teacher").glob("answers-*.jsonl")
    answers = [json.loads(line)["answer"] for line in kept.read_text("utf-8").splitlines()]
    assert len(answers) == 14 and any(answers)


def test_probabilities_need_the_same_vocabulary(
    place: Path, tiny_path: Path, pocket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another vocabulary and an address are refused, and the way out is named."""
    logits = ("distill", RECIPE, "--level", "logits", "--base", tiny_path, "--out", "run")
    assert train(*logits, "--teacher", pocket) == 4
    assert "--level sequence" in capsys.readouterr().err
    assert train(*logits, "--teacher", "http://localhost:1/v1") == 2
    assert "--level sequence" in capsys.readouterr().err
    assert train(*logits, "--teacher", tiny_path) == 0
    assert train(*logits, "--teacher", "nobody") == 3


def test_rates_of_a_sweep_are_read(
    place: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers with commas; anything else is a usage error; each is shown with its loss."""
    assert train(RECIPE, "--base", tiny_path, "--out", "run", "--sweep", "1e-6,2e-3") == 0
    assert "rate 1e-06: validation loss" in capsys.readouterr().err
    for wrong in ("fast", "0", "-1", "3"):
        with pytest.raises(SystemExit) as caught:
            train(RECIPE, f"--sweep={wrong}")
        assert caught.value.code == 2


@pytest.fixture
def finished_base(place: Path) -> Path:
    """Return the folder of a finished run of a base, and make room for one beside the experts."""
    folder = place / "pretrained"
    qwen3_checkpoint(folder / "checkpoint", Qwen3Shape(seed=9))
    record = {"step": 1, "tokens": 1_000_000, "seconds": 60.0, "loss": {"snips": 2.0}}
    (folder / "log.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    report = {"snips": {"rows": 200, "exact": 0.125}, "perplexity": 81.5}
    (folder / "evaluation.json").write_text(json.dumps(report), encoding="utf-8")
    (place / "experts" / "pocket").mkdir()
    (place / "experts" / "pocket" / "README.md").write_text(CARD, encoding="utf-8")
    return folder


def read(text: str) -> list[dict[str, Any]]:
    """Return what `--json` printed."""
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_one_command_replaces_the_base_and_its_experts(
    place: Path, finished_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The base is put in place, the experts are trained for it and signed, a broken one is told."""
    tiny_recipe(place / "experts" / "broken").write_text("nothing = 1\n", encoding="utf-8")
    key = PrivateKey.generate()
    write_key_pair(key, place / "key")
    arguments = ("all", "--experts", "experts", "-k", "key", "--keep-all", "--json")
    assert train(*arguments, "--dry-run") == 0
    assert set(json.loads(capsys.readouterr().out)) == {"broken", "songs"}
    assert not (place / "runs").exists()
    assert train(*arguments, "--pocket", finished_base) == 2
    broken, songs = read(capsys.readouterr().out)
    assert broken["error"]["code"] == 2 and songs["kept"] and songs["error"] is None
    package = place / songs["package"]
    assert package.parent == place / "experts" / "songs"
    preview = inspect(package)
    assert preview.signer is not None and preview.signer.raw == key.public.raw
    assert preview.manifest.bases[0].name == "Pocket"
    assert (place / "experts" / "pocket" / "pocket.gguf").exists()
    assert train(*arguments, "--only", "songs", "--resume") == 0
    (again,) = read(capsys.readouterr().out)
    assert again["kept"]
    assert train("all", "--experts", "experts", "--pocket", place / "data") == 3
    assert "no finished run" in capsys.readouterr().err


def test_a_plan_for_people(
    place: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line an expert; an unknown name and a missing key are errors before anything is done."""
    everyone = ("all", "--experts", "experts", "--base", tiny_path)
    assert train(*everyone, "--dry-run") == 0
    assert capsys.readouterr().out == "songs: train, measure, pack\n"
    assert train(*everyone, "--only", "nobody") == 3
    assert train(*everyone, "-k", "none") == 3
    assert not (place / "runs").exists()


def test_what_is_not_measured_is_not_put_in_place(
    place: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The package stays in the run's folder, and the command says so."""
    assert train("all", "--experts", "experts", "--base", tiny_path) == 0
    assert "was not measured" in capsys.readouterr().out
    assert not list((place / "experts" / "songs").glob("*.expert"))
    assert os.listdir(place / "runs") == ["songs"]


@pytest.mark.parametrize("verb", ["dpo", "distill", "all"])
def test_help_of_each_way(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its own."""
    with pytest.raises(SystemExit) as caught:
        main(["train", verb, "--help"])
    assert caught.value.code == 0 and f"expert train {verb}" in capsys.readouterr().out
