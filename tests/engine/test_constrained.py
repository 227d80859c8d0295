"""Decoding under a constraint: what is drawn, what is forced, what is taken back."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expert.engine.candidates import Candidates, read_mask
from expert.engine.constrained import ConstrainedSampler, Reasoning
from expert.engine.context import Context, Slice
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job, Piece
from expert.engine.logprobs import read_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.sampler import Sampler
from expert.engine.token_table import build_table
from expert.errors import ContractError
from expert.grammar.compile import compile_gbnf
from expert.grammar.constraint import Constraint
from expert.grammar.tokens import TokenTable
from expert.types import Sampling
from support.constraints import NUMBERS, contract, no_way_out, run, unique_numbers

PROMPT = [5, 9, 120, 300, 44, 8]
DRAWS = 3000


@pytest.fixture
def table(tiny: Model) -> TokenTable:
    """Return the mask engine's tables of the tiny model."""
    return build_table(tiny.header, lambda: tiny.vocabulary)


@pytest.fixture
def engine(tiny: Model) -> Iterator[Engine]:
    """Return an engine with four sequences of 256 tokens."""
    options = ContextOptions(size=1024, sequences=4, kv_type="f32", flash_attention="off")
    with Engine(tiny, options) as engine:
        yield engine


class Brute:
    """Masks every token before, or between, the steps of a sampler written out in numpy."""

    def __init__(self, logits: NDArray[np.float32], sampling: Sampling) -> None:
        self.logits = logits.astype(np.float64)
        self.sampling = sampling

    def kept(self, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which of the *allowed* tokens top-k, top-p and min-p keep, in this order."""
        order = [int(i) for i in np.argsort(-self.logits, kind="stable") if allowed[i]]
        if self.sampling.top_k:
            order = order[: self.sampling.top_k]
        p = self.softmax(order, 1.0)
        if self.sampling.top_p < 1:
            order = order[: int(np.searchsorted(p.cumsum(), self.sampling.top_p)) + 1]
        if self.sampling.min_p:
            p = self.softmax(order, 1.0)
            order = [
                token for token, q in zip(order, p, strict=True) if q >= self.sampling.min_p * p[0]
            ]
        found = np.zeros(len(self.logits), bool)
        found[order] = True
        return found

    def softmax(self, tokens: list[int], temperature: float) -> NDArray[np.float64]:
        scaled = self.logits[tokens] / temperature
        weights = np.exp(scaled - scaled.max())
        result: NDArray[np.float64] = weights / weights.sum()
        return result

    def distribution(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return what the docstring of ConstrainedSampler promises."""
        chosen = self.kept(np.ones_like(mask)) & mask
        if not chosen.any():
            chosen = self.kept(mask)
        tokens = [int(token) for token in np.flatnonzero(chosen)]
        p = np.zeros(len(mask))
        p[tokens] = self.softmax(tokens, self.sampling.temperature)
        return p


class Fixed:
    """A constraint that allows fixed tokens once; *shown* is what its mask says of it."""

    def __init__(self, allowed: NDArray[np.bool_], shown: NDArray[np.bool_]) -> None:
        self.allowed, self.shown = allowed, shown
        self.exact = bool((allowed == shown).all())
        self.masks = 0

    def allows(self, token: int) -> bool:
        return bool(self.allowed[token])

    def mask(self) -> bytes:
        self.masks += 1
        return np.packbits(self.shown, bitorder="little").tobytes() + b"\0" * 4

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not asked for")


def surprise(found: NDArray[np.int64], expected: NDArray[np.float64]) -> float:
    """Return Pearson's chi-squared statistic over its quantile at 0.9999; 1 and more is a refusal.

    The quantile is that of Wilson and Hilferty 1931; cells of less than 5 are taken together.
    """
    cells = expected * DRAWS
    large = cells >= 5
    observed = [*found[large], found[~large].sum()]
    wanted = [*cells[large], cells[~large].sum()]
    pairs = [(o, w) for o, w in zip(observed, wanted, strict=True) if w > 1e-3 or o]
    if len(pairs) < 2:
        return 0.0
    statistic = sum((o - w) ** 2 / max(w, 1e-9) for o, w in pairs)
    freedom = len(pairs) - 1
    spread = 2 / (9 * freedom)
    return float(statistic / (freedom * (1 - spread + 3.72 * spread**0.5) ** 3))


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0),
        Sampling(temperature=0.7, top_k=40),
        Sampling(temperature=1.5, top_p=0.8),
        Sampling(temperature=1.0, min_p=0.3),
        Sampling(temperature=2.0, top_k=100, top_p=0.9, min_p=0.1),
        Sampling(temperature=0.9, top_k=1),
    ],
    ids=str,
)
@pytest.mark.parametrize("share", [0.5, 0.02])
@pytest.mark.parametrize("exact", [True, False])
def test_draws_have_the_distribution_of_masking_by_brute_force(
    tiny: Model, sampling: Sampling, share: float, exact: bool
) -> None:
    """Sampling first and masking on refusal gives what masking all tokens gives, in 3,000 draws.

    With few allowed tokens none of the truncated candidates is left; a check may refuse what its
    mask allows.
    """
    size = tiny.vocabulary.size
    draw = np.random.default_rng(3)
    shown = draw.random(size) < share
    allowed = shown if exact else shown & (draw.random(size) < 0.5)
    with Context(tiny, ContextOptions(size=256)) as context:
        (rows,) = context.step([Slice(0, 0, PROMPT, 1)])
        logits = read_logits(context, rows[0]) * 0.3  # flatter, so that many tokens matter
        expected = Brute(logits, sampling).distribution(allowed)
        sampler = Sampler(tiny.lib, size, sampling)
        drawn = ConstrainedSampler(sampler, Candidates(tiny.lib, size), size, seed=7)
        fixed: Any = Fixed(allowed, shown)
        counts: Counter[int | None] = Counter()
        for _ in range(DRAWS):
            counts[drawn.choose(logits, fixed)] += 1
    found = np.array([counts[token] for token in range(size)])
    assert counts[None] == 0
    assert set(np.flatnonzero(found)) <= set(np.flatnonzero(expected))
    assert surprise(found, expected) < 1
    if (expected > 0.01).sum() > 1:
        assert surprise(found, np.roll(expected, 1) + 1e-9) > 1, "the test sees no difference"


def test_the_two_ways_to_mask_differ_where_it_is_said(tiny: Model) -> None:
    """Masking before top-k is another distribution: the test above can tell them apart."""
    logits = np.zeros(tiny.vocabulary.size, np.float32)
    logits[:4] = 5, 4, 3, 2
    mask = np.zeros(len(logits), bool)
    mask[1:4] = True
    brute = Brute(logits, Sampling(temperature=1.0, top_k=2))
    assert brute.distribution(mask)[1] == 1.0
    assert brute.kept(mask).sum() == 2


def test_greedy_takes_the_likeliest_allowed_token(tiny: Model) -> None:
    """With temperature 0 it is the arg max of what is allowed, and one mask suffices."""
    size = tiny.vocabulary.size
    allowed = np.arange(size) % 7 == 3
    with Context(tiny, ContextOptions(size=256)) as context:
        (rows,) = context.step([Slice(0, 0, PROMPT, 1)])
        logits = read_logits(context, rows[0])
        fixed: Any = Fixed(allowed, allowed)
        sampler = ConstrainedSampler(
            Sampler(tiny.lib, size, Sampling()), Candidates(tiny.lib, size), size, 0
        )
        token = sampler.sample(context, rows[0], fixed)
    assert token == int(np.where(allowed, logits, -np.inf).argmax())
    assert fixed.masks == 1


def test_nothing_allowed_is_a_dead_end(tiny: Model) -> None:
    """It is told apart from an error, so that tokens can be taken back."""
    size = tiny.vocabulary.size
    none: Any = Fixed(np.zeros(size, bool), np.zeros(size, bool))
    sampler = ConstrainedSampler(
        Sampler(tiny.lib, size, Sampling(temperature=1)), Candidates(tiny.lib, size), size, 0
    )
    assert sampler.choose(np.zeros(size, np.float32), none) is None


def test_masks_are_read_bit_by_bit() -> None:
    """Token 0 is the lowest bit of the first byte."""
    assert list(np.flatnonzero(read_mask(bytes([0b101, 0, 1, 0]), 20))) == [0, 2, 16]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.5, seed=4)], ids=str)
def test_answers_match_their_grammar(engine: Engine, table: TokenTable, sampling: Sampling) -> None:
    """They end where the grammar lets them, by themselves."""
    text, end, _ = run(engine, Job(PROMPT, sampling, 200, contract=contract(NUMBERS, table)))
    assert re.fullmatch(r"\[\d{1,3}(,\d{1,3}){0,5}\]", text)
    assert end.finish == "stop"


def test_an_unconstrained_answer_is_not_changed_by_a_grammar_that_allows_all(
    engine: Engine, table: TokenTable
) -> None:
    """The same seed gives the same tokens: nothing is drawn twice."""
    sampling = Sampling(temperature=1.0, top_k=50, seed=5)
    free, _, pieces = run(engine, Job(PROMPT, sampling, 24))
    held, _, under = run(
        engine, Job(PROMPT, sampling, 24, contract=contract("root ::= [^\\x00]*", table))
    )
    same = [piece.token for piece in pieces]
    for index, token in enumerate(same):
        if table.piece(token) and under[index].token != token:
            # Only half a character may be refused: the grammar is of whole ones.
            assert not table.piece(token).isascii()
            break
    assert held[:1] == free[:1]


def test_forced_tokens_are_decoded_in_one_step(engine: Engine, table: TokenTable) -> None:
    """A long fixed text takes a few steps; its KV is that of the text in order."""
    fixed = "The quick brown fox jumps over the lazy dog."
    steps: list[int] = []
    step = engine.context.step

    def counted(slices: Sequence[Slice]) -> list[range]:
        steps.append(sum(len(part.tokens) for part in slices))
        return step(slices)

    engine.context.step = counted  # type: ignore[method-assign]  # counts what it computes
    terms = contract(f'root ::= [yn] "{fixed}" [0-9]', table)
    text, end, _ = run(engine, Job(PROMPT, max_tokens=200, contract=terms))
    assert text[1:-1] == fixed
    assert max(steps[1:]) > 10
    assert len(steps) < 8
    slot = max(engine.scheduler.slots, key=lambda slot: len(slot.ledger))
    spelled = engine.model.vocabulary.decode(slot.ledger.tokens[len(PROMPT) :]).decode()
    assert text.startswith(spelled) and len(spelled) >= len(fixed)


def test_log_probabilities_are_given_for_every_token(engine: Engine, table: TokenTable) -> None:
    """Each is read from its own step, so nothing is decoded unseen."""
    terms = contract('root ::= "The quick brown fox" [0-9]', table)
    _, end, pieces = run(engine, Job(PROMPT, max_tokens=99, contract=terms, logprobs=1))
    assert all(piece.logprob for piece in pieces)
    assert len(pieces) == end.timings.answer_tokens


@pytest.mark.parametrize("seed", range(6))
def test_what_a_check_refuses_is_taken_back(
    engine: Engine, table: TokenTable, seed: int, tiny: Model
) -> None:
    """Tokens, KV and text go back together: the rest is what a fresh decode of it gives."""
    sampling = Sampling(temperature=1.0 if seed else 0.0, seed=seed)
    text, end, pieces = run(
        engine, Job(PROMPT, sampling, 100, contract=contract(unique_numbers(), table))
    )
    items = json.loads(text)
    assert len(set(items)) == 6
    tokens = [piece.token for piece in pieces if piece.token >= 0]
    assert tiny.vocabulary.decode(tokens).decode() == text
    assert end.timings.answer_tokens == len(tokens)
    slot = max(engine.scheduler.slots, key=lambda slot: len(slot.ledger))
    kept = [*PROMPT, *tokens]
    assert slot.ledger.tokens == kept[: len(slot.ledger)]
    (rows,) = engine.call(
        lambda: engine.context.step([Slice(slot.index, len(slot.ledger), [7], outputs=1)])
    )
    after = engine.call(lambda: read_logits(engine.context, rows[0]))
    other = next(one for one in engine.scheduler.slots if one is not slot)
    engine.call(lambda: other.rewind(0, engine.context))
    fresh = [*slot.ledger.tokens, 7]
    (rows,) = engine.call(lambda: engine.context.step([Slice(other.index, 0, fresh, outputs=1)]))
    assert np.abs(after - engine.call(lambda: read_logits(engine.context, rows[0]))).max() < 1e-3


def test_a_search_that_is_given_up_is_an_error_of_that_job_alone(
    engine: Engine, table: TokenTable
) -> None:
    """What no answer can keep ends with ContractError; the engine goes on."""
    neighbour = engine.submit(Job([1, 2, 3], max_tokens=60, ignore_end=True))
    with pytest.raises(ContractError, match="No answer was found"):
        run(engine, Job(PROMPT, max_tokens=60, contract=contract(no_way_out(), table)))
    tokens = [out.token for out in neighbour if isinstance(out, Piece) and out.token >= 0]
    assert len(tokens) == 60
    assert run(engine, Job(PROMPT, max_tokens=3, ignore_end=True))[1].finish == "length"


def test_eight_constrained_answers_at_once_equal_those_alone(
    engine: Engine, table: TokenTable
) -> None:
    """Sequences that share steps keep their constraints apart."""
    jobs = [
        Job(
            [index + 1, 7, 9],
            Sampling(temperature=1.2, seed=index),
            100,
            contract=contract(NUMBERS if index % 2 else unique_numbers(), table),
        )
        for index in range(8)
    ]
    alone = [run(engine, job)[0] for job in jobs]
    streams = [engine.submit(job) for job in jobs]
    together = ["".join(o.text for o in s if isinstance(o, Piece)) for s in streams]
    assert together == alone


def test_the_limit_may_come_first(engine: Engine, table: TokenTable) -> None:
    """Then it ends with `length` in mid-structure; where it could end it is complete."""
    long = contract('root ::= "[" [0-9]{90} "]"', table)
    text, end, _ = run(engine, Job(PROMPT, max_tokens=20, contract=long))
    assert end.finish == "length"
    assert not text.endswith("]")
    digits = contract("root ::= [0-9]*", table)
    assert run(engine, Job(PROMPT, max_tokens=5, contract=digits))[1].finish == "stop"


def test_stop_sequences_and_cancelling_still_work(engine: Engine, table: TokenTable) -> None:
    """A stop sequence ends the text, in forced text too; a cancelled job gives what it has."""
    terms = contract('root ::= "The quick brown fox" [0-9]+', table)
    text, end, _ = run(engine, Job(PROMPT, max_tokens=99, contract=terms, stop=("brown",)))
    assert (text, end.finish) == ("The quick ", "stop")
    checked = contract(unique_numbers(), table)
    held, end, _ = run(engine, Job(PROMPT, max_tokens=99, contract=checked, stop=("1,",)))
    assert "1," not in held
    endless = contract("root ::= [ab]{900,}", table)
    stream = engine.submit(Job(PROMPT, max_tokens=240, contract=endless))
    stream.next()
    stream.cancel()
    last = list(stream)[-1]
    assert isinstance(last, Finished)
    assert last.finish == "cancelled"


def test_reasoning_is_free_and_the_answer_is_not(engine: Engine, table: TokenTable) -> None:
    """Reasoning that never ends is ended at half of the limit; then the grammar begins."""
    reasoning = Reasoning(open=1000, close=65, after=(66,), inside=True)
    for seed in range(4):
        terms = contract(NUMBERS, table, reasoning=reasoning)
        job = Job(PROMPT, Sampling(temperature=1.0, seed=seed), 100, contract=terms)
        _, end, pieces = run(engine, job)
        tokens = [piece.token for piece in pieces if piece.token >= 0]
        place = tokens.index(65)
        assert place <= 50
        assert tokens[place + 1] == 66
        answer = engine.model.vocabulary.decode(tokens[place + 2 :]).decode()
        assert re.fullmatch(r"\[\d{1,3}(,\d{1,3}){0,5}\]", answer)


def test_reasoning_begins_only_where_the_model_opens_it(engine: Engine, table: TokenTable) -> None:
    """A model that does not reason is held to the grammar from its first token."""
    reasoning = Reasoning(open=1000, close=65)
    terms = contract(NUMBERS, table, reasoning=reasoning)
    text, _, _ = run(engine, Job(PROMPT, max_tokens=60, contract=terms))
    assert re.fullmatch(r"\[\d{1,3}(,\d{1,3}){0,5}\]", text)


def test_the_end_waits_until_the_grammar_accepts_it(tiny: Model, table: TokenTable) -> None:
    """However likely the end is, it is drawn only where the answer may end."""
    size = tiny.vocabulary.size
    logits = np.zeros(size, np.float32)
    logits[tiny.vocabulary.eos] = 50
    constraint: Constraint = compile_gbnf('root ::= "a" "b"?').start(table)
    sampler = ConstrainedSampler(
        Sampler(tiny.lib, size, Sampling(temperature=1)), Candidates(tiny.lib, size), size, 1
    )
    token = sampler.choose(logits, constraint)
    assert token is not None and table.piece(token) in (b"a", b"ab")
    constraint.accept(token)
    assert sampler.choose(logits, constraint) == tiny.vocabulary.eos
