"""Texts of a query that are words of the question: all of them may be written, and nothing else."""

import random
import re
import sqlite3

import pytest

from expert.forms import byte_table
from expert.grammar.constraint import Constraint
from expert.grammar.sql.copied import CODE, MOST
from expert.grammar.sql.engine import compile_sql
from expert.grammar.sql.read import read_schema
from grammar.vocabularies import accepts

TABLES = 'CREATE TABLE t (name TEXT, place TEXT, "home town" TEXT, day INT);'
QUESTION = "Who of O'Brien, anna-lena and  the \"Old 97's\" (Rome, 1998) won at 50 % on may 1st?"


def held(question: str) -> Constraint:
    """Return the constraint of a query whose texts are words of a question."""
    return compile_sql(read_schema(TABLES), question=question).start(byte_table())


@pytest.fixture(scope="module")
def start() -> Constraint:
    """Return the constraint for the question above."""
    return held(QUESTION)


def literal(text: str, quote: str = "'") -> str:
    """Return a text as SQL writes it."""
    return quote + text.replace(quote, quote * 2) + quote


@pytest.mark.parametrize(
    "text",
    [
        "O'Brien", "anna-lena", "the \"Old 97's\" (Rome, 1998)", "Old 97's", "Rome", "1998", "50 %",
        "may 1st", "and the", "Who of O'Brien", "%Brien%", "Rome%", "Anna-lena", "May 1st",
        "F", "CA", "Yes", "No", "", "%", "%X%", "O'Brien, anna-lena and the",
    ],
)  # fmt: skip
@pytest.mark.parametrize("quote", ["'", '"'])
def test_words_of_the_question_and_short_codes_are_allowed(
    text: str, quote: str, start: Constraint
) -> None:
    """With the question's quotes doubled, a capital at the front, and `%` around for LIKE."""
    query = f"SELECT name FROM t WHERE place = {literal(text, quote)} AND day > 3"
    assert accepts(start.copy(), [*query.encode()])


@pytest.mark.parametrize(
    "text",
    [
        "Brian", "anna-len", "ome,", "Rome 1998", "rOme", "lena and of", "1998)x", "nobody",
        "Har", "har", "f1", "yes", "QQQQ",
        "O' Brien", "may  1st", "Rome, 1998) won at 51", "%omes%", "abcd", "Old 97''s",
    ],
)  # fmt: skip
@pytest.mark.parametrize("quote", ["'", '"'])
def test_anything_else_is_not(text: str, quote: str, start: Constraint) -> None:
    """Words that are cut, changed, put in another order, or made up."""
    query = f"SELECT name FROM t WHERE place = {literal(text, quote)}"
    assert not accepts(start.copy(), [*query.encode()])
    assert accepts(compile_sql(read_schema(TABLES)).start(byte_table()), [*query.encode()])


def test_quotes_around_names_are_as_before(start: Constraint) -> None:
    """A column whose name has a space is no text."""
    for query, right in (
        ('SELECT "home town" FROM t', True),
        ("SELECT name AS who FROM t WHERE `home town` = 'Rome' ORDER BY who", True),
        ('SELECT "home tow" FROM t', False),
    ):
        assert accepts(start.copy(), [*query.encode()]) is right, query


def test_every_run_of_words_is_allowed_and_a_changed_one_is_not() -> None:
    """Questions of random words and marks, judged by a search in the question."""
    draw = random.Random(5)
    for _ in range(6):
        words = ["".join(draw.choices("abcdeé", k=draw.randint(4, 7))) for _ in range(9)]
        question = " ".join(word + draw.choice(("", "", ",", "-")) for word in words)
        start = held(question)
        for _ in range(25):
            first, last = sorted(draw.sample(range(len(words) + 1), 2))
            pattern = r"\W+".join(map(re.escape, words[first:last]))
            found = re.search(pattern, question)
            assert found is not None
            query = f"SELECT day FROM t WHERE name = '{found[0]}'"
            assert accepts(start.copy(), [*query.encode()]), found[0]
            place = draw.randrange(len(found[0]))
            other = found[0][:place] + "x" + found[0][place + 1 :]
            assert not accepts(
                start.copy(), [*f"SELECT day FROM t WHERE name = '{other}'".encode()]
            )


def test_a_text_that_was_begun_is_brought_to_its_end() -> None:
    """To the end of a word, and the query to its end, which SQLite takes."""
    query = "SELECT name FROM t WHERE place = 'the \"Old 97''s\" (Rome"
    with sqlite3.connect(":memory:") as database:
        database.executescript(TABLES)
        constraint = compile_sql(read_schema(TABLES), question=QUESTION).start(byte_table())
        for place, byte in enumerate(query.encode()):
            found = constraint.ending()
            assert found is not None, query[:place]
            database.execute(f"EXPLAIN {query[:place]}{bytes(found).decode()}")
            constraint.accept(byte)


@pytest.mark.parametrize("question", ["", " \n ", "?!", "日本 の 猫", "a" * 5000, "x " * 3000])
def test_any_question_makes_a_grammar(question: str) -> None:
    """No words at all, marks alone, other scripts, and very long ones."""
    start = held(question)
    assert accepts(start.copy(), [*b"SELECT day FROM t WHERE name = 'F'"])
    word = question.split()[0] if question.split() else "?"
    query = f"SELECT day FROM t WHERE name = {literal(word)}"
    assert accepts(start.copy(), [*query.encode()]) is bool(question.strip())


def test_of_a_long_question_the_last_words_count() -> None:
    """A file of many words before it does not keep an answer waiting for seconds."""
    words = [f"word{number}" for number in range(MOST + 500)]
    start = held(" ".join(words))
    for place, right in ((0, False), (499, False), (500, True), (-1, True)):
        query = f"SELECT day FROM t WHERE name = '{words[place]}'"
        assert accepts(start.copy(), [*query.encode()]) is right


def test_codes_are_short() -> None:
    """Three capitals name most things that a question says with another word."""
    start = held("who is there?")
    for length in range(6):
        query = f"SELECT day FROM t WHERE name = '{'Q' * length}'"
        assert accepts(start.copy(), [*query.encode()]) is (length <= CODE)
