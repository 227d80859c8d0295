"""Learning from a teacher's probabilities, which say more of each token than the token itself.

Of each position the teacher's likeliest tokens are kept; all others together are one outcome more,
so that the divergence is exact for what is kept. Sources: Hinton et al. 2015, arXiv:1503.02531;
Kim and Rush 2016 (word level).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from expert.engine.context import Context, Slice
from expert.engine.logprobs import view_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.errors import ResourceError, VerificationError, WrongBaseError
from expert.train.adapter.base import Base
from expert.train.adapter.dataset import Dataset, hash_of, load_dataset, mix
from expert.train.adapter.distill import fingerprint
from expert.train.adapter.feed import Feed, Measured, Method
from expert.train.adapter.recipe import Recipe
from expert.train.adapter.task_data import TaskData
from expert.train.adapter.trainee import Trainee
from expert.train.batches import Batch, Sampler, assemble
from expert.train.corpus import Progress, Sequences
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import inspect
from expert_converters.identity import base_identity

CHUNK = 128
"""Sequences whose probabilities are kept in one file."""
LEAST = 1e-6
"""A rest of probability below which it counts as none."""


@dataclass(frozen=True)
class Likeliest:
    """Tokens (M, K) and their natural-log probabilities (M, K), the likeliest first."""

    tokens: NDArray[np.uint32]
    logprobs: NDArray[np.float32]


@dataclass(frozen=True)
class Taught:
    """Sequences with the teacher's probabilities of each learnt token, in order."""

    sequences: Sequences
    likeliest: Likeliest
    starts: NDArray[np.int64]
    """Where each sequence's rows begin."""

    def rows(self, index: int) -> slice:
        """Return which rows belong to a sequence."""
        return slice(int(self.starts[index]), int(self.starts[index + 1]))


@dataclass(frozen=True)
class TaughtBatch:
    """A batch with the teacher's likeliest tokens (L, K) and their log-probabilities (L, K)."""

    sequences: Batch
    tokens: Tensor
    logprobs: Tensor

    @property
    def size(self) -> int:
        """Real tokens in it."""
        return self.sequences.size


class TaughtSampler:
    """Draws sequences as a `Sampler` does, with what the teacher says of them."""

    def __init__(self, taught: dict[str, Taught], recipe: Recipe, seed: int) -> None:
        plain = {name: part.sequences for name, part in taught.items()}
        self.taught = taught
        self.sampler = Sampler(plain, mix(recipe), seed, recipe.training.tokens_a_batch)
        self.names = self.sampler.names

    def next_batch(self, progress: float) -> TaughtBatch:
        """Draw sequences of about as many tokens as wanted, longest first."""
        chosen = self.sampler.choose(progress)
        chosen.sort(key=lambda pair: -self.taught[pair[0]].sequences.length(pair[1]))
        rows = [(*self.taught[name].sequences.get(index), name) for name, index in chosen]
        parts = [(self.taught[name].likeliest, self.taught[name].rows(i)) for name, i in chosen]
        tokens = np.concatenate([likeliest.tokens[where] for likeliest, where in parts])
        logprobs = np.concatenate([likeliest.logprobs[where] for likeliest, where in parts])
        return TaughtBatch(
            assemble(rows, self.names),
            torch.from_numpy(tokens.astype(np.int64)),
            torch.from_numpy(logprobs),
        )

    def state(self) -> dict[str, Any]:
        """Return everything needed to continue."""
        return self.sampler.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.sampler.restore(state)


def divergence(logits: Tensor, tokens: Tensor, logprobs: Tensor) -> Tensor:
    """Return KL(teacher || student), (L,), over K tokens and the rest as one outcome.

    *logits* (L, V) are the student's; *tokens* and *logprobs* (L, K) the teacher's.
    """
    total = logits.logsumexp(-1)
    student = logits.gather(1, tokens) - total[:, None]
    shown = (logprobs.exp() * (logprobs - student)).sum(-1)
    rest = 1 - logprobs.exp().sum(-1)
    other = logits.scatter(1, tokens, -torch.inf).logsumexp(-1) - total
    hidden = torch.where(rest > LEAST, other, 0.0)
    safe = rest.clamp_min(LEAST)
    return shown + torch.where(rest > LEAST, safe * (safe.log() - hidden), 0.0)


def imitation(trainee: Trainee, batch: TaughtBatch, weight: float) -> Measured:
    """Return the loss of every learnt token: *weight* of the divergence from the teacher, the rest
    of the token's own cross-entropy.
    """
    logits = trainee.logits(batch.sequences)
    device = logits.device
    values = divergence(logits, batch.tokens.to(device), batch.logprobs.to(device))
    own = F.cross_entropy(logits, batch.sequences.targets.to(device), reduction="none")
    return Measured(weight * values + (1 - weight) * own, batch.sequences.tasks)


@dataclass(frozen=True)
class TaughtSet:
    """Training and validation sequences of every task, with the teacher's probabilities."""

    training: dict[str, Taught]
    validation: dict[str, Taught]
    digest: str
    rows: dict[str, int]

    def feed(self, recipe: Recipe) -> Feed[TaughtBatch]:
        """Return the batches of a new run, and the loss that imitates the teacher."""
        judge = TaughtSampler(self.validation, recipe, 0)
        count = math.ceil(recipe.data.validation_tokens / recipe.training.tokens_a_batch)
        return Feed(
            TaughtSampler(self.training, recipe, recipe.training.seed),
            [judge.next_batch(0) for _ in range(count)],
            partial(imitation, weight=recipe.distillation.weight),
        )


def check_vocabulary(base: Base, teacher: Path) -> str:
    """Return what names the teacher's weights, if it has the base's vocabulary.

    Raises:
        VerificationError: the teacher's file is damaged.
        WrongBaseError: its vocabulary is another one.
    """
    try:
        identity = base_identity(inspect(teacher))
    except ConversionError as error:
        raise VerificationError(
            f"The teacher {teacher} cannot be used: {error.what}", error.why, error.fix
        ) from error
    if identity.tokenizer != base.identity.tokenizer:
        raise WrongBaseError(
            f"The teacher {teacher.name} has another vocabulary than {base.name}.",
            "Its probabilities are of other tokens.",
            "Learn from its answers instead: --level sequence.",
        )
    return f"{identity.short} {teacher.stat().st_size}"


def load_taught(
    recipe: Recipe, base: Base, data: TaskData, run: Path, progress: Progress, teacher: Path
) -> TaughtSet:
    """Return the sequences of a recipe with the teacher's probabilities, computing them first.

    Raises:
        ExpertError: as for `load_dataset` and `check_vocabulary`.
    """
    name = check_vocabulary(base, teacher)
    dataset = load_dataset(recipe, base, data, run, progress)
    folder = run / "teacher" / fingerprint((name, dataset.digest, recipe.distillation.top))
    training, validation = _taught(dataset, recipe, teacher, folder, progress)
    parts = [*training.values(), *validation.values()]
    arrays = [array for part in parts for array in (part.likeliest.tokens, part.likeliest.logprobs)]
    digest = hash_of([*arrays, np.array([recipe.distillation.weight])])
    return TaughtSet(training, validation, f"{dataset.digest} {digest}", dataset.rows)


def _taught(
    dataset: Dataset, recipe: Recipe, teacher: Path, folder: Path, progress: Progress
) -> tuple[dict[str, Taught], dict[str, Taught]]:
    """Return training and validation parts, computing what *folder* does not hold yet."""
    longest = recipe.data.longest
    options = ContextOptions(size=longest, batch=longest, outputs=longest, kv_type="f16")
    kinds = {"training": dataset.training, "validation": dataset.validation}
    total = sum(len(part) for parts in kinds.values() for part in parts.values())
    done = 0
    made: list[dict[str, Taught]] = []
    with Model(teacher) as model, Context(model, options) as context:
        for kind, parts in kinds.items():
            made.append({})
            for name, part in parts.items():
                files = []
                for first in range(0, len(part), CHUNK):
                    indexes = range(first, min(first + CHUNK, len(part)))
                    file = folder / f"{kind}-{name}-{first}.npz"
                    if not file.exists():
                        _keep(file, _ask(context, part, indexes, recipe.distillation.top))
                    files.append(file)
                    done += len(indexes)
                    progress(done, total)
                made[-1][name] = Taught(part, _read(files), _starts(part))
    return made[0], made[1]


def learnt_positions(mask: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the positions of a sequence whose next token is learnt."""
    return np.flatnonzero(mask[1:])


def _starts(part: Sequences) -> NDArray[np.int64]:
    counts = [len(learnt_positions(part.get(index)[1])) for index in range(len(part))]
    return np.cumsum([0, *counts])


def _ask(context: Context, part: Sequences, indexes: range, top: int) -> Likeliest:
    """Return what the teacher says of every learnt token of some sequences."""
    found = [row for index in indexes for row in _of_sequence(context, *part.get(index), top)]
    tokens, logprobs = zip(*found, strict=True)
    return Likeliest(np.stack(tokens), np.stack(logprobs))


def _of_sequence(
    context: Context, tokens: NDArray[Any], mask: NDArray[np.uint8], top: int
) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.float32]]]:
    where = learnt_positions(mask)
    context.forget(0, 0)
    (rows,) = context.step([Slice(0, 0, tokens.tolist(), len(tokens) - int(where[0]))])
    for position in where:
        logits = view_logits(context, rows[int(position - where[0])]).astype(np.float64)
        logprobs = logits - np.logaddexp.reduce(logits)
        best = np.argpartition(-logprobs, min(top, len(logprobs)) - 1)[:top]
        best = best[np.argsort(-logprobs[best], kind="stable")]
        yield best.astype(np.uint32), logprobs[best].astype(np.float32)


def _keep(file: Path, found: Likeliest) -> None:
    """Write a chunk whole or not at all."""
    partial_file = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with partial_file.open("wb") as stream:
            np.savez(stream, tokens=found.tokens, logprobs=found.logprobs)
        os.replace(partial_file, file)
    except OSError as error:
        partial_file.unlink(missing_ok=True)
        raise ResourceError(
            f"The teacher's probabilities cannot be kept in {file.parent}.",
            f"{error.strerror or error}.",
            "Free some disk space and run the same command again to go on.",
        ) from error


def _read(files: list[Path]) -> Likeliest:
    """Read chunks back.

    Raises:
        VerificationError: one is damaged.
    """
    tokens, logprobs = [], []
    for file in files:
        try:
            with file.open("rb") as stream, np.load(stream) as stored:
                tokens.append(stored["tokens"])
                logprobs.append(stored["logprobs"])
        except Exception as error:  # numpy and zipfile raise many kinds
            raise VerificationError(
                f"The teacher's probabilities in {file} are damaged.",
                f"{type(error).__name__}: {error}.",
                "Remove the file: they are computed again.",
            ) from error
    return Likeliest(np.concatenate(tokens), np.concatenate(logprobs))


def logit_level(teacher: Path) -> Method:
    """Return the method that learns from a local teacher's probabilities."""
    return Method("distillation of probabilities", partial(load_taught, teacher=teacher))
