"""Losses, gradients and weights that are no numbers are told at their step; what is good stays."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from expert.cli import main
from expert.errors import VerificationError
from expert.train import pretrain as base_training
from expert.train.adapter import train as training
from expert.train.adapter.base import Base
from expert.train.adapter.dataset import load_dataset
from expert.train.adapter.feed import Feed, Material, Measured, Method
from expert.train.adapter.processes import One
from expert.train.adapter.recipe import Recipe
from expert.train.adapter.run import Run, load
from expert.train.adapter.task_data import TaskData
from expert.train.adapter.train import Options, Trained, train_expert
from expert.train.adapter.trainee import Trainee
from expert.train.corpus import Progress
from expert.train.divergence import all_finite, diverged
from expert.train.recipe import read_recipe
from support.tiny_training import tiny_options

Fault = Callable[[Tensor], Tensor]
FAULTS: dict[str, tuple[Fault, str]] = {
    "nan": (lambda values: values * math.nan, "the loss"),
    "infinite": (lambda values: values / 0, "the loss"),
    "one of many": (lambda values: torch.cat([values[:-1], values[-1:] * math.inf]), "the loss"),
    "gradient": (lambda values: values + (values * 0).sqrt(), "the gradient"),
}
AT = 4
"""The step with the fault; each takes two batches."""


@dataclass(frozen=True)
class Faulty:
    """Rows whose loss is spoilt in one batch, in training or in validation."""

    material: Material
    fault: Fault
    training: bool

    @property
    def digest(self) -> str:
        """That of the rows: a run with a fault is the same run."""
        return self.material.digest

    @property
    def rows(self) -> dict[str, int]:
        """How many there are."""
        return self.material.rows

    def feed(self, recipe: Recipe) -> Feed[Any]:
        """Return the batches with an objective that is wrong once."""
        feed, calls = self.material.feed(recipe), count()

        def objective(trainee: Trainee, batch: Any) -> Measured:
            measured = feed.objective(trainee, batch)
            if torch.is_grad_enabled() is self.training and next(calls) == 2 * AT - 1:
                return replace(measured, values=self.fault(measured.values))
            return measured

        return replace(feed, objective=objective)


def faulty(fault: Fault, *, training: bool = True) -> Method:
    """Return supervised training with a fault."""

    def read(recipe: Recipe, base: Base, data: TaskData, run: Path, progress: Progress) -> Faulty:
        return Faulty(load_dataset(recipe, base, data, run, progress), fault, training)

    return Method("supervised fine-tuning", read)


def trained(options: Options) -> Trained:
    """Train to the end."""
    done = train_expert(options)
    assert done is not None
    return done


def refused(options: Options) -> str:
    """Train, and return what is told of the divergence."""
    with pytest.raises(VerificationError, match="diverged") as caught:
        train_expert(options)
    return str(caught.value)


def weights(run: Path) -> dict[str, Tensor]:
    """Return the learnt weights of a run."""
    found: dict[str, Tensor] = load_file(run / "adapter" / "adapter_model.safetensors")
    return found


@pytest.fixture(scope="module")
def whole(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a run without a fault."""
    return trained(tiny_options(tmp_path_factory.mktemp("whole"), tiny_path, tokens=4000))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_at_its_step_and_the_checkpoint_stays(
    fault: str, whole: Trained, tiny_path: Path, tmp_path: Path
) -> None:
    """The state before that step is kept, and a run without the fault goes on from it as if
    nothing had been.
    """
    spoil, what = FAULTS[fault]
    options = tiny_options(tmp_path, tiny_path, tokens=4000)
    said = refused(replace(options, method=faulty(spoil)))
    assert f"{what} is no finite number" in said and f"step {AT};" in said and "rate" in said
    state = torch.load(options.out / "state.pt", weights_only=True)
    assert state["counters"][0] == AT - 1 and all_finite([*state["weights"], *state["best"]])
    assert not (options.out / "adapter.gguf").exists()
    records = (options.out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in records] == list(range(1, AT))
    trained(replace(options, resume=True))
    assert whole.record["steps"] > AT
    ours = weights(options.out)
    assert all(torch.equal(ours[name], weight) for name, weight in weights(whole.run).items())


def test_a_validation_that_is_no_number_is_told(tiny_path: Path, tmp_path: Path) -> None:
    """It would be taken for a loss that does not fall."""
    options = tiny_options(tmp_path, tiny_path, tokens=4000)
    said = refused(replace(options, method=faulty(FAULTS["nan"][0], training=False)))
    assert "the validation loss is no finite number" in said
    assert not (options.out / "adapter.gguf").exists()


def test_weights_that_are_no_numbers_are_not_saved(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step may spoil them with a loss that was fine; the checkpoint before it stays."""
    update = Run._update

    def spoiling(run: Run, batches: int) -> None:
        update(run, batches)
        if run.step == AT - 1:
            with torch.no_grad():
                run.learnt[0][0, 0] = math.inf

    monkeypatch.setattr(Run, "_update", spoiling)
    monkeypatch.setattr(Run, "validate", lambda run: 1.0)
    options = tiny_options(tmp_path, tiny_path, tokens=4000)
    assert "a weight is no finite number" in refused(options)
    state = torch.load(options.out / "state.pt", weights_only=True)
    assert state["counters"][0] == AT - 1 and all_finite(state["weights"])


class Beside(One):
    """One of two processes; the other one's loss is no number from some step on."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.sums = 0

    def add(self, tensor: Tensor) -> Tensor:
        """Return the sum with what the other process has."""
        self.sums += tensor.dtype == torch.float64 and tensor.shape == (1,)
        return tensor + (math.nan if self.sums == AT and tensor.shape == (1,) else 0)


def test_the_fault_of_another_process_stops_this_one(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All end at the same step, so that none waits for the others."""
    monkeypatch.setattr(training, "join", Beside)
    said = refused(tiny_options(tmp_path, tiny_path, tokens=4000))
    assert "the loss is no finite number" in said and f"step {AT};" in said


def test_faults_between_two_log_lines_are_told(tiny_path: Path, tmp_path: Path) -> None:
    """However seldom a run logs and validates, no step is taken by a loss that is no number."""
    options = tiny_options(tmp_path, tiny_path, tokens=4000)
    text = options.recipe.read_text(encoding="utf-8")
    for old, new in (("log_steps = 1", "log_steps = 99"), ("_seconds = 0", "_seconds = 999")):
        assert old in text
        text = text.replace(old, new)
    options.recipe.write_text(text, encoding="utf-8")
    assert f"step {AT};" in refused(replace(options, method=faulty(FAULTS["nan"][0])))
    assert not (options.out / "state.pt").exists()


def test_too_high_a_rate_ends_the_command(
    tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit code of a check that failed, and what to do."""
    options = tiny_options(tmp_path, tiny_path)
    text = options.recipe.read_text(encoding="utf-8").replace("rate = 2e-3", "rate = 1e30", 1)
    options.recipe.write_text(text, encoding="utf-8")
    command = ["train", options.recipe, "--data", options.data, "--base", tiny_path, "--out"]
    more = [tmp_path / "run", "--tokens", "4000", "--device", "cpu", "--rows", "0"]
    assert main([*map(str, (*command, *more))]) == 5
    shown = capsys.readouterr().err
    assert "diverged" in shown and "--sweep" in shown and "Traceback" not in shown


def test_a_checkpoint_of_what_diverged_is_never_loaded(tiny_path: Path, tmp_path: Path) -> None:
    """What `load` returns has numbers alone."""
    options = tiny_options(tmp_path, tiny_path, tokens=4000)
    refused(replace(options, method=faulty(FAULTS["infinite"][0])))
    key = str(torch.load(options.out / "state.pt", weights_only=True)["key"])
    assert all_finite(load(options.out, key)["weights"])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_base_in_training_is_guarded_as_well(
    value: float, tiny_recipe: Path, tiny_data: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The pretraining of the embedded base stops at the step, with its last checkpoint."""
    calls, losses = count(), base_training.losses

    def spoilt(*given: Any) -> Tensor:
        values = losses(*given)
        return values * value if next(calls) == 2 * AT - 1 else values

    monkeypatch.setattr(base_training, "losses", spoilt)
    options = base_training.Options(
        tiny_recipe, tiny_data, tmp_path, tokens=10**6, device="cpu", rows=0
    )
    with pytest.raises(VerificationError, match="diverged") as caught:
        base_training.pretrain(options)
    assert f"step {AT};" in str(caught.value) and not (tmp_path / "checkpoint").exists()
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["counters"][0] == AT - 1


def test_a_base_with_a_spoilt_weight_is_not_saved(
    tiny_recipe: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Nobody could go on from it."""
    options = base_training.Options(tiny_recipe, tiny_data, tmp_path, device="cpu")
    run = base_training.Run(read_recipe(tiny_recipe), options)
    run.state()
    with torch.no_grad():
        run.model.model.norm.weight[0] = math.nan
    with pytest.raises(VerificationError, match="a weight"):
        run.state()


def test_finite_is_every_value_of_every_tensor() -> None:
    """One is enough; large ones are no fault."""
    good = torch.tensor([1e30, -1e30, 0.0])
    assert all_finite([]) and all_finite([good, good.bfloat16()])
    for bad in (math.nan, math.inf, -math.inf):
        assert not all_finite([good, torch.tensor([0.0, bad])])
    assert "step 7;" in diverged("x", 7).why
