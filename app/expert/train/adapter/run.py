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
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from expert.errors import ResourceError, VerificationError, WrongBaseError
from expert.train.adapter.feed import Feed, Measured
from expert.train.adapter.processes import Processes
from expert.train.adapter.recipe import Recipe
from expert.train.adapter.trainee import Trainee
from expert.train.budget import Budget
from expert.train.checkpoint import NAME, load_state, save_state
from expert.train.divergence import all_finite, diverged
from expert.train.pretrain import LONGEST_STEP, TaskLosses

VALIDATION = "validation"
CLIP = 1.0
"""Largest norm of a step's gradient."""
IDLE = 0.25
"""Share of the whole run, its rate falling, that passes without a lower validation loss before it
ends."""


@dataclass(frozen=True)
class Length:
    """How long a run lasts: minutes of training, or tokens when given."""

    minutes: float
    tokens: int | None = None

    @property
    def total(self) -> float:
        """Seconds or tokens."""
        return float(self.tokens or self.minutes * 60)


@dataclass(frozen=True)
class Crew:
    """Who computes: threads of this process, and the processes that train together."""

    workers: Executor
    processes: Processes


class Run:
    """Everything that is saved together and advances together."""

    def __init__(
        self, recipe: Recipe, trainee: Trainee, feed: Feed[Any], length: Length, crew: Crew
    ) -> None:
        settings = recipe.training
        self.recipe, self.trainee, self.feed, self.length = recipe, trainee, feed, length
        self.workers, self.processes = crew.workers, crew.processes
        self.learnt = list(trainee.weights().values())
        self.optimiser = torch.optim.AdamW(
            self.learnt, settings.rate, (0.9, 0.95), weight_decay=settings.weight_decay
        )
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
        return self.budget.over or self.idle

    @property
    def idle(self) -> bool:
        """Whether the validation loss fell neither in the last few judgements nor in a quarter of
        the run since the rate began to fall: while it is high the loss tells little.
        """
        settings, progress = self.recipe.training, self.budget.progress
        if self.stale < settings.patience or not progress:
            return False
        waited = self.stale * settings.validate_seconds * progress / max(self.seconds, 1e-9)
        return min(waited, progress - self.budget.turn) >= IDLE

    def copies(self) -> list[Tensor]:
        """Return the learnt weights as they are now."""
        return [weight.detach().cpu().clone() for weight in self.learnt]

    def advance(self, seen: TaskLosses) -> None:
        """Take one step: this process computes its share of the batches.

        Raises:
            VerificationError: a loss or a gradient is no finite number; the weights are as before.
        """
        started = time.monotonic()
        count = self.recipe.training.batches_a_step
        batches = [self.feed.draws.next_batch(self.budget.progress) for _ in range(count)]
        total = torch.zeros(1, dtype=torch.float64)
        for measured, gradients in self.workers.map(self._gradient, self._share(batches)):
            total += measured.values.sum().cpu()
            seen.add(measured.values, measured.tasks)
            for weight, gradient in zip(self.learnt, gradients, strict=True):
                weight.grad = gradient if weight.grad is None else weight.grad + gradient
        if not all_finite([self.processes.add(total)]):
            raise diverged("the loss", self.step + 1)
        self._update(count)
        tokens = sum(batch.size for batch in batches)
        elapsed = self.processes.agree(min(time.monotonic() - started, LONGEST_STEP))
        self.step, self.tokens = self.step + 1, self.tokens + tokens
        self.seconds += elapsed
        self.budget.spent += tokens if self.length.tokens else elapsed

    def _update(self, batches: int) -> None:
        """Let the optimiser take a step by the mean of the gradients of so many batches."""
        for weight in self.learnt:
            own = torch.zeros_like(weight) if weight.grad is None else weight.grad
            weight.grad = self.processes.add(own) / batches
        if not all_finite([torch.nn.utils.clip_grad_norm_(self.learnt, CLIP)]):
            raise diverged("the gradient", self.step + 1)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * self.budget.rate
        self.optimiser.step()
        self.optimiser.zero_grad()

    def _share(self, batches: list[Any]) -> list[Any]:
        return batches[self.processes.rank :: self.processes.count]

    def _gradient(self, batch: Any) -> tuple[Measured, tuple[Tensor, ...]]:
        measured = self.feed.objective(self.trainee, batch)
        gradients = torch.autograd.grad(measured.values.mean(), self.learnt)
        return Measured(measured.values.detach(), measured.tasks), gradients

    def validate(self) -> float:
        """Return the mean loss of the validation batches; keep the weights if none was lower.

        Raises:
            VerificationError: it is no finite number.
        """
        values = self.losses_of(self._share(self.feed.validation))
        total = torch.tensor([float(values.sum()), float(len(values))], dtype=torch.float64)
        total = self.processes.add(total)
        loss = float(total[0] / total[1])
        if not math.isfinite(loss):
            raise diverged("the validation loss", self.step)
        if loss < self.best_loss:
            self.best_loss, self.best, self.stale = loss, self.copies(), 0
        else:
            self.stale += 1
        return loss

    def losses_of(self, batches: list[Any]) -> Tensor:
        """Return the losses of some batches as the weights are now, on the CPU."""
        return torch.cat([torch.empty(0), *self.workers.map(self._losses, batches)])

    def _losses(self, batch: Any) -> Tensor:
        with torch.no_grad():  # the flag belongs to each thread
            return self.feed.objective(self.trainee, batch).values.cpu()

    def take_best(self) -> None:
        """Go back to the weights with the lowest validation loss."""
        with torch.no_grad():
            for weight, best in zip(self.learnt, self.best, strict=True):
                weight.copy_(best)

    def state(self, key: str) -> dict[str, Any]:
        """Return everything needed to continue; *key* says what it belongs to.

        Raises:
            VerificationError: a weight is no finite number, and nobody could go on from it.
        """
        if not all_finite(self.learnt):
            raise diverged("a weight", self.step)
        return {
            "key": key,
            "rate": self.rate,
            "weights": self.copies(),
            "optimiser": self.optimiser.state_dict(),
            "sampler": self.feed.draws.state(),
            "budget": self.budget.state(),
            "counters": (self.step, self.tokens, self.stale, self.seconds, self.best_loss),
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            VerificationError: it is not the state of such a run.
        """
        try:
            weights, self.best = self._fitting(state["weights"]), self._fitting(state["best"])
            with torch.no_grad():
                for weight, saved in zip(self.learnt, weights, strict=True):
                    weight.copy_(saved)
            self.optimiser.load_state_dict(state["optimiser"])
            self.feed.draws.restore(state["sampler"])
            self.budget = Budget(**state["budget"])
            self.step, self.tokens, self.stale, self.seconds, self.best_loss = state["counters"]
            self.rate = state["rate"]
            if not math.isfinite(self.rate * self.budget.rate):
                raise ValueError("its rate is no finite number")
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise damaged(f"{NAME} is not the state of this run", error) from error

    def _fitting(self, saved: list[Tensor]) -> list[Tensor]:
        """Return saved weights that have the shapes of this run's, which copying would not ask."""
        if [each.shape for each in saved] != [weight.shape for weight in self.learnt]:
            raise ValueError("its weights have other shapes")
        return saved


def train(run: Run, folder: Path | None, key: str) -> Iterator[dict[str, Any]]:
    """Train until the run is over, saving into *folder* as it goes; yield a record now and then.

    Raises:
        ResourceError: a checkpoint cannot be written; the last one is whole.
        VerificationError: it diverged; the last checkpoint is from before.
    """
    settings = run.recipe.training
    seen = TaskLosses(run.feed.draws.names)
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
    seen.sums, seen.counts = run.processes.add(seen.sums), run.processes.add(seen.counts)
    losses = seen.means()
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
        with ZipFile(folder / NAME) as file:  # torch itself does not look at the checksums
            if file.testzip():
                raise BadZipFile("a checksum is wrong")
        state = load_state(folder)
        found = str(state["key"])
    except FileNotFoundError as error:
        raise VerificationError(
            f"{folder} has no checkpoint to go on from.", "", "Start without --resume."
        ) from error
    except Exception as error:  # torch raises a different one for each way a file can be broken
        raise damaged(str(folder / NAME), error) from error
    if found != key:
        raise WrongBaseError(
            f"The checkpoint in {folder} belongs to another run.",
            "Its recipe, its data or its base model is not the one given now.",
            "Give the same ones, or another --out.",
        )
    return state


def damaged(what: str, error: Exception) -> VerificationError:
    """Return the error of a checkpoint that cannot be gone on from."""
    return VerificationError(
        f"The checkpoint is damaged: {what}.",
        f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        "Start without --resume; the run begins anew.",
    )
