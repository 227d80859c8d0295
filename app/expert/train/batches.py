"""Drawing sequences by the recipe's mix and packing them flat, grouped by length so that little is
padding.

Every batch is a fair sample of the mix. Everything random follows from the seed and small counters,
so a saved sampler continues exactly where it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from expert.train.corpus import Sequences, Tokens
from expert.train.qwen3 import Group
from expert.train.recipe import Knots, share

LEARNT = (
    0.5  # the largest share of a batch's tokens a loss is taken on; the projection to words is dear
)
SLACK = 0.88  # a sequence joins the group of longer ones if it fills this share of their length


Row = tuple[Tokens, NDArray[np.uint8], str]


@dataclass(frozen=True)
class Batch:
    """Flat tokens (N,) in groups of equal length; the positions whose next token is learnt (L,),
    that token (L,), and the task it belongs to (L,).
    """

    tokens: Tensor
    groups: tuple[Group, ...]
    where: Tensor
    targets: Tensor
    tasks: Tensor
    size: int  # real tokens


class Sampler:
    """Draws the task furthest below its share of tokens, then that task's next sequence of a
    shuffled pass.
    """

    def __init__(
        self, corpus: dict[str, Sequences], mix: dict[str, Knots], seed: int, tokens: int
    ) -> None:
        self.names = [name for name in mix if len(corpus[name])]
        self.corpus, self.mix, self.seed, self.tokens = corpus, mix, seed, tokens
        self.debts = dict.fromkeys(self.names, 0.0)
        self.passes = dict.fromkeys(self.names, (0, 0))  # number of the pass, position in it
        self._orders: dict[str, NDArray[np.int64]] = {}

    def next_batch(self, progress: float) -> Batch:
        """Draw sequences of about `tokens` tokens, longest first."""
        rows = [(*self.corpus[name].get(index), name) for name, index in self.choose(progress)]
        rows.sort(key=lambda row: -len(row[0]))
        return assemble(rows, self.names, int(self.tokens * LEARNT))

    def choose(self, progress: float) -> list[tuple[str, int]]:
        """Draw sequences of about `tokens` tokens, as tasks and numbers of a sequence."""
        chosen: list[tuple[str, int]] = []
        size = 0
        while size < self.tokens:
            name, index = self._draw(progress)
            chosen.append((name, index))
            size += self.corpus[name].length(index)
        return chosen

    def state(self) -> dict[str, Any]:
        """Return everything needed to continue."""
        return {"debts": dict(self.debts), "passes": dict(self.passes)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            KeyError, TypeError, ValueError: it is not the state of such a sampler.
        """
        debts, passes = dict(state["debts"]), dict(state["passes"])
        for name in self.names:
            _, position = passes[name]
            if not 0 <= position < len(self.corpus[name]) or not math.isfinite(debts[name]):
                raise ValueError(f"its place in {name} is not in the data")
        self.debts, self.passes = debts, passes
        self._orders.clear()

    def _draw(self, progress: float) -> tuple[str, int]:
        shares = {name: share(self.mix[name], progress) for name in self.names}
        total = sum(shares.values())
        name = max(self.names, key=lambda n: self.debts[n] if shares[n] else float("-inf"))
        index = self._next(name)
        length = self.corpus[name].length(index)
        for other in self.names:
            self.debts[other] += length * shares[other] / total
        self.debts[name] -= length
        return name, index

    def _next(self, name: str) -> int:
        number, position = self.passes[name]
        if name not in self._orders:
            key = [self.seed, number, *name.encode()]
            self._orders[name] = np.random.default_rng(key).permutation(len(self.corpus[name]))
        index = int(self._orders[name][position])
        if position + 1 == len(self._orders[name]):
            self.passes[name] = (number + 1, 0)
            del self._orders[name]
        else:
            self.passes[name] = (number, position + 1)
        return index


def assemble(rows: list[Row], names: list[str], most: int | None = None) -> Batch:
    """Lay sequences, longest first, end to end; of their learnt tokens take *most*, evenly spread.

    Each row is a sequence's tokens, its loss mask and its task, one of *names*.
    """
    groups = grouped([len(sequence) for sequence, _, _ in rows])
    starts = np.cumsum([0, *(g.length for g in groups for _ in range(g.count))])
    total = int(starts[-1])
    tokens, learnt = np.zeros(total, np.int64), np.zeros(total, np.bool_)
    tasks = np.zeros(total, np.int64)
    for at, (sequence, mask, name) in zip(starts, rows, strict=False):
        end = at + len(sequence)
        tokens[at:end], learnt[at : end - 1], tasks[at:end] = sequence, mask[1:], names.index(name)
    where = np.flatnonzero(learnt)
    if most is not None:
        where = where[:: -(-len(where) // max(1, most))]
    return Batch(
        tokens=torch.from_numpy(tokens),
        groups=groups,
        where=torch.from_numpy(where),
        targets=torch.from_numpy(tokens[where + 1]),
        tasks=torch.from_numpy(tasks[where]),
        size=sum(len(sequence) for sequence, _, _ in rows),
    )


def grouped(lengths: list[int]) -> tuple[Group, ...]:
    """Group sequences, longest first, so that each fills most of its group's length."""
    groups: list[Group] = []
    first = 0
    for row in range(1, len(lengths) + 1):
        if row == len(lengths) or lengths[row] < SLACK * lengths[first] - 4:
            groups.append(Group(row - first, lengths[first]))
            first = row
    return tuple(groups)
