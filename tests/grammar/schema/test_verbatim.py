"""Strings of the format `verbatim` are runs of whole words of the question, and nothing else."""

import json
import random
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest

from expert.errors import ContractError, UsageError
from expert.forms import byte_table
from expert.grammar.schema.contract import compile_schema, verify
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.verbatim import LONGEST, VERBATIM, hold_to

COPIED = {"type": "string", "format": VERBATIM}
NAMED = {
    "type": "object",
    "properties": {"name": COPIED, "all": {"type": "array", "items": COPIED}},
    "required": ["name"],
    "additionalProperties": False,
}
TABLE = byte_table()


def takes(schema: Any, question: str | None, answer: Any) -> bool:
    """Tell whether the mask engine lets an answer through to its end."""
    constraint = compile_schema(schema, question=question).start(TABLE)
    for token in TABLE.encode(json.dumps(answer, ensure_ascii=False)):
        if not constraint.allows(token):
            return False
        constraint.accept(token)
    return constraint.can_end()


def runs(question: str) -> set[str]:
    """Return every run of whole words, by brute force over all pairs of ends."""
    words = [found.span() for found in re.finditer(r"\w+|[^\w\s]+", question)]
    return {
        question[start:end]
        for place, (start, _) in enumerate(words)
        for _, end in words[place : place + LONGEST]
    }


QUESTIONS = [
    "play some seventies filipp kirkorow",
    'add "Don\'t (Stop)" & co. #1 ~ 5-6 {x} [y] a|b \\n $9 ^ ? * + .',
    "what s the weather in sarygamyş  at\n8 p m, 日本 😀 \x07 bell",
    "a a a b a a",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_exactly_the_runs_of_words_fit(question: str) -> None:
    """All of them; and of their neighbours, a letter more or less, only those that are runs too."""
    wanted, draw = runs(question), random.Random(question)
    near = {value[1:] for value in wanted} | {value + " " for value in wanted}
    near |= {value.swapcase() for value in wanted} | {"", "other"}
    for value in sorted(wanted):
        assert takes(COPIED, question, value), value
    for value in draw.sample(sorted(near), min(40, len(near))):
        assert takes(COPIED, question, value) == (value in wanted), value


def test_everywhere_in_a_schema() -> None:
    """In properties, lists, alternatives, definitions and beside other keywords."""
    question = "Ann met Bob in Rome"
    assert takes(NAMED, question, {"name": "Ann met", "all": ["Bob", "in Rome"]})
    assert not takes(NAMED, question, {"name": "Ann", "all": ["Bob", "Paris"]})
    either = {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/who"}], "$defs": {"who": COPIED}}
    assert takes(either, question, 5) and takes(either, question, "Rome")
    assert not takes(either, question, "rome")
    long = {**COPIED, "minLength": 4, "pattern": "^[A-Z]"}
    assert [takes(long, question, one) for one in ("Rome", "Ann", "met Bob")] == [
        True, False, False,
    ]  # fmt: skip


def test_a_definition_of_that_name_stays_the_users() -> None:
    """Theirs is another schema."""
    schema = {
        "type": "array", "items": {"anyOf": [COPIED, {"$ref": "#/$defs/verbatim"}]},
        "$defs": {"verbatim": {"type": "integer"}},
    }  # fmt: skip
    assert takes(schema, "one two", ["two", 7])
    assert not takes(schema, "one two", ["three"])


def test_the_final_check_knows_it_too() -> None:
    """A whole answer is judged by the same words, as jsonschema judges it with the pattern."""
    document = read_schema(NAMED)
    hold_to(document, "Ann met Bob")
    verify(document, '{"name":"met Bob"}')
    with pytest.raises(ContractError, match="does not keep"):
        verify(document, '{"name":"Bob met"}')
    (pattern,) = [one["pattern"] for one in document.definitions.values() if isinstance(one, dict)]
    for value in ("Ann", "Ann met Bob", "Bob Ann", "nn", ""):
        peer = jsonschema.Draft202012Validator({"type": "string", "pattern": pattern})
        assert peer.is_valid(value) == (value in runs("Ann met Bob"))


def test_a_value_has_a_longest_length() -> None:
    """So that a page of text stays quick to compile."""
    words = [f"w{number}" for number in range(LONGEST + 6)]
    question = " ".join(words)
    assert takes(COPIED, question, " ".join(words[3 : 3 + LONGEST]))
    assert not takes(COPIED, question, " ".join(words[3 : 4 + LONGEST]))


def test_a_page_of_text() -> None:
    """Two thousand words, and no value that is none of them."""
    draw = random.Random(4)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(1, 9))) for _ in range(2000)]
    question = " ".join(words)
    assert takes(NAMED, question, {"name": " ".join(words[1500:1505])})
    assert not takes(NAMED, question, {"name": f"{words[1500]} {words[3]}x"})


def test_without_a_question_it_is_an_annotation() -> None:
    """As for any format that nobody knows: `expert grammar test` takes any string."""
    assert takes(NAMED, None, {"name": "anything at all"})


@pytest.mark.parametrize("question", ["", " \n\t"])
def test_a_question_without_words(question: str) -> None:
    """Is an error that says what to do, if something is to be copied from it at all."""
    with pytest.raises(UsageError, match="no words to copy") as found:
        compile_schema(NAMED, question=question)
    assert "pipe" in found.value.fix
    assert takes({"type": "integer"}, question, 5)
