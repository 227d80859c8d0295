"""Direct preference optimisation: from pairs of answers, one preferred, to a loss without a judge.

The reference is the base itself, the adapter switched off, so no second model is held in memory.
Source: Rafailov et al. 2023, arXiv:2305.18290, equation 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from expert.errors import UsageError, VerificationError
from expert.train.adapter.base import Base
from expert.train.adapter.dataset import Encoded, arrays_of, hash_of
from expert.train.adapter.feed import Feed, Measured, Method
from expert.train.adapter.pairs import Pair, read_pairs
from expert.train.adapter.recipe import Recipe
from expert.train.adapter.task_data import TaskData
from expert.train.adapter.trainee import Trainee, token_losses
from expert.train.batches import Batch, Sampler, assemble
from expert.train.corpus import Progress, Sequences, held_out
from expert.train.evaluation.conditions import VARIANTS
from expert.train.rows import digest
from expert.train.tokenizer import EMPTY_THOUGHT, STOP

TASK = "preferences"


@dataclass(frozen=True)
class PairBatch:
    """Both answers of P pairs as sequences, every token of an answer learnt."""

    sequences: Batch
    owners: Tensor
    """Which answer each learnt token belongs to, (L,): 2 p the chosen one of pair p, else 2 p + 1.
    """
    pairs: int

    @property
    def size(self) -> int:
        """Real tokens in it."""
        return self.sequences.size


@dataclass(frozen=True)
class Pairs:
    """Encoded pairs: each is one sequence of tokens, the chosen answer's and the rejected one's."""

    joined: Sequences
    cuts: NDArray[np.int64]
    """Where the rejected answer's sequence begins in each pair."""

    def halves(self, index: int) -> tuple[Encoded, Encoded]:
        """Return the sequence and mask of the chosen answer, and those of the rejected one."""
        tokens, mask = self.joined.get(index)
        cut = int(self.cuts[index])
        return (tokens[:cut], mask[:cut]), (tokens[cut:], mask[cut:])


class PairSampler:
    """Draws pairs as a `Sampler` draws sequences."""

    names = [TASK]

    def __init__(self, pairs: Pairs, seed: int, tokens: int) -> None:
        self.pairs = pairs
        self.sampler = Sampler({TASK: pairs.joined}, {TASK: ((0.0, 1.0),)}, seed, tokens)

    def next_batch(self, progress: float) -> PairBatch:
        """Draw pairs whose sequences have about as many tokens as wanted."""
        chosen = [self.pairs.halves(index) for _, index in self.sampler.choose(progress)]
        return pair_batch(chosen)

    def state(self) -> dict[str, Any]:
        """Return everything needed to continue."""
        return self.sampler.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.sampler.restore(state)


def pair_batch(pairs: list[tuple[Encoded, Encoded]]) -> PairBatch:
    """Return the batch of some pairs (chosen, rejected) of sequences with their masks."""
    halves = [half for pair in pairs for half in pair]
    order = sorted(range(len(halves)), key=lambda number: -len(halves[number][0]))
    batch = assemble([(*halves[number], TASK) for number in order], [TASK])
    lengths = torch.tensor([g.length for g in batch.groups for _ in range(g.count)])
    rows = torch.searchsorted(lengths.cumsum(0), batch.where, right=True)
    return PairBatch(batch, torch.tensor(order)[rows], len(pairs))


def margins(trainee: Trainee, batch: PairBatch) -> Tensor:
    """Return how much more than the base the adapter favours the chosen answers, (P,), in nats."""
    with torch.no_grad(), trainee.resting():
        before = token_losses(trainee, batch.sequences)
    gained = before - token_losses(trainee, batch.sequences)
    answers = torch.zeros(2 * batch.pairs, device=gained.device)
    totals = answers.index_add(0, batch.owners.to(gained.device), gained).view(-1, 2)
    return totals[:, 0] - totals[:, 1]


def preference(trainee: Trainee, batch: PairBatch, beta: float) -> Measured:
    """Return the preference loss of every pair: -log sigmoid(beta * margin)."""
    values = -F.logsigmoid(beta * margins(trainee, batch))
    return Measured(values, torch.zeros(batch.pairs, dtype=torch.long))


def agreement(losses: Tensor) -> dict[str, float]:
    """Return the share of validation pairs whose chosen answer gained more than the rejected."""
    return {"validation_agreement": round(float((losses < math.log(2)).float().mean()), 4)}


@dataclass(frozen=True)
class PairSet:
    """Encoded pairs for training and validation."""

    training: Pairs
    validation: Pairs
    digest: str
    rows: dict[str, int]

    def feed(self, recipe: Recipe) -> Feed[PairBatch]:
        """Return the batches of a new run, and the preference loss."""
        settings = recipe.training
        assert recipe.preferences is not None
        judge = PairSampler(self.validation, 0, settings.tokens_a_batch)
        total = int(self.validation.joined.offsets[-1])
        count = math.ceil(min(recipe.data.validation_tokens, total) / settings.tokens_a_batch)
        return Feed(
            PairSampler(self.training, settings.seed, settings.tokens_a_batch),
            [judge.next_batch(0) for _ in range(count)],
            partial(preference, beta=recipe.preferences.beta),
            agreement,
        )


def load_pairs(
    recipe: Recipe, base: Base, data: TaskData, run: Path, progress: Progress
) -> PairSet:
    """Return the encoded pairs of a recipe, without those that ask a held-out question.

    Raises:
        UsageError: the recipe names no pairs.
        NotFoundError: a file is missing.
        VerificationError: a row is damaged, or none is left.
    """
    if recipe.preferences is None:
        raise UsageError(
            "The recipe names no pairs of answers.",
            "It has no [preferences].",
            'Add it, with files = ["preferences/NAME.jsonl"] below the data folder.',
        )
    kept_out = heldout_prompts(recipe, data)
    parts: tuple[list[tuple[Encoded, Encoded]], ...] = ([], [])
    files = recipe.preferences.files
    for done, name in enumerate(files):
        progress(done, len(files))
        for pair in read_pairs(data.file(name)):
            halves = encode_pair(base, pair)
            if pair.question not in kept_out and max(len(t) for t, _ in halves) <= (
                recipe.data.longest
            ):
                judging = int(digest(f"validation {pair.opening}"), 16) % recipe.data.validation
                parts[judging == 0].append(halves)
    progress(len(files), len(files))
    training, validation = map(joined, parts) if all(parts) else refuse(recipe, *map(len, parts))
    arrays = [*arrays_of(training.joined), *arrays_of(validation.joined), training.cuts]
    return PairSet(training, validation, hash_of(arrays), {TASK: sum(map(len, parts))})


def refuse(recipe: Recipe, training: int, validation: int) -> Any:
    """Refuse pairs that are too few.

    Raises:
        VerificationError: always.
    """
    raise VerificationError(
        "There are not enough pairs of answers to train on.",
        f"{training} were left for training and {validation} for validation, of at most "
        f"{recipe.data.longest} tokens and not held out.",
        "Give more pairs, or allow longer conversations in the recipe.",
    )


def heldout_prompts(recipe: Recipe, data: TaskData) -> frozenset[str]:
    """Return the questions that the recipe's evaluation asks, which no pair may ask."""
    tasks = recipe.evaluation.tasks
    found = (e for task in tasks for e in data.examples(task, range(VARIANTS)) if held_out(e))
    return frozenset(example.question.prompt.strip() for example in found)


def encode_pair(base: Base, pair: Pair) -> tuple[Encoded, Encoded]:
    """Return both conversations as tokens, with masks of the answers alone."""
    opening = base.tokenizer.encode(pair.opening + EMPTY_THOUGHT).ids
    chosen, rejected = (
        base.tokenizer.encode(answer + STOP).ids for answer in (pair.chosen, pair.rejected)
    )
    return encoded(opening, chosen), encoded(opening, rejected)


def encoded(opening: list[int], answer: list[int]) -> Encoded:
    """Return a conversation as tokens and their loss mask."""
    tokens = np.array([*opening, *answer], np.uint32)
    return tokens, np.array([0] * len(opening) + [1] * len(answer), np.uint8)


def joined(pairs: list[tuple[Encoded, Encoded]]) -> Pairs:
    """Return pairs end to end."""
    halves = [half for pair in pairs for half in pair]
    tokens, mask = (np.concatenate(part) for part in zip(*halves, strict=True))
    lengths = [len(chosen[0]) + len(rejected[0]) for chosen, rejected in pairs]
    sequences = Sequences(tokens, mask, np.cumsum([0, *lengths]))
    return Pairs(sequences, np.array([len(chosen[0]) for chosen, _ in pairs]))


PREFERENCE = Method("direct preference optimisation", load_pairs)
