"""The rows of a recipe's tasks: public ones by the task's name, a person's own by their file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import zstandard

from expert.errors import NotFoundError, VerificationError
from expert.train.adapter.recipe import Recipe, Task
from expert.train.evaluation.judges import MEASURES, PUBLIC
from expert.train.examples import Builder, Example, Source
from expert.train.tasks import BUILDERS
from expert.train.tasks.own import OwnRows

DAMAGED = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, EOFError,
    zstandard.ZstdError,
)  # fmt: skip
"""What reading a row that is cut, or of another shape, comes to."""
OTHERWISE = "exact"
"""The metric of a task that names none."""


class TaskData:
    """Builds the examples of tasks, and knows how answers to them are judged."""

    def __init__(
        self, folder: Path, recipe: Recipe | None = None, beside: Path | None = None
    ) -> None:
        """Find the files of *recipe*, which lies in the folder *beside*; public ones in *folder*.

        Raises:
            NotFoundError: a file that the recipe names is missing.
        """
        self.folder = folder
        self._places = dict.fromkeys(place for place in (beside, folder) if place is not None)
        tasks = {} if recipe is None else recipe.tasks
        self._own = {name: self._rows(name, task) for name, task in tasks.items() if task.file}
        self._builders: dict[str, Builder] = {**BUILDERS, **self._own}
        self._metrics = PUBLIC | {name: tasks[name].metric for name in self._own}

    def examples(self, task: str, variants: Iterable[int] = (0,)) -> Iterator[Example]:
        """Yield what a task's builder makes of the rows, with errors that name the task.

        Raises:
            NotFoundError: a file is missing, or cannot be read.
            VerificationError: a row or a file is damaged.
        """
        try:
            for variant in variants:
                yield from self._builders[task](Source(self.folder, variant))
        except FileNotFoundError as error:
            raise NotFoundError(
                f"The data of the task {task} is not there.",
                f"{error.filename} does not exist.",
                "Give the folder that holds experts/ and pretrain/ with --data.",
            ) from error
        except OSError as error:
            raise NotFoundError(
                f"The data of the task {task} cannot be read.",
                f"{error.filename}: {error.strerror}.",
                "Check what it is, and who may read it.",
            ) from error
        except DAMAGED as error:
            raise VerificationError(
                f"A row of the task {task} cannot be used.",
                f"{type(error).__name__}: {error}.",
                "Correct the data, or leave the task out of the recipe.",
            ) from error

    def metric(self, task: str) -> str:
        """Return how answers to a task are judged."""
        return self._metrics.get(task) or OTHERWISE

    def fingerprint(self, task: str) -> str:
        """Return what tells a task's rows from others: their hash, or the folder of public ones."""
        return self._own[task].fingerprint if task in self._own else str(self.folder.resolve())

    def file(self, name: str) -> Path:
        """Return a file that the recipe names: beside it, else below the data folder.

        Raises:
            NotFoundError: it is in neither.
        """
        found = next((place / name for place in self._places if (place / name).exists()), None)
        if found is None:
            tried = " nor ".join(str(place / name) for place in self._places)
            raise NotFoundError(
                f"There is no {name}, which the recipe names.",
                f"Neither {tried} exists." if len(self._places) > 1 else f"{tried} is not there.",
                "Correct its path, which begins beside the recipe or in the folder of --data.",
            )
        return found

    def _rows(self, name: str, task: Task) -> OwnRows:
        measure = MEASURES[task.metric or OTHERWISE]
        heldout = self.file(task.heldout) if task.heldout else None
        return OwnRows(name, self.file(task.file), heldout, measure.form, measure.problem)
