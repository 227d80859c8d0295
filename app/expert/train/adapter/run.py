"""One training run of an adapter: steps, validation, early stop, and a state that survives a kill.

Everything random follows from the seed and from counters in the saved state, so a run that was
killed goes on as if nothing had happened.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from expert.errors import ResourceError, VerificationError, WrongBaseError
from expert.train.adapter.dataset import Dataset
from expert.train.adapter.recipe import Recipe
from expert.train.adapter.trainee import Trainee
from expert.train.batches import Batch, Sampler
from expert.train.budget import Budget
from expert.train.checkpoint import NAME, load_state, save_state
from expert.train.pretrain import LONGEST_STEP, TaskLosses
from expert.train.recipe import Knots

VALIDATION = "validation"
CLIP = 1.0
"""Largest norm of a step's gradient."""


@dataclass(frozen=True)
class Length:
    """How long a run lasts: minutes of training, or tokens when given."""

    minutes: float
    tokens: int | None = None

    @property
    def total(self) -> float:
        """Seconds or tokens."""
        return float(self.tokens or self.minutes * 60)


class Run:
    """Everything that is saved together and advances together."""

    def __init__(
        self, recipe: Recipe, trainee: Trainee, dataset: Dataset, length: Length, workers: Executor
    ) -> None:
        settings = recipe.training
        self.recipe, self.trainee, self.length, self.workers = recipe, trainee, length, workers
        self.learnt = list(trainee.weights().values())
        self.optimiser = torch.optim.AdamW(
            self.learnt, settings.rate, (0.9, 0.95), weight_decay=settings.weight_decay
        )
        mix: dict[str, Knots] = {name: ((0.0, task.share),) for name, task in recipe.tasks.items()}
        size = settings.tokens_a_batch
        self.sampler = Sampler(dataset.training, mix, settings.seed, size)
        judge = Sampler(dataset.validation, mix, 0, size)
        count = math.ceil(recipe.data.validation_tokens / size)
        self.validation = [judge.next_batch(0) for _ in range(count)]
        total = length.total
        self.budget = Budget(total, settings.warmup * total, settings.decay * total)
        self.step = self.tokens = self.stale = 0
        self.seconds = 0.0
        self.rate = settings.rate
        self.best_loss = math.inf
        self.best = self.copies()

    @property
    def over(self) -> bool:
        """Whether the budget is spent, or more training no longer helps."""
        return self.budget.over or self.stale >= self.recipe.training.patience

    def copies(self) -> list[Tensor]:
        """Return the learnt weights as they are now."""
        return [weight.detach().cpu().clone() for weight in self.learnt]

    def advance(self, seen: TaskLosses) -> None:
        """Take one step."""
        started = time.monotonic()
        count = self.recipe.training.batches_a_step
        batches = [self.sampler.next_batch(self.budget.progress) for _ in range(count)]
        results = list(self.workers.map(self._gradient, batches))
        for batch, (values, _) in zip(batches, results, strict=True):
            seen.add(values, batch.tasks)
        for weight, parts in zip(
            self.learnt, zip(*(grads for _, grads in results), strict=True), strict=True
        ):
            weight.grad = torch.stack(parts).mean(0)
        torch.nn.utils.clip_grad_norm_(self.learnt, CLIP)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * self.budget.rate
        self.optimiser.step()
        tokens = sum(batch.size for batch in batches)
        elapsed = min(time.monotonic() - started, LONGEST_STEP)
        self.step, self.tokens = self.step + 1, self.tokens + tokens
        self.seconds += elapsed
        self.budget.spent += tokens if self.length.tokens else elapsed

    def _gradient(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        values = self.trainee.losses(batch)
        return values.detach(), torch.autograd.grad(values.mean(), self.learnt)

    def validate(self) -> float:
        """Return the mean loss of the validation batches; keep the weights if none was lower."""
        with torch.no_grad():
            values = torch.cat(
                list(self.workers.map(partial(_losses, self.trainee), self.validation))
            )
        loss = float(values.mean())
        if loss < self.best_loss:
            self.best_loss, self.best, self.stale = loss, self.copies(), 0
        else:
            self.stale += 1
        return loss

    def take_best(self) -> None:
        """Go back to the weights with the lowest validation loss."""
        with torch.no_grad():
            for weight, best in zip(self.learnt, self.best, strict=True):
                weight.copy_(best)

    def state(self, key: str) -> dict[str, Any]:
        """Return everything needed to continue; *key* says what it belongs to."""
        return {
            "key": key,
            "rate": self.rate,
            "weights": self.copies(),
            "optimiser": self.optimiser.state_dict(),
            "sampler": self.sampler.state(),
            "budget": self.budget.state(),
            "counters": (self.step, self.tokens, self.stale, self.seconds, self.best_loss),
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        with torch.no_grad():
            for weight, saved in zip(self.learnt, state["weights"], strict=True):
                weight.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
        self.sampler.restore(state["sampler"])
        self.budget = Budget(**state["budget"])
        self.step, self.tokens, self.stale, self.seconds, self.best_loss = state["counters"]
        self.best, self.rate = state["best"], state["rate"]


def _losses(trainee: Trainee, batch: Batch) -> Tensor:
    with torch.no_grad():  # the flag belongs to each thread
        return trainee.losses(batch).cpu()


def train(run: Run, folder: Path | None, key: str) -> Iterator[dict[str, Any]]:
    """Train until the run is over, saving into *folder* as it goes; yield a record now and then.

    Raises:
        ResourceError: a checkpoint cannot be written; the last one is whole.
        VerificationError: the loss is no number any more.
    """
    settings = run.recipe.training
    seen = TaskLosses(run.sampler.names)
    logged, saved, judged = (run.seconds, run.tokens), run.seconds, run.seconds
    while not run.over:
        run.advance(seen)
        validated = None
        if run.seconds - judged >= settings.validate_seconds or run.budget.over:
            validated, judged = run.validate(), run.seconds
        if validated is not None or run.step % settings.log_steps == 0:
            yield _record(run, seen, logged, validated)
            logged = (run.seconds, run.tokens)
            seen.clear()
        if folder and (run.seconds - saved >= settings.save_seconds or run.over):
            save(folder, run.state(key))
            saved = run.seconds


def _record(
    run: Run, seen: TaskLosses, logged: tuple[float, int], validated: float | None
) -> dict[str, Any]:
    losses = seen.means()
    if not all(map(math.isfinite, losses.values())):
        raise VerificationError(
            "The training diverged: the loss is no number any more.",
            f"It happened at step {run.step}.",
            "Lower the rate in the recipe, or let --sweep find one.",
        )
    record = {
        "step": run.step,
        "tokens": run.tokens,
        "seconds": round(run.seconds, 1),
        "progress": round(run.budget.progress, 4),
        "rate": round(run.budget.rate, 4),
        "tokens_a_second": round((run.tokens - logged[1]) / max(run.seconds - logged[0], 1e-9)),
        "loss": losses,
    }
    if validated is not None:
        record["loss"] = losses | {VALIDATION: round(validated, 4)}
    return record


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint beside the last one, then replace it.

    Raises:
        ResourceError: there is no room.
    """
    try:
        save_state(folder, state)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as either
        (folder / f"{NAME}.part").unlink(missing_ok=True)
        raise ResourceError(
            f"The checkpoint cannot be written to {folder}.",
            f"{error}.".replace("..", "."),
            "Free some disk space and go on with --resume: the checkpoint before is whole.",
        ) from error


def load(folder: Path, key: str) -> dict[str, Any]:
    """Read the checkpoint of a run that *key* describes.

    Raises:
        VerificationError: there is none, or it is damaged.
        WrongBaseError: it belongs to another recipe, data set or base.
    """
    try:
        state = load_state(folder)
        found = str(state["key"])
    except FileNotFoundError as error:
        raise VerificationError(
            f"{folder} has no checkpoint to go on from.", "", "Start without --resume."
        ) from error
    except Exception as error:  # torch raises a different one for each way a file can be broken
        raise VerificationError(
            f"The checkpoint in {folder} is damaged.",
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            f"Remove {folder / NAME} and start without --resume.",
        ) from error
    if found != key:
        raise WrongBaseError(
            f"The checkpoint in {folder} belongs to another run.",
            "Its recipe, its data or its base model is not the one given now.",
            "Give the same ones, or another --out.",
        )
    return state
