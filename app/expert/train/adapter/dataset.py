"""The sequences an expert learns from and is validated on, neither of them held out.

The held-out cut (`expert.train.split`) is for the reported figures alone; what decides when to
stop, or which learning rate to take, is a cut of the training part.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expert.errors import ResourceError, UsageError, VerificationError
from expert.train.adapter.base import Base
from expert.train.adapter.feed import Feed, answered
from expert.train.adapter.recipe import Recipe
from expert.train.adapter.task_data import TaskData
from expert.train.batches import Batch, Sampler
from expert.train.corpus import (
    Progress,
    Sequences,
    Tokens,
    encode_conversation,
    held_out,
    nothing,
)
from expert.train.examples import Example
from expert.train.recipe import Knots
from expert.train.rows import digest

Encoded = tuple[Tokens, NDArray[np.uint8]]
"""Tokens of a sequence, and one where a loss is taken on them."""


@dataclass(frozen=True)
class Dataset:
    """Training and validation sequences of every task, and the hash of them all."""

    training: dict[str, Sequences]
    validation: dict[str, Sequences]
    digest: str
    rows: dict[str, int]
    """Conversations of each task, variants and validation included."""

    def feed(self, recipe: Recipe) -> Feed[Batch]:
        """Return the batches of a new run; the loss is taken on answers alone."""
        size = recipe.training.tokens_a_batch
        judge = Sampler(self.validation, mix(recipe), 0, size)
        count = math.ceil(recipe.data.validation_tokens / size)
        return Feed(
            Sampler(self.training, mix(recipe), recipe.training.seed, size),
            [judge.next_batch(0) for _ in range(count)],
            answered,
        )


def mix(recipe: Recipe) -> dict[str, Knots]:
    """Return the share of the tokens of every task, the same all through a run."""
    return {name: ((0.0, task.share),) for name, task in recipe.tasks.items()}


Retold = tuple[Callable[[Example], Example | None], str]
"""What puts other answers into examples, or leaves them out; and what names those answers."""
AS_IT_IS: Retold = (lambda example: example, "")


def load_dataset(
    recipe: Recipe,
    base: Base,
    data: TaskData,
    run: Path,
    progress: Progress = nothing,
    retold: Retold = AS_IT_IS,
) -> Dataset:
    """Return the sequences of a recipe, encoding them first if the run has none for it.

    Raises:
        UsageError: the recipe names no tasks.
        NotFoundError: a file of the data is missing.
        VerificationError: a row is damaged, or a task has no rows.
        ResourceError: the run's folder cannot be written.
    """
    if not recipe.tasks:
        raise UsageError("The recipe names no tasks.", "", "Add one, such as [tasks.snips].")
    training, validation = {}, {}
    for done, task in enumerate(recipe.tasks):
        progress(done, len(recipe.tasks))
        answers = retold[1] + data.fingerprint(task)
        path = run / "sequences" / f"{task}-{_key(recipe, base, task, answers)}.npz"
        if not path.exists():
            _write(path, *_split(recipe, base, data, task, retold))
        training[task], validation[task] = _read(path, "training"), _read(path, "validation")
    progress(len(recipe.tasks), len(recipe.tasks))
    parts = chain(training.values(), validation.values())
    rows = {task: len(training[task]) + len(validation[task]) for task in recipe.tasks}
    return Dataset(training, validation, hash_of(chain.from_iterable(map(arrays_of, parts))), rows)


def arrays_of(part: Sequences) -> tuple[NDArray[Any], ...]:
    """Return everything in some sequences."""
    return part.tokens, part.mask, part.offsets


def hash_of(arrays: Iterable[NDArray[Any]]) -> str:
    """Return the SHA-256 of some arrays' bytes, in hex."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def is_validation(example: Example, one_in: int) -> bool:
    """Tell whether a training example is kept for validation: by group, or by its own text where
    a group is a whole file.
    """
    whole_file = example.group.endswith(":train")
    key = example.turns[0].prompt if whole_file else example.group
    return int(digest(f"validation {key}"), 16) % one_in == 0


def _key(recipe: Recipe, base: Base, task: str, answers: str) -> str:
    """Return what the stored sequences of a task depend on, beside the rows."""
    settings = (recipe.data, recipe.tasks[task].variants, recipe.adapter.activation)
    return digest(repr((settings, base.identity.tokenizer)) + answers)


def _split(
    recipe: Recipe, base: Base, data: TaskData, task: str, retold: Retold
) -> tuple[list[Encoded], list[Encoded]]:
    late = recipe.adapter.activation == "answer"
    training: list[Encoded] = []
    validation: list[Encoded] = []
    drawn = range(recipe.tasks[task].variants)
    kept = (e for e in data.examples(task, drawn) if not held_out(e))
    told = map(retold[0], islice(kept, recipe.data.limit or None))
    for example in filter(None, told):
        tokens, mask = encode_conversation(base.tokenizer, example)
        if late:
            mask = _last_answer(mask)
        if len(tokens) <= recipe.data.longest and any(mask):
            part = validation if is_validation(example, recipe.data.validation) else training
            part.append((np.array(tokens, np.uint32), np.array(mask, np.uint8)))
    if not training or not validation:
        raise VerificationError(
            f"The task {task} has no rows to train on.",
            f"{len(training)} were left for training and {len(validation)} for validation, of at "
            f"most {recipe.data.longest} tokens and not held out.",
            "Give more data, or allow longer conversations in the recipe.",
        )
    return training, validation


def _last_answer(mask: list[int]) -> list[int]:
    """Return the mask of the last answer alone: an activated LoRA acts on no earlier one."""
    end = max((i for i, learnt in enumerate(mask) if learnt), default=-1)
    start = end
    while start > 0 and mask[start - 1]:
        start -= 1
    return [int(start <= i <= end) for i in range(len(mask))]


def _write(path: Path, training: list[Encoded], validation: list[Encoded]) -> None:
    arrays = {}
    for name, part in (("training", training), ("validation", validation)):
        arrays[f"{name}_tokens"] = np.concatenate([t for t, _ in part])
        arrays[f"{name}_mask"] = np.concatenate([m for _, m in part])
        arrays[f"{name}_offsets"] = np.cumsum([0, *(len(t) for t, _ in part)])
    partial = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's hint takes its flag too
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ResourceError(
            f"The run cannot be written to {path.parent}.",
            f"{error.strerror or error}.",
            "Free some disk space, or choose another folder with --out.",
        ) from error


def _read(path: Path, part: str) -> Sequences:
    try:
        with path.open("rb") as file, np.load(file) as stored:
            return Sequences(
                stored[f"{part}_tokens"], stored[f"{part}_mask"], stored[f"{part}_offsets"]
            )
    except Exception as error:  # numpy and zipfile raise many kinds
        raise VerificationError(
            f"The encoded rows in {path} are damaged.",
            f"{type(error).__name__}: {error}.",
            "Remove the file: the rows are encoded again.",
        ) from error


def identity_of(recipe: Recipe) -> str:
    """Return a hash of everything in a recipe that changes what is trained."""
    text = json.dumps(repr((recipe.name, recipe.data, recipe.tasks, recipe.adapter)))
    how = recipe.training
    settings = repr(
        (how.seed, how.rate, how.tokens_a_batch, how.batches_a_step)
        + (how.warmup, how.decay, how.weight_decay)
    )
    if recipe.preferences is not None:
        settings += repr(recipe.preferences)
    return hashlib.sha256((text + settings).encode()).hexdigest()
