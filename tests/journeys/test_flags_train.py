"""Options of training and measuring, each given to the real program with a tiny base."""

import json
from pathlib import Path
from typing import Any

import pytest

from expert.package.container import inspect
from expert.package.keys import PrivateKey, write_key_pair
from support.low_rank_adapters import write_synthetic
from support.program import Outcome, expert
from support.songs import write_songs
from support.teacher_server import teacher_server
from support.tiny_training import tiny_recipe

pytestmark = pytest.mark.slow
MOMENT = ("--minutes", "0.01")
PAIRS = '\n[preferences]\nfiles = ["preferences/songs.jsonl"]\n'
KEY = PrivateKey(b"training" * 4)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, for both libraries."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(name="recipe")
def place(tmp_path: Path) -> Path:
    """Return a recipe; beside it are data with songs and pairs, a key, and another expert."""
    data = write_songs(tmp_path / "data", 60)
    (data / "preferences").mkdir()
    rows = [{"prompt": f"song {n}", "chosen": f"play {n}", "rejected": "no"} for n in range(40)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (data / "preferences" / "songs.jsonl").write_text(text, encoding="utf-8")
    write_key_pair(KEY, tmp_path / "key")
    write_synthetic(tmp_path / "other.gguf")
    return tiny_recipe(tmp_path / "experts" / "songs", more=PAIRS)


def good(*arguments: str | Path) -> Outcome:
    """Run the program, which must succeed."""
    done = expert(*arguments, timeout=280)
    assert done.code == 0, (arguments, done.message)
    return done


def check(done: Outcome, into: Path, rates: tuple[float, ...]) -> dict[str, Any]:
    """Look for what the options promise: time, rates, a signature, another expert, and a place."""
    report: dict[str, Any] = json.loads(done.out)
    assert report["record"]["minutes"] < 1
    assert [one["rate"] for one in report["record"]["sweep"]] == list(rates)
    assert "base, other expert" in {score["condition"] for score in report["scores"]}
    package = Path(report["package"])
    assert package.parent == into
    assert {"README.md", "curve.svg", "run.json"} <= {path.name for path in into.iterdir()}
    signer = inspect(package).signer
    assert signer is not None and signer.raw == KEY.public.raw
    return report


def test_options_of_train(recipe: Path, tiny_path: Path, tmp_path: Path) -> None:
    """A moment of time, two rates first, measured beside another expert, signed and put aside."""
    done = good(
        "train", recipe, "--data", tmp_path / "data", "--base", tiny_path, "--device", "cpu",
        "--out", tmp_path / "run", *MOMENT, "--sweep", "1e-6,2e-3", "--rows", "1",
        "--other", tmp_path / "other.gguf", "-k", tmp_path / "key", "--into", tmp_path / "into",
        "--json",
    )  # fmt: skip
    check(done, tmp_path / "into", (1e-6, 2e-3))


def test_options_of_dpo(recipe: Path, tiny_path: Path, tmp_path: Path) -> None:
    """The same, and a run that is over is gone on from to the same end."""
    common = ("--data", tmp_path / "data", "--base", tiny_path, "--device", "cpu")
    done = good(
        "train", "dpo", recipe, *common, "--out", tmp_path / "run", *MOMENT, "--sweep", "1e-3",
        "--rows", "1", "--other", tmp_path / "other.gguf", "--sign", tmp_path / "key",
        "--into", tmp_path / "into", "--json",
    )  # fmt: skip
    record = check(done, tmp_path / "into", (1e-3,))["record"]
    again = good(
        "train", "dpo", recipe, *common, "--out", tmp_path / "run", "--resume", *MOMENT,
        "--rows", "0", "--json",
    )  # fmt: skip
    assert json.loads(again.out)["record"]["steps"] >= record["steps"]


def test_options_of_distill(
    recipe: Path, tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher is asked one question at a time, by its name, with a key from the environment."""
    monkeypatch.setenv("TEACHER_KEY", "secret")
    with teacher_server(lambda text: "a song") as server:
        done = good(
            "train", "distill", recipe, "--teacher", server.url, "--teacher-model", "big",
            "--level", "sequence", "--max-tokens", "33", "--parallel", "1",
            "--key-from", "TEACHER_KEY", "--data", tmp_path / "data", "--base", tiny_path,
            "--device", "cpu", "--out", tmp_path / "run", *MOMENT, "--sweep", "1e-3",
            "--rows", "1", "--other", tmp_path / "other.gguf", "--sign", tmp_path / "key",
            "--into", tmp_path / "into", "--json",
        )  # fmt: skip
        check(done, tmp_path / "into", (1e-3,))
        assert server.most == 1
        assert set(server.keys) == {"Bearer secret"}
        assert {(one["model"], one["max_tokens"]) for one in server.asked} == {("big", 33)}


def test_options_of_all(recipe: Path, tiny_path: Path, tmp_path: Path) -> None:
    """The run goes where it is told; the package beside its recipe, though nothing was measured."""
    done = good(
        "train", "all", "--experts", tmp_path / "experts", "--data", tmp_path / "data",
        "--base", tiny_path, "--device", "cpu", "--out", tmp_path / "runs", *MOMENT, "--rows", "0",
        "-k", tmp_path / "key", "--keep-all", "--json",
    )  # fmt: skip
    (made,) = json.loads(done.out)
    assert made["kept"]
    assert Path(made["package"]).parent == recipe.parent
    assert json.loads((tmp_path / "runs" / "songs" / "run.json").read_text())["minutes"] < 1


def test_options_of_eval(recipe: Path, tiny_path: Path, tmp_path: Path) -> None:
    """A recipe alone measures the base that is named; figures and card go where they are told."""
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "README.md").write_text(recipe.with_name("README.md").read_text())
    done = good(
        "eval", recipe, "--data", tmp_path / "data", "--model", tiny_path, "--rows", "1",
        "--shots", "1", "--into", tmp_path / "into", "--json",
    )  # fmt: skip
    assert [one["condition"] for one in json.loads(done.out)] == ["base", "base, few-shot"]
    (figures,) = (tmp_path / "into").glob("*.json")
    assert json.loads(figures.read_text())["base"] == "tiny"
    assert "| base, few-shot |" in (tmp_path / "into" / "README.md").read_text()


def test_smaller_forms_are_scored(recipe: Path, tiny_path: Path, tmp_path: Path) -> None:
    """By the tasks of a recipe, on as many rows as are wanted."""
    done = good(
        "bench", "compress", tmp_path / "other.gguf", "-m", tiny_path, "--budget", "14k",
        "--repeat", "1", "--data", tmp_path / "data", "--recipe", recipe, "--rows", "1", "--json",
    )  # fmt: skip
    for form in json.loads(done.out):
        share, (low, high) = form["scores"]["snips"]
        assert 0 <= low <= share <= high <= 1
