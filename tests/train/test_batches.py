"""Batches follow the mix, waste little, and continue exactly after a restart."""

from itertools import pairwise

import numpy as np
import torch

from expert.train.batches import Batch, Sampler, grouped
from expert.train.corpus import Sequences

MIX = {"a": ((0.0, 1.0), (1.0, 1.0)), "b": ((0.0, 3.0), (1.0, 1.0)), "late": ((0.5, 1.0),)}


def sequences(seed: int, count: int, longest: int) -> Sequences:
    """Return random sequences whose last half is learnt."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, longest, count)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    tokens = rng.integers(1, 100, offsets[-1]).astype(np.uint16)
    mask = np.zeros(offsets[-1], np.uint8)
    for start, end in pairwise(offsets):
        mask[(start + end) // 2 : end] = 1
    return Sequences(tokens, mask, offsets)


def sampler() -> Sampler:
    """Return a sampler over three made-up tasks."""
    corpus = {"a": sequences(1, 50, 20), "b": sequences(2, 40, 90), "late": sequences(3, 30, 30)}
    return Sampler(corpus, MIX, seed=7, tokens=500)


def drawn_tokens(sampler: Sampler, progress: float, batches: int) -> dict[str, float]:
    """Return each task's share of learnt tokens over some batches."""
    counts = torch.zeros(len(sampler.names))
    for _ in range(batches):
        counts += sampler.next_batch(progress).tasks.bincount(minlength=len(sampler.names))
    return dict(zip(sampler.names, (counts / counts.sum()).tolist(), strict=True))


def same(one: Batch, other: Batch) -> bool:
    """Tell whether two batches are equal."""
    return torch.equal(one.tokens, other.tokens) and torch.equal(one.where, other.where)


def test_tasks_get_their_share_of_tokens() -> None:
    """Shares follow the recipe at the given progress, however long a task's sequences are."""
    start = drawn_tokens(sampler(), 0.0, 60)
    assert abs(start["b"] - 0.75) < 0.05 and start["late"] == 0
    late = drawn_tokens(sampler(), 1.0, 60)
    assert all(abs(share - 1 / 3) < 0.05 for share in late.values())


def test_every_sequence_comes_once_a_pass() -> None:
    """A pass over a task misses and repeats nothing."""
    drawing = sampler()
    seen = [drawing._next("a") for _ in range(100)]
    assert sorted(seen[:50]) == sorted(seen[50:]) == list(range(50))
    assert seen[:50] != seen[50:]


def test_a_restored_sampler_continues_exactly() -> None:
    """What a kill and restart would draw is what the uninterrupted run draws."""
    running = sampler()
    for _ in range(9):
        running.next_batch(0.3)
    state = running.state()
    restarted = sampler()
    restarted.restore(state)
    for _ in range(20):
        assert same(running.next_batch(0.6), restarted.next_batch(0.6))


def test_targets_are_the_next_tokens_of_the_same_sequence() -> None:
    """Every learnt position predicts the token after it, and never padding."""
    batch = sampler().next_batch(0.0)
    assert torch.equal(batch.tokens[batch.where + 1], batch.targets)
    assert (batch.targets != 0).all()


def test_groups_waste_little() -> None:
    """Sequences are grouped so that padding stays under an eighth or a few tokens."""
    lengths = sorted(np.random.default_rng(0).integers(10, 800, 200).tolist(), reverse=True)
    groups = grouped(lengths)
    assert sum(group.count for group in groups) == 200
    assert sum(group.count * group.length for group in groups) < 1.1 * sum(lengths)
