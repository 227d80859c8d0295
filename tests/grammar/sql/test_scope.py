"""Which names mean something where, in statements of every clause, judged by SQLite."""

import random
import sqlite3
from collections.abc import Iterator

import pytest

from expert.forms import byte_table
from expert.grammar.constraint import Constraint
from expert.grammar.sql.check import SqlCheck, opening_check
from expert.grammar.sql.dialects import dialect_named
from expert.grammar.sql.engine import compile_sql
from expert.grammar.sql.grammar import functions_of
from expert.grammar.sql.read import read_schema
from grammar.vocabularies import accepts

KINDS = ("query", "insert", "update", "delete")
DDL = """
CREATE TABLE emp (id INT, name TEXT, boss INT, dept INT, pay REAL);
CREATE TABLE dept (id INT, title TEXT, head INT);
CREATE TABLE log (at TEXT, emp INT, note TEXT);
"""
SPOKEN = dialect_named("sqlite")
OPENED = opening_check(read_schema(DDL), SPOKEN, functions_of(SPOKEN))


@pytest.fixture(scope="module")
def start() -> Constraint:
    """Return the constraint of any statement about the tables, before its first byte."""
    return compile_sql(read_schema(DDL), kinds=KINDS).start(byte_table())


def push(text: str, state: SqlCheck | None = OPENED) -> SqlCheck | None:
    """Follow a text byte by byte."""
    for byte in text.encode():
        state = state.push(bytes((byte,))) if state else None
    return state


def in_scope(text: str) -> bool:
    """Tell whether the check takes a whole statement."""
    state = push(text)
    return state is not None and state.complete()


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    """Return a database with the tables."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(DDL)
    yield connection
    connection.close()


def complaint(database: sqlite3.Connection, text: str) -> str:
    """Return what SQLite has against a statement; empty: nothing."""
    try:
        database.execute(f"EXPLAIN {text}")
    except sqlite3.Error as error:
        return str(error)
    return ""


# Statements with holes: {c} a column, {t} a table, {q} a qualifier.
FORMS = [
    "SELECT {c} FROM {t}",
    "SELECT {q}.{c} FROM {t} AS x",
    "SELECT {q}.{c}, {c} FROM {t} AS x, {t} AS y",
    "SELECT x.{c} FROM {t} AS x JOIN {t} AS y ON {q}.{c} = {q}.{c}",
    "SELECT {c} FROM {t} JOIN {t} AS y USING ({c})",
    "SELECT {c} FROM {t} NATURAL JOIN {t} AS y",
    "SELECT {c} FROM {t} WHERE {c} IN (SELECT {c} FROM {t})",
    "SELECT {c} FROM {t} AS x WHERE EXISTS"
    " (SELECT 1 FROM {t} AS y WHERE y.{c} = x.{c} AND {c} > 1)",
    "SELECT {c}, COUNT(*) FROM {t} GROUP BY {c} HAVING COUNT({c}) > 1 ORDER BY {c}",
    "SELECT {c} AS n FROM {t} ORDER BY {c}, n",
    "SELECT {c} AS pay FROM {t} ORDER BY pay",
    "SELECT {c} FROM {t} UNION SELECT {c} FROM {t} ORDER BY {c}",
    "WITH w AS (SELECT {c}, {c} AS z FROM {t}) SELECT {c}, z FROM w",
    "WITH w (p, q) AS (SELECT {c}, 1 FROM {t}) SELECT w.q, p FROM w JOIN {t} AS x ON x.{c} = q",
    "SELECT s.{c} FROM (SELECT {c} FROM {t}) AS s",
    "SELECT {c} FROM (SELECT * FROM {t}) AS s JOIN {t} AS y ON s.{c} = y.{c}",
    "SELECT (SELECT MAX({c}) FROM {t} AS y WHERE y.{c} = x.{c}) FROM {t} AS x",
    "SELECT {q}.* FROM {t} AS x, {t} AS y",
    "SELECT CASE WHEN {c} > 1 THEN {c} ELSE 2 END FROM {t}",
    "SELECT {c}, RANK() OVER (PARTITION BY {c} ORDER BY {c}) FROM {t}",
    "INSERT INTO {t} ({c}, {c}) VALUES (1, 2)",
    "INSERT INTO {t} ({c}) SELECT {c} FROM {t}",
    "INSERT INTO {t} ({c}) VALUES (1) RETURNING {c}",
    "UPDATE {t} SET {c} = {c} + 1 WHERE {c} > 2",
    "UPDATE {t} SET {c} = (SELECT {c} FROM {t} AS y WHERE y.{c} = 1)",
    "DELETE FROM {t} WHERE {c} NOT IN (SELECT {c} FROM {t})",
]  # fmt: skip
COLUMNS = ["id", "name", "boss", "dept", "pay", "title", "head", "at", "emp", "note"]
SCOPED = ("no such column", "ambiguous column", "no such table", "not authorized", "has no column")


def filled(form: str, draw: random.Random) -> str:
    """Fill the holes, columns mostly from tables that are there."""
    holders = {"emp": "id name boss dept pay", "dept": "id title head", "log": "at emp note"}
    tables = [draw.choice(["emp", "dept", "log"]) for _ in range(form.count("{t}"))]
    near = " ".join(holders[table] for table in tables).split()
    names = iter(tables)
    text = form
    while "{" in text:
        start = text.index("{")
        made = {
            "t": lambda: next(names), "q": lambda: draw.choice(["x", "y", "emp", "dept"]),
            "c": lambda: draw.choice(near if draw.random() < 0.85 else COLUMNS),
        }[text[start + 1]]()  # fmt: skip
        text = text[:start] + made + text[start + 3 :]
    return text


@pytest.mark.parametrize("form", FORMS)
def test_a_statement_is_in_scope_if_sqlite_prepares_it(
    database: sqlite3.Connection, form: str
) -> None:
    """What is in scope SQLite prepares; what SQLite finds no name for is refused."""
    right = wrong = lost = 0
    for seed in range(60):
        text = filled(form, random.Random(seed))
        allowed, problem = in_scope(text), complaint(database, text)
        assert not (allowed and problem), f"{problem}: {text}"
        right += allowed
        wrong += problem.startswith(SCOPED)
        lost += not allowed and not problem
    assert right >= 1 and right + wrong >= 10
    assert lost <= right, "too narrow"


@pytest.mark.parametrize(
    ("begun", "right", "wrong"),
    [
        ("SELECT na", "me FROM emp", "mx"),
        ("SELECT name FROM ", "emp", "x"),
        ("SELECT name FROM emp WHERE ", "dept = 1", "title"),
        ("SELECT e.title, e.", "head", "pay"),
        ("SELECT name FROM emp ORDER BY ", "1", "2"),
        ("SELECT x.name FROM emp AS ", "x", "y JOIN log ON x.at = 1"),
        ("SELECT name FROM emp JOIN dept USING (", "id)", "n"),
        ("SELECT name FROM emp UNION SELECT ", "title FROM dept", "title, id FROM"),
        ("INSERT INTO dept (id, ", "head", "id"),
        ("INSERT INTO dept VALUES (1, 2, ", "3)", "3, 4)"),
        ("UPDATE log SET ", "note = 1", "name"),
        ("WITH w AS (SELECT id FROM emp) SELECT ", "id FROM w", "id FROM v"),
        ("SELECT COUNT(", "*) FROM emp", "COUNT("),
        ("SELECT name FROM emp WHERE ", "pay > 1", "SUM("),
        ("SELECT name FROM (SELECT name FROM emp) AS s WHERE ", "name = 1", "pay"),
    ],
)
def test_a_wrong_name_is_refused_where_it_goes_wrong(begun: str, right: str, wrong: str) -> None:
    """The same beginning goes on rightly, and not wrongly."""
    state = push(begun)
    assert state is not None
    assert push(right, state) is not None
    refused = push(wrong, state)
    assert refused is None or not refused.complete()


def test_names_may_be_in_any_case() -> None:
    """As SQLite compares them, also through aliases."""
    assert in_scope("select E.NAME from EMP as e where E.Pay > 1 order by NAME")
    assert in_scope('SELECT "Name" FROM Emp')
    assert not in_scope("SELECT E.NAMES FROM EMP AS e")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT", "SELECT name", "SELECT name FROM",
        "SELECT name FROM emp WHERE id IN (SELECT id FROM emp",
        "SELECT name FROM emp WHERE name = 'x", "SELECT emp.", "INSERT INTO dept (id",
        "DELETE FROM",
        "WITH w AS (SELECT id FROM emp)", "SELECT name FROM emp JOIN", "UPDATE emp",
        "UPDATE emp SET pay =",
        "SELECT x.name FROM emp", "SELECT name FROM emp ORDER BY", "INSERT INTO dept VALUES (1, 2",
    ],
)  # fmt: skip
def test_half_a_statement_is_not_complete(start: Constraint, text: str) -> None:
    """Open brackets, quotations, clauses and qualifiers ask for more."""
    constraint = start.copy()
    for byte in text.encode():
        assert constraint.allows(byte)
        constraint.accept(byte)
    assert not constraint.can_end()


def test_a_statement_ends_with_its_semicolon(start: Constraint) -> None:
    """No second one follows, and nothing else."""
    for text, right in (
        ("SELECT name FROM emp", True), ("SELECT name FROM emp;", True), ("SELECT name FROM emp ;",
        True),
        ("SELECT name FROM emp; SELECT 1", False), ("SELECT name FROM emp;;", False),
        ("SELECT 1 2", False),
    ):  # fmt: skip
        assert accepts(start.copy(), [*text.encode()]) is right, text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT e.name FROM emp AS e JOIN log ON pay JOIN emp AS x",
        "SELECT e.name FROM emp AS e JOIN log ON pay = 1 JOIN emp AS x ON 1 WHERE e.id = 1",
        "SELECT e.name FROM emp AS e JOIN log ON e.pay JOIN emp AS x",
        "SELECT e.name FROM emp AS e JOIN log ON pay JOIN dept",
        "SELECT e.name FROM emp AS e JOIN log ON pay JOIN emp AS x USING (pay)",
    ],
)
def test_a_later_table_may_make_a_condition_ambiguous(
    text: str, start: Constraint, database: sqlite3.Connection
) -> None:
    """SQLite looks the columns of every ON up in all tables of FROM."""
    try:
        database.execute(f"EXPLAIN {text}")
        right = True
    except sqlite3.Error:
        right = False
    assert accepts(start.copy(), [*text.encode()]) is right, text


def test_places_where_tables_were_chosen_are_kept() -> None:
    """There a search that has failed can go back to."""
    state = push("SELECT name FROM emp JOIN dept ON emp.id = head WHERE pay > 1")
    assert state is not None
    assert len(state.anchors()) == 2
    assert list(state.anchors()) == sorted(state.anchors())


def test_brackets_have_a_depth() -> None:
    """More than a dozen inside each other are refused, not followed for ever."""
    deep = "SELECT name FROM emp WHERE pay > " + "(" * 8
    assert push(deep) is not None
    assert push(deep + "(" * 12) is None


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("SELECT * FROM emp JOIN dept USING (id) UNION SELECT 1, 2, 3, 4, 5, 6, 7", True),
        ("SELECT * FROM emp JOIN dept USING (id) UNION SELECT 1, 2, 3, 4, 5, 6, 7, 8", False),
        ("SELECT * FROM emp JOIN dept ON pay = head UNION SELECT 1, 2, 3, 4, 5, 6, 7, 8", True),
        ("SELECT * FROM emp NATURAL JOIN dept UNION SELECT 1, 2, 3, 4, 5, 6, 7", True),
        ("SELECT name FROM emp WHERE id IN (SELECT * FROM dept)", False),
        ("SELECT name FROM emp WHERE id = (SELECT id, head FROM dept)", False),
        ("INSERT INTO dept (id, head) VALUES (1, 2), (3)", False),
        ("INSERT INTO dept (id, head) VALUES (1, 2), (3, 4)", True),
        ("INSERT INTO dept SELECT * FROM log", True),
        ("INSERT INTO dept SELECT * FROM emp", False),
        ("SELECT name FROM emp JOIN emp ON name = name", False),
        ("SELECT name FROM emp JOIN log USING (id)", False),
        ("SELECT COUNT(*) FROM emp JOIN dept USING (id) WHERE id = 1", True),
        ("SELECT COUNT(*) FROM emp JOIN dept ON boss = head WHERE id = 1", False),
    ],
)
def test_widths_and_shared_columns(database: sqlite3.Connection, text: str, right: bool) -> None:
    """Stars are counted as SQLite counts them, columns of USING once."""
    assert in_scope(text) is right
    assert (complaint(database, text) == "") is right


def test_what_can_lead_to_nothing_is_not_begun() -> None:
    """No list of shared columns where tables share none, no second table of one name."""
    assert push("SELECT name FROM emp JOIN dept USING (") is not None
    assert push("SELECT name FROM emp JOIN log USING (") is None
    assert push("SELECT 1 FROM emp AS a JOIN dept AS b ON 1") is not None
    assert push("SELECT 1 FROM emp AS a JOIN dept AS a ON 1") is None
