"""Tables found among the words of a question."""

import pytest

from expert.grammar.sql.find import find_tables

FOUND = [
    ("Schema: singer(id number pk, name). Question: How many?", {"singer": ["id", "name"]}),
    ("a(x, y)\nb(z number, x)\nfk: a.x=b.x\n\nList all x.", {"a": ["x", "y"], "b": ["z", "x"]}),
    ("CREATE TABLE t (a INT, b VARCHAR(9));\nHow many (all of them)?", {"t": ["a", "b"]}),
    ("create table t (a INT); create table u (b INT) -- which?", {"t": ["a"], "u": ["b"]}),
    ("t(price varchar(8), day) Which days?", {"t": ["price", "day"]}),
]


@pytest.mark.parametrize(("text", "tables"), FOUND)
def test_tables_are_found(text: str, tables: dict[str, list[str]]) -> None:
    """In running text, in lines, and as statements."""
    found = find_tables(text)
    assert found is not None
    assert {t.name: [c.name for c in t.columns] for t in found.tables.tables} == tables


def test_links_come_along() -> None:
    """The lines that say which columns belong together."""
    found = find_tables("a(x, y)\nb(z, x)\nfk: a.x=b.x")
    assert found is not None and found.tables.links == ("a.x=b.x",)


NONE = [
    "",
    "How many singers (and bands) are there?",
    "Use count(x) here",
    "f(",
    "CREATE TABLE",
    ")(",
]


@pytest.mark.parametrize("text", NONE)
def test_other_words_are_no_tables(text: str) -> None:
    """A remark in parentheses, a function, and what is not whole."""
    assert find_tables(text) is None


REST = [
    ("Schema: singer(id number pk, name). Question: How many?", "How many?"),
    ("How many?\n\n```sql\nCREATE TABLE x (id INT, n TEXT DEFAULT 'a(b');\n```", "How many?"),
    ("a(x, y)\nb(z, x)\nfk: a.x=b.x\n\nList all x (or y).", "List all x (or y)."),
    ("create table t (a INT, -- it's (one\n b INT) strict; Which?\nAnd why?", "Which?\nAnd why?"),
    ("SQL: t(a, b)", ""),
]


@pytest.mark.parametrize(("text", "rest"), REST)
def test_what_else_a_question_says(text: str, rest: str) -> None:
    """Without the tables, the labels around them and an empty fence."""
    found = find_tables(text)
    assert found is not None and found.rest == rest


@pytest.mark.parametrize(
    "part",
    ["(a", "a(b", "a(b)", "create table ", "create table t(", "create table t('", "--a\n", "-- ",
     "a(b,c)", "fk: x\n", "schema :", "```sql ", "\n \t.,;", " ,", " strict", "'", "\"`"],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "create table t(", "create table t(a)", "a(b, c)"])
def test_hostile_texts_come_to_an_end(before: str, part: str) -> None:
    """Nothing is tried in ways that double with each sign more."""
    find_tables(before + part * 20_000 + "x")
