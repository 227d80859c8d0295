"""The same loop for every method: preferences, a teacher's answers, a teacher's probabilities."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from expert.errors import ResourceError, UsageError, VerificationError, WrongBaseError
from expert.train.adapter import train as training
from expert.train.adapter.distill import Teacher, sequence_level
from expert.train.adapter.feed import Method
from expert.train.adapter.preference import PREFERENCE
from expert.train.adapter.publish import publish
from expert.train.adapter.run import Run, load
from expert.train.adapter.soft_targets import logit_level
from expert.train.adapter.train import SUPERVISED, Listener, Options, Trained, train_expert
from expert_converters.model import ModelJob, convert_model
from support.checkpoints import Qwen3Shape, qwen3_checkpoint
from support.songs import write_songs
from support.tiny_training import tiny_options, tiny_recipe

PREFERENCES = '\n[preferences]\nfiles = ["preferences/songs.jsonl"]\nbeta = 0.5\n'


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another random model with the same vocabulary."""
    folder = qwen3_checkpoint(tmp_path_factory.mktemp("teacher"), Qwen3Shape(seed=5))
    return convert_model(ModelJob(folder, folder / "teacher.gguf", "f32"))


def options_of(method: str, folder: Path, base: Path, teacher: Path) -> Options:
    """Return a tiny training by a method, its data and its recipe written."""
    data = write_songs(folder / "data", 60)
    pairs = [
        {"prompt": f"song {n}", "chosen": f"play {n}", "rejected": f"stop it {n}"}
        for n in range(40)
    ]
    (data / "preferences").mkdir(exist_ok=True)
    text = "".join(json.dumps(pair) + "\n" for pair in pairs)
    (data / "preferences/songs.jsonl").write_text(text, encoding="utf-8")
    tiny_recipe(folder / "songs", more=PREFERENCES)
    methods: dict[str, Method] = {
        "supervised": SUPERVISED,
        "preference": PREFERENCE,
        "answers": sequence_level(Teacher("loud", lambda messages: messages[-1].content.upper())),
        "probabilities": logit_level(teacher),
    }
    return tiny_options(folder, base, method=methods[method])


def trained(options: Options, listener: Listener | None = None) -> Trained:
    """Train."""
    done = train_expert(options, listener)
    assert done is not None
    return done


def weights(run: Path) -> dict[str, Any]:
    """Return the learnt weights of a run."""
    found: dict[str, Any] = load_file(run / "adapter" / "adapter_model.safetensors")
    return found


METHODS = ["supervised", "preference", "answers", "probabilities"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_survives_a_stop(
    method: str, tiny_path: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss falls; a run that was stopped ends with the same weights; the package says how."""
    options = options_of(method, tmp_path, tiny_path, teacher)
    done = trained(options)
    log = (options.out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["loss"]["validation"] for line in log]
    assert min(losses) < losses[0]
    assert done.record["method"] == options.method.name and done.report.form == "lora"
    assert ("validation_agreement" in done.record) == (method == "preference")
    package = publish(done, [], None, None)
    assert package.exists() and options.method.name in done.content["training"]["method"]
    stopped = replace(options, out=tmp_path / "stopped")
    stop_after(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train_expert(stopped)
    monkeypatch.undo()
    trained(replace(stopped, resume=True))
    ours, theirs = weights(stopped.out), weights(options.out)
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt training when so many steps are done."""
    advance = Run.advance

    def interrupted(run: Run, seen: Any) -> None:
        if run.step == steps:
            raise KeyboardInterrupt
        advance(run, seen)

    monkeypatch.setattr(Run, "advance", interrupted)


def test_a_checkpoint_of_another_method_is_refused(
    tiny_path: Path, teacher: Path, tmp_path: Path
) -> None:
    """Its material is another one."""
    options = options_of("supervised", tmp_path, tiny_path, teacher)
    trained(options)
    with pytest.raises(WrongBaseError, match="another run"):
        train_expert(replace(options, method=PREFERENCE, resume=True))


def test_a_checkpoint_of_another_base_is_refused(
    tiny_path: Path, teacher: Path, tmp_path: Path
) -> None:
    """Same shapes, same vocabulary, other weights."""
    options = options_of("supervised", tmp_path, tiny_path, teacher)
    trained(options)
    with pytest.raises(WrongBaseError, match="base"):
        train_expert(replace(options, base=teacher, resume=True))


DAMAGES: list[tuple[str, Any]] = [
    ("no weights", lambda state: state.pop("weights")),
    ("fewer weights", lambda state: state["weights"].pop()),
    ("other shapes", lambda state: state["weights"].__setitem__(0, torch.zeros(3, 3))),
    ("no budget", lambda state: state.update(budget={"nothing": 1.0})),
    ("no counters", lambda state: state.update(counters=(1, 2))),
    ("no sampler", lambda state: state.update(sampler={})),
    ("no optimiser", lambda state: state.update(optimiser={"state": {}, "param_groups": []})),
]


def test_a_checkpoint_that_is_damaged_within_is_told(
    tiny_path: Path, teacher: Path, tmp_path: Path
) -> None:
    """A file that can be read, but is no state of this run, is an error and no traceback."""
    options = replace(options_of("supervised", tmp_path, tiny_path, teacher), resume=True)
    trained(replace(options, resume=False))
    path = options.out / "state.pt"
    whole = path.read_bytes()
    for name, damage in DAMAGES:
        path.write_bytes(whole)
        state = torch.load(path, weights_only=True)
        damage(state)
        torch.save(state, path)
        with pytest.raises(VerificationError, match="damaged"):
            train_expert(options)
            pytest.fail(name)
    for place in range(200, len(whole), len(whole) // 12):
        path.write_bytes(whole[:place] + b"\x99" * 64 + whole[place + 64 :])
        with pytest.raises(VerificationError, match="damaged"):
            load(options.out, "")
            pytest.fail(f"64 bytes at {place} of {len(whole)}")


def test_encoded_rows_that_are_damaged_are_told(
    tiny_path: Path, teacher: Path, tmp_path: Path
) -> None:
    """The file is named; without it the rows are encoded again."""
    options = options_of("supervised", tmp_path, tiny_path, teacher)
    trained(options)
    (file,) = (options.out / "sequences").glob("*.npz")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(VerificationError, match="encoded rows"):
        train_expert(options)
    file.unlink()
    trained(options)


def test_rates_are_tried_and_the_best_is_taken(
    tiny_path: Path, teacher: Path, tmp_path: Path
) -> None:
    """Those given, else the recipe's; the record keeps what each gave; one that diverges loses."""
    options = options_of("supervised", tmp_path, tiny_path, teacher)
    tried: dict[float, float] = {}
    listener = Listener(trying=tried.__setitem__)
    done = trained(replace(options, sweep=(1e-6, 4e-3), tokens=5000), listener)
    assert list(tried) == [1e-6, 4e-3] and tried[4e-3] < tried[1e-6]
    assert done.record["rate"] == 4e-3
    assert done.record["sweep"] == [{"rate": r, "loss": loss} for r, loss in tried.items()]
    done = trained(replace(options, sweep=()))
    assert [one["rate"] for one in done.record["sweep"]] == [2e-5, 2e-3]
    with pytest.raises(VerificationError, match="diverged at every rate"):
        train_expert(replace(options, sweep=(1e30,), tokens=5000))


def test_a_sweep_needs_rates(tiny_path: Path, teacher: Path, tmp_path: Path) -> None:
    """A recipe that names none cannot be swept without giving some."""
    options = options_of("supervised", tmp_path, tiny_path, teacher)
    text = options.recipe.read_text(encoding="utf-8")
    options.recipe.write_text(text.replace("sweep = [0.01, 1.0]\n", ""), encoding="utf-8")
    with pytest.raises(UsageError, match="no learning rates"):
        train_expert(replace(options, sweep=()))


def test_the_device_is_said_and_never_silently_another(
    tiny_path: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA that is not there is an error before anything is read; the CPU is named."""
    said: list[str] = []
    options = options_of("supervised", tmp_path, tiny_path, teacher)
    done = trained(replace(options, device="auto"), Listener(placed=said.append))
    if not torch.cuda.is_available():
        assert "CPU" in said[0] and "CPU" in done.record["device"]
        with pytest.raises(ResourceError, match="no CUDA"):
            train_expert(replace(options, device="cuda"))
    monkeypatch.setattr(training, "described", lambda processes: "elsewhere")
    trained(replace(options, resume=True), Listener(placed=said.append))
    assert said[-1] == "elsewhere"
