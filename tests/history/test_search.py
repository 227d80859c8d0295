"""Searching the history: every text is a query, and finds what people mean by it."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from expert.history.history import History, user_history
from expert.history.query import match_expression
from expert.history.records import END, FOUND, Turn
from expert.types import ExpertUse, Sampling

TEXTS = [
    ("How do I list all files?", "ls -la"),
    ("Sum of the numbers", "SELECT sum(x) FROM t WHERE y <= 3"),
    ("Café in Zürich", "Ein Café."),
    ("日本語の質問です", "はい"),
    ("remove everything", "rm -rf ./build => gone"),
    ("numbers of files", "find . | wc -l"),
]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Return a history of a few turns."""
    folder = tmp_path_factory.mktemp("history")
    history = History(folder / "expert.db", folder / ".lock")
    for index, (prompt, answer) in enumerate(TEXTS):
        experts = (ExpertUse("sql", "ab", 1.0),) if index == 1 else ()
        history.record(
            Turn(prompt, answer, "stop", Sampling(), "tiny", "/m", experts=experts)
        )  # conversation N holds text N - 1
    history.rename(4, "Language of Kyoto")
    return history


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("files", {1, 6}),
        ("FILES list", {1}),
        ("cafe zurich", {3}),
        ('"all files"', {1}),
        ('"files all"', set()),
        ("num*", {2, 6}),
        ("files -numbers", {1}),
        ("files NOT numbers", {1}),
        ("zürich OR kyoto", {3}),
        ("list OR sum", {1, 2}),
        ("kyoto", {4}),
        ("本語", {4}),
        ("<= 3", {2}),
        ("=>", {5}),
        ("-rf", {5}),
        ("umber", {2, 6}),
        ("ÜRICH", {3}),
        ("nothing at all", set()),
        ("", set()),
        ("  ", set()),
        ("prompt:files", set()),
    ],
)
def test_queries_find(history: History, query: str, found: set[int]) -> None:
    """Words, phrases, beginnings, exclusions, alternatives, titles, and text as it stands."""
    assert {hit.conversation for hit in history.search(query)} == found


def test_hits_show_the_place(history: History) -> None:
    """The snippet marks what was found."""
    (hit,) = history.search("zurich")
    assert f"{FOUND}Zürich{END}" in hit.snippet
    assert hit.title == "Café in Zürich"


def test_hits_can_be_limited(history: History) -> None:
    """By number, and to what an expert answered."""
    assert len(history.search("num* OR files", limit=1)) == 1
    assert [hit.conversation for hit in history.search("numbers", expert="sql")] == [2]
    assert history.search("numbers", expert="other") == []


ALPHABET = [
    "a", "b1", '"', "'", "(", ")", "*", "^", "+", "-", ":", "{", "}", "AND", "OR", "NOT", "NEAR",
    "NEAR(", ",", "\0", "\ud800", "é", "日", "🙂", " ", "  ", "\n", "prompt:", "rank", "%", "_",
    "\\", ";", "--", "/*", "\x1b", "\u202e", "?", "@x", "#", "|", "&", "=", "<", "0", "9" * 40,
]  # fmt: skip


def test_no_query_is_an_error(history: History) -> None:
    """10,000 random ones, of operators, quotes and odd characters."""
    rng = random.Random(6)
    with closing(sqlite3.connect(history.database)) as connection:
        for index in range(10_000):
            query = "".join(rng.choices(ALPHABET, k=rng.randrange(1, 25)))
            if rng.random() < 0.5:
                query = query.replace("a", "files ")
            expression = match_expression(query)
            if expression:
                connection.execute(
                    "SELECT count(*) FROM turn_text WHERE turn_text MATCH ?", (expression,)
                ).fetchone()
            if index % 50 == 0:
                history.search(query)
    for query in ("a " * 100_000, '"' * 50_001, "OR " * 10_000, "x" * 1_000_000, "a OR " * 5000):
        history.search(query)


def test_operators_reach_the_index_only_as_text() -> None:
    """Outside of quotes nothing of the query is left."""
    assert match_expression('a" OR prompt:b NEAR(c)') == (
        '(("a""")) OR (("prompt:b" AND "NEAR(c)"))'
    )
    assert match_expression("--- *** ()") is None


def test_the_users_history_is_in_the_data_folder(home: Path) -> None:
    """Beside what is installed, in the one database."""
    assert user_history().database == home / "data" / "expert.db"
