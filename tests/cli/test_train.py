"""`expert train` and `expert eval` whole: from a recipe to a package, killed and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from expert.package.container import inspect
from expert.package.validate import validate
from support.experts import write_expert
from support.program import PROGRAM, Outcome, expert
from support.songs import write_songs

TOKENS = 2600


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a few requests for songs."""
    return write_songs(tmp_path_factory.mktemp("songs"))


def arguments(recipe: Path, data: Path, run: Path) -> list[str]:
    """Return a command line of a tiny training."""
    return [
        "train", str(recipe), "--data", str(data), "--out", str(run), "--tokens", str(TOKENS),
        "--device", "cpu",
    ]  # fmt: skip


def train(recipe: Path, data: Path, run: Path, *more: str) -> Outcome:
    """Train with the real program."""
    return expert(*arguments(recipe, data, run), *more, timeout=600, OMP_NUM_THREADS="1")


def steady(run: Path) -> dict[int, Any]:
    """Return what of a log must not depend on timing."""
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return {r["step"]: (r["tokens"], r["loss"]) for r in map(json.loads, lines)}


@pytest.fixture(scope="module")
def finished(songs: Path, pocket: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an uninterrupted run, measured on a few rows and packed."""
    folder = tmp_path_factory.mktemp("finished")
    recipe = write_expert(folder / "songs")
    done = train(recipe, songs, folder / "run", "--rows", "3", "--into", str(folder / "songs"))
    assert done.code == 0, done.message
    assert "validation" in done.message and "tokens/s" in done.message and "left" in done.message
    assert "\r" not in done.message
    return folder


@pytest.mark.slow
def test_one_command_makes_a_package(finished: Path) -> None:
    """The package is sound and says everything: base, training, figures, limits, examples."""
    (package,) = (finished / "songs").glob("*.expert")
    validate(package)
    manifest = inspect(package).manifest
    assert manifest.qualified_name == "acme/songs"
    assert manifest.bases[0].adapter.rank == 32 and manifest.bases[0].name == "Pocket"
    assert manifest.routing is not None and len(manifest.routing.examples) == 50
    assert manifest.training is not None and manifest.training.seed == 1
    assert manifest.training.tokens and manifest.training.recipe
    (figure,) = manifest.evaluation
    assert figure.samples == 3 and figure.base is not None and figure.interval is not None
    assert figure.few_shot is not None and manifest.limitations


@pytest.mark.slow
def test_a_run_can_be_repeated_from_its_record(finished: Path) -> None:
    """Seed, versions, hash of the data and identity of the base are kept, and the loss fell."""
    record = json.loads((finished / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["recipe"]["training"]["seed"] == 1 and record["versions"]["torch"]
    assert len(record["data"]["sha256"]) == 64 and len(record["base"]["identity"]["norms"]) == 64
    losses = [loss["validation"] for _, loss in steady(finished / "run").values()]
    assert losses[-1] < 0.8 * losses[0]
    assert record["validation_loss"] == pytest.approx(min(losses), abs=1e-3)
    assert (finished / "run" / "curve.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.slow
def test_the_card_is_filled_in(finished: Path) -> None:
    """The folder's card keeps its words and gets the table."""
    card = (finished / "songs" / "README.md").read_text(encoding="utf-8")
    assert "Words." in card and "More words." in card and "| base, few-shot |" in card
    assert "Slot-Gated 75.5" in card and "other test sets" in card


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_uninterrupted(
    finished: Path, songs: Path, tmp_path: Path
) -> None:
    """After kill -9 and --resume, losses and weights are those of the uninterrupted run."""
    recipe, run = finished / "songs" / "train.toml", tmp_path / "run"
    process = subprocess.Popen(
        [*PROGRAM, *arguments(recipe, songs, run), "--rows", "0"],
        stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not (run / "state.pt").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "adapter.gguf").exists()
    done = train(recipe, songs, run, "--resume", "--rows", "0")
    assert done.code == 0, done.message
    assert steady(run) == steady(finished / "run")
    ours = load_file(run / "adapter" / "adapter_model.safetensors")
    for name, weight in load_file(
        finished / "run" / "adapter" / "adapter_model.safetensors"
    ).items():
        assert torch.equal(ours[name], weight)
    check_faults_of_resuming(recipe, songs, run)


def check_faults_of_resuming(recipe: Path, songs: Path, run: Path) -> None:
    """A checkpoint of another recipe, and a damaged one, are refused at once."""
    changed = recipe.with_name("changed.toml")
    changed.write_text(recipe.read_text(encoding="utf-8").replace("seed = 1", "seed = 2"))
    done = train(changed, songs, run, "--resume", "--rows", "0")
    assert done.code == 4 and "another run" in done.message
    state = run / "state.pt"
    state.write_bytes(state.read_bytes()[:-5000])
    done = train(recipe, songs, run, "--resume", "--rows", "0")
    assert done.code == 5 and "damaged" in done.message


@pytest.mark.slow
def test_a_package_is_measured(finished: Path, songs: Path) -> None:
    """`expert eval` of the package gives the figures as JSON, another expert beside them."""
    (package,) = (finished / "songs").glob("*.expert")
    done = expert(
        "eval", package, "--data", songs, "--recipe", finished / "songs" / "train.toml",
        "--rows", "2", "--shots", "0", "--other", package, "--json", timeout=300,
        OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert done.code == 0, done.message
    scores = json.loads(done.text)
    assert [s["condition"] for s in scores] == [
        "base", "expert", "base, other expert", "expert and other expert",
    ]  # fmt: skip
    assert scores[1]["values"] == scores[2]["values"]


FAULTS = [
    ("no data", 3, "no folder experts"),
    ("empty", 5, "no rows"),
    ("bad row", 5, "cannot be used"),
    ("no file", 3, "not there"),
    ("base", 3, "no model"),
    ("resume", 5, "no checkpoint"),
    ("key", 3, "key"),
    ("other", 3, "none.expert"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "code", "said"), FAULTS)
def test_faults_are_told_before_the_first_step(
    songs: Path, pocket: Path, tmp_path: Path, fault: str, code: int, said: str
) -> None:
    """Each has its own message and exit code, and leaves no adapter."""
    recipe = write_expert(tmp_path / "songs")
    data, more = tmp_path / "data", ["--rows", "0"]
    file = data / "experts/json/snips_train.jsonl.zst"
    if fault != "no data":
        write_songs(data)
    if fault == "empty":
        write_songs(data, count=0)
    if fault == "bad row":
        write_songs(data, broken=True)
    if fault == "no file":
        file.unlink()
    more += {
        "base": ["--base", "nothing"], "resume": ["--resume"], "key": ["--sign", "none"],
        "other": ["--other", "none.expert"],
    }.get(fault, [])  # fmt: skip
    done = train(recipe, data, tmp_path / "run", *more)
    assert done.code == code, done.message
    assert said in done.message and "Traceback" not in done.message
    assert not (tmp_path / "run" / "adapter.gguf").exists()


def test_help_is_quick() -> None:
    """`expert train --help` imports none of the libraries for training."""
    code = (
        "import sys\nfrom expert.cli import main\n"
        "try:\n    main(['train', '--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(any(n in sys.modules for n in ('torch', 'numpy', 'tokenizers', 'llama_cpp')))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
