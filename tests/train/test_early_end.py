"""When a run ends before its budget: judged by the losses alone, on a clock of our own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from expert.train.adapter.processes import One
from expert.train.adapter.recipe import read_recipe
from expert.train.adapter.run import Crew, Length, Run
from expert.train.budget import Budget

RECIPE = Path(__file__).parents[2] / "experts" / "json" / "train.toml"
MINUTE = 60.0


class Told(Run):
    """A run whose validation losses are told, one a minute."""

    told = 0.0

    def losses_of(self, batches: list[Any]) -> Tensor:
        """Return the loss that was told."""
        return torch.tensor([self.told])

    def minute(self, loss: float) -> None:
        """Train for a minute and judge."""
        self.seconds += MINUTE
        self.budget.spent += MINUTE
        self.told = loss
        self.validate()


def started(minutes: float = 100.0, patience: int = 5) -> Told:
    """Return a run of one weight, judged every minute."""
    recipe = read_recipe(RECIPE)
    training = replace(recipe.training, validate_seconds=MINUTE, patience=patience)
    weight = torch.zeros(1, requires_grad=True)
    trainee: Any = SimpleNamespace(weights=lambda: {"weight": weight})
    draws = SimpleNamespace(state=dict, restore=lambda _: None)
    feed: Any = SimpleNamespace(validation=[], draws=draws)
    crew = Crew(ThreadPoolExecutor(1), One("cpu"))
    return Told(replace(recipe, training=training), trainee, feed, Length(minutes, None), crew)


def minutes_until_over(run: Told, losses: list[float]) -> int:
    """Return after how many minutes a run with these losses, the last one for ever, is over."""
    minutes = 0
    while not run.over:
        run.minute(losses[min(minutes, len(losses) - 1)])
        minutes += 1
    return minutes


@pytest.mark.parametrize(("best_at", "over"), [(1, 55), (20, 55), (30, 55), (45, 70), (60, 85)])
def test_a_loss_that_no_longer_falls_ends_the_run(best_at: int, over: int) -> None:
    """After a quarter of its length in which the rate fell from minute 30 on, and the loss not."""
    falling = [1 - minute / 1000 for minute in range(best_at)]
    assert minutes_until_over(started(), [*falling, 2.0]) == over


def test_the_loss_of_a_high_rate_ends_nothing() -> None:
    """A base that knows its task grows worse until the rate falls, and then better than before."""
    rising = [0.5, *[0.6] * 50, *(0.49 - m / 1000 for m in range(99))]
    assert minutes_until_over(started(), rising) == 100


def test_a_run_of_so_many_tokens_ends_like_one_of_minutes() -> None:
    """What counts is the share of the run, whatever it is measured in."""
    run = started()
    run.length = Length(0, 1000)
    run.budget = Budget(1000, 30, 700)
    minutes = 0
    while not run.over:
        run.minute(0.5)
        run.budget.spent += 10 - MINUTE  # ten tokens a minute
        minutes += 1
    assert minutes == 55


def test_a_falling_loss_takes_the_whole_budget() -> None:
    """And no judgement more."""
    run = started(minutes=30)
    assert minutes_until_over(run, [1 - minute / 100 for minute in range(40)]) == 30
    assert run.budget.over and not run.idle


def test_patience_is_the_least_number_of_judgements() -> None:
    """A short run is judged as often as the recipe says, whatever share of it that is."""
    assert minutes_until_over(started(minutes=10, patience=9), [1.0]) == 10
    assert minutes_until_over(started(minutes=10, patience=1), [1.0]) == 6


def test_what_was_best_is_kept() -> None:
    """The weights of the lowest loss come back, not the last ones."""
    run = started()
    for value, loss in ((1.0, 0.5), (2.0, 0.3), (3.0, 0.4)):
        with torch.no_grad():
            run.learnt[0].fill_(value)
        run.minute(loss)
    run.take_best()
    assert run.learnt[0].item() == 2.0
    assert run.best_loss == pytest.approx(0.3)


def test_a_saved_run_waits_no_longer_than_before() -> None:
    """How long the loss has not fallen is part of the checkpoint."""
    run, other = started(), started()
    for _ in range(50):
        run.minute(1.0)
    other.restore(run.state("key"))
    assert other.stale == 49
    assert minutes_until_over(other, [1.0]) == 5
