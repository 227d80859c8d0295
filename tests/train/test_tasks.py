"""Rows become natural requests with exact, valid answers."""

import json
import random
import re
from pathlib import Path

import pytest

from expert.train.examples import Source
from expert.train.rows import read_rows
from expert.train.tasks import BUILDERS
from expert.train.tasks.calls import signature
from expert.train.tasks.copying import KINDS as COPYING
from expert.train.tasks.notation import NotationError, read_nlrx, read_term
from expert.train.tasks.pattern import searched
from expert.train.tasks.regex import filled
from expert.train.tasks.skills import KINDS as SKILLS
from expert.train.tasks.sql import normalise, repair_wikisql
from expert.train.words import mixed

WORDS = tuple(f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz") * 20

NLRX = [
    (". * [ <NUM> ] . *", "[0-9]", "ab1", "abc"),
    (". * <M0>", "<M0>$", "x <M0>", "<M0> x"),
    ("( <M0> ) ( . * )", "^<M0>", "<M0> x", "x <M0>"),
    (". * ( [ <VOW> ] ) & ( <M0> ) . *", "^(?=.*[AEIOUaeiou])(?=.*<M0>)", "a<M0>", "<M0>"),
    ("~ ( ( <M0> ) | ( [ <CAP> ] ) )", "^(?!.*(?:<M0>|[A-Z]))", "abc", "aBc"),
    ("~ ( . * <M0> . * )", "^(?!.*<M0>)", "abc", "a<M0>"),
    ("( ( <M0> ) { 6 , } ) . *", "^(?:<M0>){6,}", "<M0>" * 6, "<M0>" * 5),
    ("( [ <LET> ] ) +", "^[A-Za-z]+$", "abc", "ab1"),
]


@pytest.mark.parametrize(("notation", "pattern", "accepted", "refused"), NLRX)
def test_nlrx_becomes_python(notation: str, pattern: str, accepted: str, refused: str) -> None:
    """NL-RX notation becomes a short pattern that finds the lines meant, and only those."""
    written = searched(read_nlrx(notation))
    assert written == pattern
    assert re.search(written, accepted)
    assert not re.search(written, refused)


@pytest.mark.parametrize("notation", ["( a", "* a", "a )", "", "[ <NUM>", "a | | b", "( )"])
def test_broken_notation_is_refused(notation: str) -> None:
    """A pattern that is not in the notation is an error, never a wrong answer."""
    with pytest.raises(NotationError):
        read_nlrx(notation)


def test_intersections_python_cannot_write_are_refused() -> None:
    """An intersection inside a sequence has no exact lookahead."""
    with pytest.raises(NotationError):
        read_term("concat(and(<num>,<let>),<cap>)")


def test_structured_patterns_agree_with_their_examples(data: Path) -> None:
    """Every converted StructuredRegex pattern accepts and refuses the data set's own strings."""
    checked = 0
    for row in read_rows(data / "experts/regex/structuredregex_dev.jsonl.zst"):
        try:
            pattern = re.compile(searched(read_term(row["regex"])))
        except NotationError:
            continue
        checked += 1
        assert all(pattern.search(text) for text in row["pos_examples"].split(" "))
        assert not any(pattern.search(text) for text in row["neg_examples"].split(" "))
    assert checked > 200


def test_placeholders_get_the_same_word_on_both_sides() -> None:
    """A description and its pattern name the same words, escaped in the pattern."""
    text, pattern = filled("<M0> before <M1>", "<M0>.*<M1>", WORDS, random.Random(2))
    first, second = re.findall(r'"([^"]+)"', text)
    assert pattern == f"{re.escape(first)}.*{re.escape(second)}"


def test_sql_is_normalised() -> None:
    """SQL gets ordinary spacing, the schema's spelling, upper-case keywords and '...' strings."""
    schema = "WINE(Price number, Grape)\nowners(Owner_Id)"
    sql = (
        "select AVG(price) , count(*) FROM wine as t1 JOIN OWNERS ON t1.grape = owners.owner_id "
        'WHERE grape = "Zin\'s" AND price > = 3;'
    )
    assert normalise(sql, schema) == (
        "SELECT AVG(Price), COUNT(*) FROM WINE AS T1 JOIN owners ON T1.Grape = owners.Owner_Id "
        "WHERE Grape = 'Zin''s' AND Price >= 3"
    )


def test_wikisql_values_are_quoted_as_the_question_spells_them() -> None:
    """Bare text becomes a string in the question's own letters; numbers lose their commas."""
    row = {
        "question": "Who watched FOX TV after 1,200?",
        "sql": "SELECT who FROM t WHERE channel = fox tv AND attendance > 1,200",
    }
    assert repair_wikisql(row) == (
        "SELECT who FROM t WHERE channel = 'FOX TV' AND attendance > 1200"
    )
    assert repair_wikisql({**row, "sql": "SELECT a FROM t WHERE b = absent"}) is None


def test_function_signatures_are_short() -> None:
    """A function shows its arguments, and the choices of those with few."""
    schema = {
        "slots": [
            {"name": "city", "is_categorical": False, "possible_values": []},
            {"name": "kind", "is_categorical": True, "possible_values": ["a", "b"]},
        ]
    }
    intent = {"name": "Find", "required_slots": ["city"], "optional_slots": {"kind": "a"}}
    assert signature(schema, intent) == "Find(city, kind: a|b)"


@pytest.mark.parametrize("exercise", COPYING + SKILLS, ids=lambda kind: kind.__name__)
def test_exercises_are_answerable_and_repeatable(exercise: object) -> None:
    """An exercise has a prompt and an answer, the same for the same seed, and they vary."""
    assert callable(exercise)
    made = [exercise(random.Random(seed), WORDS) for seed in range(40)]
    assert made == [exercise(random.Random(seed), WORDS) for seed in range(40)]
    assert all(prompt and answer and answer == answer.strip() for prompt, answer in made)
    assert len(set(made)) > 5


@pytest.mark.parametrize("exercise", COPYING[:4], ids=lambda kind: kind.__name__)
def test_copying_answers_stand_in_the_prompt(exercise: object) -> None:
    """What is to be copied can be copied."""
    assert callable(exercise)
    for seed in range(40):
        prompt, answer = exercise(random.Random(seed), WORDS)
        assert answer in prompt


def test_mixed_words_include_invented_ones() -> None:
    """Some strings are not words, so that copying cannot be guessed."""
    assert (
        set(mixed(random.Random(1), WORDS, 60))
        - {w for w in WORDS}
        - {w.capitalize() for w in WORDS}
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_every_task_builds_from_the_real_rows(name: str, data: Path) -> None:
    """A task yields plenty of examples, none empty, JSON that parses and patterns that compile."""
    examples = list(BUILDERS[name](Source(data)))
    assert len(examples) > 1000
    for example in examples:
        for turn in example.turns:
            assert turn.prompt.strip() and turn.answer.strip()
    answers = [turn.answer for example in examples for turn in example.turns]
    if examples[0].task == "json":
        assert all(json.loads(answer) for answer in answers)
    if examples[0].task == "regex":
        assert all(re.compile(answer) for answer in answers)
