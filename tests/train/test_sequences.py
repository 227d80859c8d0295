"""From conversations to tokens and batches: against the chat template itself, and by counting."""

from __future__ import annotations

import random
from typing import Any

import jinja2
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from expert.train.batches import SLACK, Sampler, assemble, grouped
from expert.train.budget import Budget
from expert.train.corpus import Sequences, encode_conversation, encode_document
from expert.train.examples import Example, Turn
from expert.train.generate import greedy
from expert.train.qwen3 import Qwen3, Shape
from expert.train.recipe import Knots, share
from expert.train.tokenizer import (
    CHAT_TEMPLATE,
    EMPTY_THOUGHT,
    END,
    STOP,
    token_id,
    train_tokenizer,
)

TEXTS = ("play the quick song", "über 3 birds", "a\nb\n\nc", "{x} % \\n <tag>", "日本 7", "x")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Return a small tokenizer."""
    return train_tokenizer(iter(TEXTS * 20), 320)


def drawn_example(rng: random.Random) -> Example:
    """Return a conversation of one to four turns, some with a system prompt."""
    turns = tuple(Turn(rng.choice(TEXTS), rng.choice(TEXTS)) for _ in range(rng.randint(1, 4)))
    return Example("t", "g", turns, rng.choice(("", "be brief")))


def shown(example: Example) -> str:
    """Return a conversation as the chat template writes it, thinking off."""
    messages = [{"role": "system", "content": example.system}] if example.system else []
    for turn in example.turns:
        messages.append({"role": "user", "content": turn.prompt.strip()})
        messages.append({"role": "assistant", "content": turn.answer.strip()})
    template = jinja2.Environment().from_string(CHAT_TEMPLATE)
    asked = template.render(
        messages=messages[:-1], add_generation_prompt=True, enable_thinking=False
    )
    return f"{asked}{messages[-1]['content']}{STOP}\n"


@pytest.mark.parametrize("seed", range(5))
def test_a_conversation_is_what_the_template_shows(tokenizer: Tokenizer, seed: int) -> None:
    """Token for token where the past has no thoughts; the loss is taken on answers alone."""
    rng = random.Random(seed)
    thoughts = 0
    for _ in range(40):
        example = drawn_example(rng)
        tokens, mask = encode_conversation(tokenizer, example)
        text = tokenizer.decode(tokens, skip_special_tokens=False)
        wanted = shown(example)
        bare = text.replace(EMPTY_THOUGHT, "")
        assert bare == wanted.replace(EMPTY_THOUGHT, "")
        thoughts += text.count(EMPTY_THOUGHT) > 1
        if text == wanted:
            assert tokens == tokenizer.encode(wanted).ids
        learnt = tokenizer.decode(
            [t for t, m in zip(tokens, mask, strict=True) if m], skip_special_tokens=False
        )
        answers = "".join(turn.answer.strip() + STOP for turn in example.turns)
        assert learnt.replace(EMPTY_THOUGHT, "") == answers and len(mask) == len(tokens)
    assert thoughts


@pytest.mark.parametrize("longest", [16, 17, 50, 10_000])
def test_a_document_is_cut_and_nothing_is_lost_but_a_short_end(
    tokenizer: Tokenizer, longest: int
) -> None:
    """Pieces follow each other; the end of text is marked."""
    text = " ".join(TEXTS * 30)
    pieces = list(encode_document(tokenizer, text, longest))
    whole = [*tokenizer.encode(text).ids, token_id(tokenizer, END)]
    joined = [token for piece in pieces for token in piece]
    assert joined == whole[: len(joined)] and len(whole) - len(joined) < 16
    assert all(16 <= len(piece) <= longest for piece in pieces)
    assert not list(encode_document(tokenizer, "x", longest))


def sequences(rng: random.Random, count: int) -> Sequences:
    """Return random sequences whose tokens tell which one they are of."""
    lengths = [rng.randint(2, 40) for _ in range(count)]
    tokens = np.concatenate([np.full(n, place, np.uint32) for place, n in enumerate(lengths)])
    mask = np.array([rng.randint(0, 1) for _ in range(sum(lengths))], np.uint8)
    return Sequences(tokens, mask, np.cumsum([0, *lengths]))


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_learns_every_masked_token_once(seed: int) -> None:
    """Each but a sequence's first, from the position before it, in its own sequence and task."""
    rng = random.Random(seed)
    part = sequences(rng, 12)
    rows: list[Any] = [(*part.get(n), rng.choice("ab")) for n in range(len(part))]
    rows.sort(key=lambda row: -len(row[0]))
    batch = assemble(rows, ["a", "b"])
    wanted = [
        (int(token), "ab".index(name))
        for tokens, mask, name in rows
        for token, learnt in zip(tokens[1:], mask[1:], strict=True)
        if learnt
    ]
    assert list(zip(batch.targets.tolist(), batch.tasks.tolist(), strict=True)) == wanted
    assert batch.tokens[batch.where].tolist() == batch.targets.tolist()
    assert batch.size == sum(len(row[0]) for row in rows)
    fewer = assemble(rows, ["a", "b"], 7)
    assert 0 < len(fewer.where) <= 7 and set(fewer.where.tolist()) <= set(batch.where.tolist())


@pytest.mark.parametrize("seed", range(5))
def test_groups_hold_all_rows_and_little_else(seed: int) -> None:
    """Longest first; none is much shorter than its group."""
    rng = random.Random(seed)
    lengths = sorted((rng.randint(1, 300) for _ in range(rng.randint(1, 60))), reverse=True)
    groups = grouped(lengths)
    assert sum(group.count for group in groups) == len(lengths)
    at = 0
    for group in groups:
        members = lengths[at : at + group.count]
        assert group.length == members[0] and members[-1] >= SLACK * group.length - 4
        at += group.count
    assert grouped([]) == ()


@pytest.mark.parametrize("seed", range(3))
def test_a_task_without_a_share_is_never_drawn(seed: int) -> None:
    """The others get theirs of the tokens; a task without sequences is none."""
    rng = random.Random(seed)
    corpus = {name: sequences(rng, 30) for name in "abc"}
    corpus["empty"] = Sequences(np.zeros(0, np.uint32), np.zeros(0, np.uint8), np.array([0]))
    mix: dict[str, Knots] = {
        "a": ((0.0, 3.0),),
        "b": ((0.0, 1.0),),
        "c": ((0.0, 0.0),),
        "empty": ((0.0, 9.0),),
    }
    sampler = Sampler(corpus, mix, seed, 400)
    sizes = dict.fromkeys("abc", 0)
    for _ in range(60):
        for name, index in sampler.choose(0.5):
            sizes[name] += corpus[name].length(index)
    assert sizes["c"] == 0 and sizes["a"] / sizes["b"] == pytest.approx(3, rel=0.05)


PLACES: list[Any] = [
    {"debts": {"a": 0.0}, "passes": {"a": (0, 30)}},
    {"debts": {"a": 0.0}, "passes": {"a": (0, -1)}},
    {"debts": {"a": 0.0}, "passes": {"a": 3}},
    {"debts": {"a": float("nan")}, "passes": {"a": (0, 0)}},
    {"debts": {}, "passes": {"a": (0, 0)}},
    {"debts": {"a": 0.0}, "passes": {}},
]


@pytest.mark.parametrize("state", PLACES, ids=range(len(PLACES)))
def test_a_sampler_refuses_a_place_that_its_data_has_not(state: Any) -> None:
    """And draws on from where it was."""
    sampler = Sampler({"a": sequences(random.Random(1), 30)}, {"a": ((0.0, 1.0),)}, 1, 100)
    sampler.choose(0)
    before = sampler.state()
    with pytest.raises((KeyError, TypeError, ValueError)):
        sampler.restore(state)
    assert sampler.state() == before and sampler.choose(0)


@pytest.mark.parametrize("seed", range(6))
def test_a_rate_is_between_zero_and_one_and_ends_near_zero(seed: int) -> None:
    """Whatever warm-up and decay; asked to finish at any moment, it ends no later."""
    rng = random.Random(seed)
    for _ in range(60):
        total = rng.uniform(1, 1000)
        budget = Budget(total, rng.choice((0.0, 0.1, 1.0)) * total, rng.random() * total)
        asked = rng.random()
        rates = []
        while not budget.over:
            if budget.progress >= asked:
                budget.finish(rng.choice((None, total / 7)))
            rates.append(budget.rate)
            budget.spent += total / 97
        assert all(0 <= rate <= 1 for rate in rates) and budget.total <= total
        assert budget.rate == 0.0 or not budget.decay
        assert Budget(**budget.state()).progress == budget.progress == 1.0  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("decay", [100.0, 150.0])
def test_a_run_that_is_all_decay_can_be_asked_to_finish(decay: float) -> None:
    """There is no planned share to shorten it by, so it decays on as it does."""
    budget = Budget(100.0, 0.0, decay, spent=40.0)
    rate = budget.rate
    budget.finish()
    assert (budget.total, budget.rate) == (100.0, rate)
    budget = Budget(100.0, 0.0, decay, spent=40.0)
    budget.finish(10.0)
    assert budget.total == 50.0


@pytest.mark.parametrize("seed", range(3))
def test_shares_lie_between_their_points(seed: int) -> None:
    """As numpy draws the line, and nothing before the first point."""
    rng = random.Random(seed)
    places = sorted(rng.random() for _ in range(4))
    knots = tuple((place, rng.random()) for place in places)
    for at in np.linspace(0, 1, 101):
        wanted = 0.0 if at < places[0] else np.interp(at, places, [k[1] for k in knots])
        assert share(knots, float(at)) == pytest.approx(wanted)


@pytest.fixture(scope="module")
def model() -> Qwen3:
    """Return a random model with a context of 32 tokens."""
    torch.manual_seed(0)
    shape = Shape(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32,
    )  # fmt: skip
    return Qwen3(shape).eval()


def test_answers_end_where_the_context_does(model: Qwen3) -> None:
    """A prompt that fills it has no room for a token, and no prompts have no answers."""
    assert greedy(model, [], {1}, 5) == []
    full = list(range(2, 34))
    assert greedy(model, [full], set(), 5) == [[]] == greedy(model, [[3, 4]], set(), 0)
    assert [len(one) for one in greedy(model, [full[:30], full[:3]], set(), 9)] == [2, 2]
    assert len(greedy(model, [full[:3]], set(), 9)[0]) == 9


@pytest.mark.parametrize("seed", range(3))
def test_answers_do_not_depend_on_their_neighbours(model: Qwen3, seed: int) -> None:
    """Padding is never seen: a batch answers as each prompt alone."""
    rng = random.Random(seed)
    prompts = [[rng.randrange(64) for _ in range(rng.randint(1, 9))] for _ in range(3)]
    stops = set(rng.sample(range(64), 5))
    together = greedy(model, prompts, stops, 6)
    assert together == [greedy(model, [prompt], stops, 6)[0] for prompt in prompts]
    assert all(not stops & set(answer) for answer in together)


def test_sequences_lie_end_to_end() -> None:
    """Their lengths add up, and each is its own."""
    part = sequences(random.Random(3), 9)
    assert len(part) == 9 and sum(part.length(n) for n in range(9)) == len(part.tokens)
    assert [int(part.get(n)[0][0]) for n in range(9)] == list(range(9))
