"""Beam search beside greedy decoding and beside counting out every answer."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expert.engine.beam import top_tokens
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job, Piece
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.token_table import build_table
from expert.errors import ContractError, UsageError
from expert.grammar.tokens import TokenTable
from expert.types import Sampling
from support.constraints import NUMBERS, contract, no_way_out, run, unique_numbers
from support.peers import reference, reference_logits

PROMPTS = [[5, 9, 120, 300, 44, 8], [7, 7, 200], [65, 66, 67, 300], [17, 250, 31, 9]]


@pytest.fixture
def table(tiny: Model) -> TokenTable:
    """Return the mask engine's tables of the tiny model."""
    return build_table(tiny.header, lambda: tiny.vocabulary)


@pytest.fixture
def engine(tiny: Model) -> Iterator[Engine]:
    """Return an engine with room for eight hypotheses of 200 tokens."""
    options = ContextOptions(size=1600, beams=8, kv_type="f32", flash_attention="off")
    with Engine(tiny, options) as engine:
        yield engine


def scores(folder: Path, prompt: list[int], tokens: list[int]) -> list[float]:
    """Return the log-probability of each token after *prompt*, in transformers."""
    logits = reference_logits(reference(folder), [*prompt, *tokens])[len(prompt) - 1 : -1]
    logprobs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return [float(row[token]) for row, token in zip(logprobs, tokens, strict=True)]


def tokens(pieces: list[Piece]) -> list[int]:
    """Return the tokens of pieces."""
    return [piece.token for piece in pieces if piece.token >= 0]


@pytest.mark.parametrize("grammar", [None, NUMBERS], ids=["free", "constrained"])
@pytest.mark.parametrize("beams", [2, 4, 8])
def test_it_is_never_less_probable_than_greedy(
    engine: Engine, table: TokenTable, tiny_checkpoint: Path, beams: int, grammar: str | None
) -> None:
    """The total log-probability of the answer, scored by transformers, is at least greedy's."""
    better = 0
    for prompt in PROMPTS:
        job = Job(prompt, max_tokens=30, contract=contract(grammar, table) if grammar else None)
        _, _, greedy = run(engine, replace(job, logprobs=0))  # without it, forced tokens are joined
        text, end, found = run(engine, replace(job, beams=beams, logprobs=0))
        totals = [
            math.fsum(scores(tiny_checkpoint, prompt, tokens(one))) for one in (greedy, found)
        ]
        assert totals[1] >= totals[0] - 1e-3
        better += totals[1] > totals[0] + 1e-3
        assert end.timings.answer_tokens == len(tokens(found))
        spelled = engine.model.vocabulary.decode(tokens(found))
        assert spelled.decode("utf-8", "surrogateescape") == text
    assert better


def test_its_log_probabilities_are_those_of_the_whole_text(
    engine: Engine, table: TokenTable, tiny_checkpoint: Path
) -> None:
    """KV shared and moved between hypotheses gives what one straight computation gives."""
    for prompt in PROMPTS:
        job = Job(prompt, max_tokens=40, contract=contract(NUMBERS, table), logprobs=0, beams=8)
        _, _, pieces = run(engine, job)
        told = [piece.logprob.logprob for piece in pieces if piece.logprob]
        assert told == pytest.approx(scores(tiny_checkpoint, prompt, tokens(pieces)), abs=2e-3)


def test_it_finds_the_best_of_few_answers(
    engine: Engine, table: TokenTable, tiny_checkpoint: Path
) -> None:
    """Where all answers fit into the beam, the best one by the stated score comes out."""
    words = ["0", "10", "2", "31", "4", "5"]
    grammar = "root ::= " + " | ".join(f'"{word}"' for word in words)
    for prompt in PROMPTS:
        job = Job(prompt, max_tokens=20, contract=contract(grammar, table))
        text, _, found = run(engine, replace(job, beams=8, logprobs=0))
        _, _, greedy = run(engine, replace(job, logprobs=0))
        floor = math.fsum(scores(tiny_checkpoint, prompt, tokens(greedy)))
        rated = {}
        for word in words:
            spelled = engine.model.vocabulary.encode(word)
            total = math.fsum(scores(tiny_checkpoint, prompt, spelled))
            if total >= floor - 1e-4:
                rated[word] = total / ((5 + len(spelled)) / 6) ** 0.6
        assert text == max(rated, key=lambda word: rated[word])
        assert len(tokens(found)) <= 2


def test_an_answer_of_one_hypothesis_is_greedy(engine: Engine, table: TokenTable) -> None:
    """With two beams and a grammar without choice, nothing else can come out."""
    job = Job(PROMPTS[0], max_tokens=50, contract=contract('root ::= "The quick brown"', table))
    assert run(engine, replace(job, beams=2))[0] == run(engine, job)[0] == "The quick brown"


@pytest.mark.parametrize("beams", [2, 3, 8])
def test_dead_ends_are_left_behind(engine: Engine, table: TokenTable, beams: int) -> None:
    """Hypotheses that a check refuses die; the greedy one takes tokens back instead."""
    for prompt in PROMPTS:
        job = Job(prompt, max_tokens=60, contract=contract(unique_numbers(), table), beams=beams)
        text, end, _ = run(engine, job)
        items = text.strip("[]").split(",")
        assert len(set(items)) == len(items) == 6
        assert (end.finish, end.complete) == ("stop", True)


def test_a_search_without_a_way_out_is_an_error(engine: Engine, table: TokenTable) -> None:
    """The engine serves the next job, on the prompt that it kept."""
    job = Job(PROMPTS[0], max_tokens=60, contract=contract(no_way_out(), table), beams=4)
    with pytest.raises(ContractError, match="No answer was found"):
        run(engine, job)
    _, end, _ = run(engine, replace(job, contract=None, max_tokens=5))
    assert end.timings.cached_tokens == len(PROMPTS[0]) - 1


def test_beams_and_plain_jobs_take_turns(engine: Engine) -> None:
    """A plain answer after a search equals one in a fresh engine; so does a second search."""
    plain = Job(PROMPTS[1], Sampling(temperature=1, seed=3), 40, ignore_end=True)
    search = Job(PROMPTS[1], max_tokens=40, beams=8, ignore_end=True)
    first = [run(engine, job)[0] for job in (plain, search)]
    for _ in range(3):
        assert [run(engine, job)[0] for job in (plain, search)] == first
    assert engine.context.size >= 200


def test_several_searches_run_at_once(tiny: Model, table: TokenTable) -> None:
    """Two sequences with four hypotheses each do not disturb one another."""
    options = ContextOptions(size=3200, sequences=2, beams=4, kv_type="f32", flash_attention="off")
    jobs = [
        Job(prompt, max_tokens=30, contract=contract(NUMBERS, table), beams=4) for prompt in PROMPTS
    ]
    with Engine(tiny, options) as engine:
        alone = [run(engine, job)[0] for job in jobs]
        streams = [engine.submit(job) for job in jobs]
        together = ["".join(o.text for o in s if isinstance(o, Piece)) for s in streams]
    assert together == alone


def test_the_limit_ends_a_search(engine: Engine, table: TokenTable) -> None:
    """An answer in mid-structure says so; without a grammar greedy is a floor here too."""
    long = contract('root ::= "[" [0-9]{150} "]"', table)
    _, end, pieces = run(engine, Job(PROMPTS[0], max_tokens=12, contract=long, beams=4))
    assert (end.finish, end.complete, len(tokens(pieces))) == ("length", False, 12)
    _, end, pieces = run(engine, Job(PROMPTS[0], max_tokens=1000, beams=4, ignore_end=True))
    assert end.finish == "length"
    assert len(tokens(pieces)) == engine.context.size - len(PROMPTS[0]) + 1


def test_stop_sequences_end_a_hypothesis(engine: Engine, table: TokenTable) -> None:
    """The text before the stop sequence comes out."""
    job = Job(PROMPTS[0], max_tokens=60, contract=contract(NUMBERS, table), beams=4, stop=(",",))
    text, end, _ = run(engine, job)
    assert "," not in text
    assert end.finish == "stop"


def test_a_search_can_be_cancelled(engine: Engine) -> None:
    """What is best until then comes out, marked."""
    job = Job(PROMPTS[0], max_tokens=190, beams=8, ignore_end=True)
    stream = engine.submit(job)
    while not engine.scheduler.slots[0].generation:
        pass
    stream.cancel()
    last = list(stream)[-1]
    assert isinstance(last, Finished)
    assert last.finish == "cancelled"
    assert run(engine, replace(job, max_tokens=5))[1].finish == "length"


def test_a_context_must_be_opened_for_it(tiny: Model) -> None:
    """More hypotheses than there are sequences for is an error before anything is computed."""
    with (
        Engine(tiny, ContextOptions(size=256, beams=2)) as engine,
        pytest.raises(UsageError, match="beam search of 3"),
    ):
        engine.submit(Job(PROMPTS[0], beams=3))


@pytest.mark.parametrize("size", [5, 63, 64, 1000, 4096, 10_001])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_the_likeliest_tokens_are_found_in_blocks(size: int, count: int) -> None:
    """They are those of a full sort, ties and minus infinity included."""
    draw = np.random.default_rng(size)
    for _ in range(5):
        logits = draw.normal(size=size).astype(np.float32).round(1)
        logits[draw.random(size) < 0.3] = -np.inf
        expected = np.argsort(-logits, kind="stable")[:count]
        found = top_tokens(logits, count)
        assert [logits[token] for token in found] == [logits[token] for token in expected]
        assert len(set(found)) == min(count, size)
