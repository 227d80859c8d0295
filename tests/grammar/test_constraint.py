"""Masks, validation, forced tokens, rollback and copies agree with each other."""

import json
import time

import pytest

from expert.errors import ContractError, UsageError
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.tokens import TokenTable
from grammar.vocabularies import accepts, allowed, generate
from support.checks import Sum

OBJECT = CompiledGrammar('start: %json {"type": "object"}')
LETTERS = CompiledGrammar("start: /[a-z]{1,8}/")
TEXTS = ['{"a": [1, -2.5e3, true], "née": "\\u0007é\\n"}', "{}", '{"x":{"y":{}}}']


@pytest.mark.parametrize("text", TEXTS)
def test_mask_and_validation_agree_on_every_token(table: TokenTable, text: str) -> None:
    """At each step the mask has exactly the tokens that `allows` lets through."""
    constraint = OBJECT.start(table)
    for token in table.encode(text):
        masked = allowed(constraint, table.size)
        assert masked == [t for t in range(table.size) if constraint.allows(t)]
        assert token in masked
        constraint.accept(token)
    assert constraint.can_end()


def test_both_end_tokens_end_a_whole_answer_and_no_other(table: TokenTable) -> None:
    """Half an answer cannot end; a whole one ends with either token and goes nowhere after."""
    constraint = LETTERS.start(table)
    assert not any(constraint.allows(end) for end in table.ends)
    constraint.accept(table.encode("a")[0])
    assert len(table.ends) == 2
    assert all(constraint.allows(end) for end in table.ends)
    constraint.accept(table.ends[0])
    assert constraint.finished()
    assert not constraint.allows(table.encode("b")[0])
    constraint.rollback(1)
    assert constraint.allows(table.encode("b")[0])


def test_control_tokens_are_never_text(table: TokenTable) -> None:
    """A grammar of any characters admits no control token, but may ask for one by id."""
    anything = CompiledGrammar("start: /(?s:.*)/").start(table)
    control = table.named("<|im_start|>")
    assert control is not None and not anything.allows(control)
    assert CompiledGrammar(f"start: <[{control}]>").start(table).allows(control)


def test_rollback_restores_every_earlier_mask(table: TokenTable) -> None:
    """Going back any number of tokens gives the mask that was there before."""
    constraint, masks = OBJECT.start(table), []
    tokens = table.encode(TEXTS[0])
    for token in tokens:
        masks.append(constraint.mask())
        constraint.accept(token)
    for back in (1, 2, 5):
        constraint.rollback(back)
        del tokens[-back:]
        assert constraint.mask() == masks[len(tokens)]
        assert constraint.text().encode() == table.decode(tokens)


def test_copies_are_independent(table: TokenTable) -> None:
    """What one branch accepts does not move the other."""
    first = OBJECT.start(table)
    first.accept(table.encode("{")[0])
    second = first.copy()
    before = second.mask()
    for token in table.encode('"a":1}'):
        first.accept(token)
    assert first.can_end() and not second.can_end()
    assert second.mask() == before


def test_forced_tokens_are_the_only_way_on(table: TokenTable) -> None:
    """Following forced tokens, and only them, writes the text the grammar dictates."""
    schema = '{"properties": {"capital": {"const": "Paris"}}, "required": ["capital"],'
    schema += ' "type": "object", "additionalProperties": false}'
    constraint = CompiledGrammar(f"start: %json {schema}").start(table)
    forced_count = 0
    while not constraint.finished():
        forced = constraint.forced() or allowed(constraint, table.size)[:1]
        forced_count += len(constraint.forced())
        for token in forced:
            constraint.accept(token)
    assert json.loads(constraint.text()) == {"capital": "Paris"}
    assert forced_count > 3


def test_a_refused_token_changes_nothing(table: TokenTable) -> None:
    """`accept` of what does not fit raises, and the constraint goes on as before."""
    constraint = LETTERS.start(table)
    constraint.accept(table.encode("a")[0])
    with pytest.raises(ContractError, match="does not fit"):
        constraint.accept(table.encode("1")[0])
    assert constraint.text() == "a"
    assert constraint.allows(table.encode("b")[0])


def test_a_bad_engine_grammar_is_a_typed_error(table: TokenTable) -> None:
    """The engine's words are in the error."""
    with pytest.raises(UsageError, match="missing"):
        CompiledGrammar("start: missing").start(table)


def test_a_vocabulary_without_an_end_is_refused() -> None:
    """An answer that cannot end must not begin."""
    with pytest.raises(UsageError, match="ends an answer"):
        TokenTable([b"a"], control=[], ends=[], encode=lambda _: [0])


def test_a_check_refuses_what_the_grammar_allows(table: TokenTable) -> None:
    """Tokens are held to the check as well, and so is the end."""
    constraint = CompiledGrammar("start: /[0-9]+/", Sum(5)).start(table)
    two, four, three = (table.encode(digit)[0] for digit in "243")
    assert not constraint.exact
    constraint.accept(two)
    assert not constraint.allows(four) and constraint.allows(three)
    assert not constraint.can_end()
    constraint.accept(three)
    assert constraint.can_end()
    constraint.rollback(1)
    assert not constraint.can_end() and constraint.allows(three)


@pytest.mark.parametrize("seed", range(20))
def test_retreating_from_dead_ends_finds_the_answer(table: TokenTable, seed: int) -> None:
    """Three digits that sum to 20 are found although most beginnings lead nowhere."""
    text = generate(CompiledGrammar("start: /[0-9]{3}/", Sum(20)).start(table), table, seed)
    assert text is not None and sum(map(int, text)) == 20


def test_a_hopeless_search_is_given_up(table: TokenTable) -> None:
    """When no answer exists, the error says so instead of an endless search."""
    with pytest.raises(ContractError, match="No answer was found"):
        generate(CompiledGrammar("start: /[0-2]{9}/", Sum(25)).start(table), table, 0)


def test_the_named_tokens_of_a_vocabulary(table: TokenTable) -> None:
    """Names are found as control tokens or as single text tokens, others are not."""
    assert table.piece(table.named("<|im_end|>") or 0) == b""
    assert table.named("no such name") is None


@pytest.mark.slow
def test_speed_on_a_vocabulary_of_151936_tokens(qwen: TokenTable) -> None:
    """A mask takes at most 80 us on average, validating a token at most 15, in thread time."""
    address = {"street": "12 St James's Square", "city": "London", "zip": None}
    record = {"name": "Ada", "tags": ["math", "née"], "address": address, "score": -1.5e3}
    tokens = qwen.encode(json.dumps(record, ensure_ascii=False))
    assert accepts(OBJECT.start(qwen), tokens)  # warm: the engine builds its states lazily
    masking = validating = 0.0
    constraint = OBJECT.start(qwen)
    for token in tokens:
        start = time.thread_time()
        constraint.mask()
        between = time.thread_time()
        assert constraint.allows(token)
        validating += time.thread_time() - between
        masking += between - start
        constraint.accept(token)
    assert masking / len(tokens) < 80e-6
    assert validating / len(tokens) < 15e-6
