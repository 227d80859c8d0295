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
from expert.train.adapter.run import IDLE, Crew, Length, Run

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


@pytest.mark.parametrize("best_at", [1, 4, 12, 30, 60])
def test_a_loss_that_no_longer_falls_ends_the_run(best_at: int) -> None:
    """After five judgements, and a quarter of the time, that brought none lower."""
    falling = [1 - minute / 100 for minute in range(best_at)]
    found = minutes_until_over(started(), [*falling, 2.0])
    wanted = next(m for m in range(best_at + 5, 101) if m - best_at >= IDLE * m)
    assert found == wanted


def test_a_loss_that_wavers_while_the_rate_is_high_ends_nothing() -> None:
    """Eight worse judgements at minute 22 of 100, and then it falls again."""
    wavering = [*(1 - m / 100 for m in range(22)), *[0.9] * 7, *(0.7 - m / 1000 for m in range(99))]
    assert minutes_until_over(started(), wavering) == 100


def test_a_falling_loss_takes_the_whole_budget() -> None:
    """And no judgement more."""
    run = started(minutes=30)
    assert minutes_until_over(run, [1 - minute / 100 for minute in range(40)]) == 30
    assert run.budget.over and not run.idle


def test_patience_is_the_least_number_of_judgements() -> None:
    """A short run is judged as often as the recipe says, whatever share of it that is."""
    assert minutes_until_over(started(patience=9), [1.0]) == 10
    assert minutes_until_over(started(patience=1), [1.0]) == 2


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
    for _ in range(4):
        run.minute(1.0)
    other.restore(run.state("key"))
    assert other.stale == 3
    assert minutes_until_over(other, [1.0]) == 2
