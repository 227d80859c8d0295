"""What a run learns from, whatever the method: batches in order, and the loss that is lowered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from expert.train.adapter.base import Base
from expert.train.adapter.recipe import Recipe
from expert.train.adapter.task_data import TaskData
from expert.train.adapter.trainee import Trainee, token_losses
from expert.train.batches import Batch
from expert.train.corpus import Progress


class Sized(Protocol):
    """Any batch."""

    @property
    def size(self) -> int:
        """Real tokens in it."""


B = TypeVar("B", bound=Sized)
Made = TypeVar("Made", bound=Sized, covariant=True)


class Draws(Protocol[Made]):
    """Draws batches; a saved one goes on exactly where it was."""

    names: list[str]
    """The tasks that batches are drawn from."""

    def next_batch(self, progress: float) -> Made:
        """Draw the next batch; *progress* is the share of the run that is over."""

    def state(self) -> dict[str, Any]:
        """Return everything needed to continue."""

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""


@dataclass(frozen=True)
class Measured:
    """The losses of a batch, float32 (n,), and the task each belongs to (n,)."""

    values: Tensor
    tasks: Tensor


@dataclass(frozen=True)
class Feed(Generic[B]):
    """A run's material at its beginning."""

    draws: Draws[B]
    validation: list[B]
    objective: Callable[[Trainee, B], Measured]
    summary: Callable[[Tensor], dict[str, float]] = lambda losses: {}
    """What a record says of the validation losses, besides their mean."""


class Material(Protocol):
    """Rows that are ready to be learnt from."""

    @property
    def digest(self) -> str:
        """A hash of everything in them."""

    @property
    def rows(self) -> dict[str, int]:
        """How many there are of each task, those of the validation included."""

    def feed(self, recipe: Recipe) -> Feed[Any]:
        """Return the batches and the loss of a new run."""


@dataclass(frozen=True)
class Method:
    """One way to train an adapter."""

    name: str
    """As manifests call it."""
    load: Callable[[Recipe, Base, TaskData, Path, Progress], Material]
    """Reads the rows of a recipe: of which base, from which data, into which run's folder."""


def answered(trainee: Trainee, batch: Batch) -> Measured:
    """Return the cross-entropy of the tokens of answers: supervised fine-tuning."""
    return Measured(token_losses(trainee, batch), batch.tasks)
