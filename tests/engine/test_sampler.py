"""Which tokens can be drawn, beside transformers' logits processors, and with which seed."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from expert.engine import sampler as sampler_module
from expert.engine.context import Context, Slice
from expert.engine.logprobs import read_logits, token_logprob
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.sampler import Sampler
from expert.types import Sampling

Row: TypeAlias = NDArray[np.floating[Any]]
PROMPT = [7, 30, 200, 31, 7, 88]
DRAWS = 4000


def peer_probabilities(logits: Row, sampling: Sampling) -> Row:
    """Return the distribution transformers would draw from; llama.cpp applies temperature last."""
    steps = LogitsProcessorList()
    if sampling.repeat_penalty != 1:
        steps.append(RepetitionPenaltyLogitsProcessor(sampling.repeat_penalty))
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        steps.append(MinPLogitsWarper(sampling.min_p))
    steps.append(TemperatureLogitsWarper(sampling.temperature))
    scores = steps(torch.tensor([PROMPT]), torch.tensor(logits)[None])
    probabilities: Row = torch.softmax(scores, -1)[0].numpy()
    return probabilities


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0),
        Sampling(temperature=0.7, top_k=5),
        Sampling(temperature=1.0, top_p=0.5),
        Sampling(temperature=1.3, min_p=0.2),
        Sampling(temperature=0.8, top_k=20, top_p=0.8, min_p=0.05),
        Sampling(temperature=1.0, top_k=10, repeat_penalty=1.5),
    ],
)
def test_draws_follow_transformers_distribution(tiny: Model, sampling: Sampling) -> None:
    """4,000 draws lie within sampling noise of transformers' probabilities, and never outside."""
    with Context(tiny, ContextOptions(size=256)) as context:
        (rows,) = context.step([Slice(0, 0, PROMPT, 1)])
        expected = peer_probabilities(read_logits(context, rows[0]), sampling)
        counts: Counter[int] = Counter()
        for seed in range(DRAWS):
            sampler = Sampler(tiny.lib, tiny.vocabulary.size, replace(sampling, seed=seed))
            for token in PROMPT:
                sampler.accept(token)
            counts[sampler.sample(context, rows[0])] += 1
            sampler.close()
    drawn = np.array([counts[token] for token in range(len(expected))]) / DRAWS
    assert not drawn[expected == 0].any()
    assert distance(drawn, expected) < 2 * noise(expected)


def distance(one: Row, other: Row) -> float:
    """Return the total variation distance of two distributions."""
    return float(np.abs(one - other).sum() / 2)


def noise(expected: Row) -> float:
    """Return the mean distance of DRAWS honest draws from their own distribution."""
    deviations = np.sqrt(2 * expected * (1 - expected) / (np.pi * DRAWS))
    return float(deviations.sum() / 2)


def test_the_comparison_sees_a_wrong_temperature(tiny: Model) -> None:
    """The distance that passes above fails for a distribution at another temperature."""
    with Context(tiny, ContextOptions(size=256)) as context:
        (rows,) = context.step([Slice(0, 0, PROMPT, 1)])
        logits = read_logits(context, rows[0])
    one = peer_probabilities(logits, Sampling(temperature=1.0, top_k=5))
    other = peer_probabilities(logits, Sampling(temperature=0.7, top_k=5))
    assert distance(one, other) > 2 * noise(one)


def test_temperature_zero_takes_the_likeliest(tiny: Model) -> None:
    """Greedy is the arg max, whatever the seed."""
    with Context(tiny, ContextOptions(size=256)) as context:
        (rows,) = context.step([Slice(0, 0, PROMPT, 1)])
        best = int(read_logits(context, rows[0]).argmax())
        for seed in range(5):
            sampler = Sampler(tiny.lib, tiny.vocabulary.size, Sampling(seed=seed))
            assert sampler.sample(context, rows[0]) == best


def test_both_greedy_ways_agree(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick way for large vocabularies takes the token that llama.cpp's own sampler takes."""
    with Context(tiny, ContextOptions(size=256)) as context:
        for seed in range(20):
            prompt = [(seed * 37 + index * 11) % 400 for index in range(5)]
            context.forget(0, 0)
            (rows,) = context.step([Slice(0, 0, prompt, 1)])
            monkeypatch.setattr(sampler_module, "_LARGE", 1 << 30)
            chain = Sampler(tiny.lib, tiny.vocabulary.size, Sampling())
            monkeypatch.setattr(sampler_module, "_LARGE", 1)
            direct = Sampler(tiny.lib, tiny.vocabulary.size, Sampling())
            assert direct.sample(context, rows[0]) == chain.sample(context, rows[0])


def test_the_quick_way_is_not_taken_past_a_penalty(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repetition penalty still acts on a greedy choice from a large vocabulary."""
    monkeypatch.setattr(sampler_module, "_LARGE", 1)
    with Context(tiny, ContextOptions(size=256)) as context:
        (rows,) = context.step([Slice(0, 0, PROMPT, 1)])
        best = int(read_logits(context, rows[0]).argmax())
        sampler = Sampler(tiny.lib, tiny.vocabulary.size, Sampling(repeat_penalty=1e6))
        if read_logits(context, rows[0])[best] > 0:
            sampler.accept(best)
            assert sampler.sample(context, rows[0]) != best


@pytest.mark.parametrize("size", [1_000, 150_000])
def test_numpy_is_fetched_ahead_for_large_vocabularies_only(size: int) -> None:
    """Small models, whose answers begin within milliseconds, never wait for it."""
    code = (
        "import sys, threading\n"
        "from expert.engine.sampler import warm_up\n"
        f"warm_up({size})\n"
        "[t.join() for t in threading.enumerate() if t is not threading.current_thread()]\n"
        "print('numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(size > 100_000)


def test_log_probabilities_equal_transformers(tiny: Model, tiny_checkpoint: Path) -> None:
    """The reported values and their order are those of a log-softmax in transformers."""
    from support.peers import reference, reference_logits

    options = ContextOptions(size=256, kv_type="f32", flash_attention="off")
    with Context(tiny, options) as context:
        (rows,) = context.step([Slice(0, 0, PROMPT, 1)])
        found = token_logprob(context, rows[0], 42, 5)
    logits = reference_logits(reference(tiny_checkpoint), PROMPT)[-1]
    expected = logits - np.logaddexp.reduce(logits)
    assert found.logprob == pytest.approx(expected[42], abs=1e-3)
    best = np.argsort(-expected)[:5]
    assert [other.token for other in found.alternatives] == list(best)
    assert [other.logprob for other in found.alternatives] == pytest.approx(
        list(expected[best]), abs=1e-3
    )
