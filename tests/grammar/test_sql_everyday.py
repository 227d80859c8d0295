"""Statements that people write every day are allowed, in each dialect that has them.

The lists are in `tests/data/sql`, one statement a line; sqlglot judges that each is of its dialect.
"""

import sqlite3
from functools import lru_cache
from pathlib import Path

import pytest
import sqlglot

from expert.grammar.compile import compile_gbnf
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.sql.check import SqlCheck, opening_check
from expert.grammar.sql.dialects import DIALECTS, dialect_named
from expert.grammar.sql.engine import compile_sql
from expert.grammar.sql.grammar import functions_of
from expert.grammar.sql.read import read_schema
from expert.grammar.tokens import TokenTable
from expert.resources import data as shipped
from grammar.vocabularies import accepts

FOLDER = Path(__file__).resolve().parents[1] / "data" / "sql"
KINDS = ("query", "insert", "update", "delete")
NOT_YET = (
    "SELECT AVG(spent) FROM (SELECT",  # a name before the subquery that makes it: ADR 23
    "SELECT PERCENTILE_CONT(",
    "UPDATE orders o JOIN",
    "DELETE o FROM",
)
"""Beginnings of the statements that are still refused."""
STATEMENTS = [
    (dialect, line)
    for dialect in DIALECTS
    for name in ("common", dialect)
    for line in (FOLDER / f"everyday-{name}.sql").read_text("utf-8").splitlines()
]
ALLOWED = [(dialect, text) for dialect, text in STATEMENTS if not text.startswith(NOT_YET)]
WRONG = [
    ("sqlite", "SELECT DISTINCT(town) FROM customers", "no such column in brackets"),
    ("sqlite", "SELECT COUNT(DISTINCT(total)) FROM customers", "another table's column"),
    ("sqlite", "SELECT SUM(CASE WHEN state = 'paid' THEN 1 ELSE 0 END) FROM orders", "in CASE"),
    ("sqlite", "SELECT GROUP_CONCAT(name, ', ') FROM orders", "another table's column"),
    ("sqlite", "SELECT name FROM customers ORDER BY name COLLATE", "a half collation"),
    ("sqlite", "SELECT RANDOM(id) FROM customers", "an argument too many"),
    ("sqlite", "INSERT OR FORGET INTO customers (id) VALUES (1)", "no such way out"),
    ("sqlite", "REPLACE INTO customers (id, town) VALUES (1, 2)", "no such column"),
    ("sqlite", "REPLACE INTO customers (id, name) VALUES (1)", "too few values"),
    ("sqlite",
     "INSERT INTO products (id, stock) VALUES (1, 5) ON CONFLICT (size) DO NOTHING", "a column"),
    ("sqlite",
     "INSERT INTO products (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET size = 1", "a column"),
    ("sqlite",
     "INSERT INTO products (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET stock = excluded.size",
     "a column of the new row"),
    ("sqlite",
     "WITH RECURSIVE c AS (SELECT id FROM employees UNION ALL SELECT x.name FROM c AS x)"
     " SELECT id FROM c", "a column that the beginning does not make"),
    ("sqlite",
     "WITH c AS (SELECT id FROM employees UNION ALL SELECT id FROM c) SELECT id FROM c",
     "not called recursive"),
    ("postgres", "SELECT DISTINCT ON (town) name FROM customers", "no such column"),
    ("postgres", "UPDATE orders SET status = 'x' FROM customers WHERE customers.town = 'y'",
     "no such column"),
    ("postgres", "DELETE FROM orders USING customers WHERE products.id = 1", "not named"),
    ("postgres", "SELECT LEFT(town, 3) FROM customers", "no such column"),
    ("mysql", "INSERT INTO products (id) VALUES (1) ON DUPLICATE KEY UPDATE size = 1", "a column"),
    ("mysql",
     "INSERT INTO products (id) VALUES (1) ON DUPLICATE KEY UPDATE stock = VALUES(size)",
     "a column of the new row"),
]  # fmt: skip


@lru_cache(maxsize=8)
def compiled(dialect: str) -> CompiledGrammar:
    """Return the grammar of the shop's schema."""
    return compile_sql(read_schema(FOLDER / "schema.sql"), dialect, KINDS)


def opened(dialect: str) -> SqlCheck:
    """Return the scope check of the shop's schema."""
    spoken = dialect_named(dialect)
    schema = read_schema(FOLDER / "schema.sql")
    return opening_check(schema, spoken, functions_of(spoken))


@pytest.mark.parametrize(("dialect", "text"), ALLOWED)
def test_everyday_statements_are_allowed(table: TokenTable, dialect: str, text: str) -> None:
    """Token by token, as a model would write them."""
    assert accepts(compiled(dialect).start(table), table.encode(text))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_lists_are_of_their_dialects(dialect: str) -> None:
    """Sqlglot reads every line, and each dialect has at least a hundred of them."""
    texts = [text for spoken, text in STATEMENTS if spoken == dialect]
    assert len(texts) >= 100
    for text in texts:
        sqlglot.parse_one(text, read=dialect)


def test_sqlite_prepares_its_list() -> None:
    """SQLite itself takes every statement of its own list."""
    with sqlite3.connect(":memory:") as database:
        database.executescript((FOLDER / "schema.sql").read_text("utf-8"))
        for dialect, text in STATEMENTS:
            if dialect == "sqlite":
                database.execute(f"EXPLAIN {text}")


def test_what_is_not_known_yet_is_refused_not_mangled(table: TokenTable) -> None:
    """The few statements outside the grammar are refused; this list may only get shorter."""
    rest = [(dialect, text) for dialect, text in STATEMENTS if text.startswith(NOT_YET)]
    assert len(rest) <= 6
    for dialect, text in rest:
        assert not accepts(compiled(dialect).start(table), table.encode(text)), text


@pytest.mark.parametrize(("dialect", "text", "why"), WRONG)
def test_wrong_names_in_them_are_refused(
    table: TokenTable, dialect: str, text: str, why: str
) -> None:
    """The forms above are no way around the schema."""
    assert why
    assert not accepts(compiled(dialect).start(table), table.encode(text))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_cut_into_tokens_is_the_same(dialect: str) -> None:
    """The check gives one verdict on a text, however many of its bytes come at once."""
    draw = [1, 2, 3, 5, 8]
    for spoken, text in ALLOWED:
        if spoken != dialect:
            continue
        raw, state, place = text.encode(), opened(dialect), 0
        while place < len(raw):
            step = draw[(place * 7 + len(raw)) % len(draw)]
            after = state.push(raw[place : place + step])
            assert after, f"{text!r} at {place}"
            state, place = after, place + step
        assert state.complete(), text


@pytest.mark.parametrize("name", ["sql", "sql-select"])
def test_the_shipped_grammar_knows_distinct_in_brackets(table: TokenTable, name: str) -> None:
    """`SELECT DISTINCT(x)` needs no space, with or without a schema."""
    grammar = compile_gbnf(shipped("grammars").joinpath(f"{name}.gbnf").read_text("utf-8"))
    for text in (
        "SELECT DISTINCT(city) FROM customers",
        "SELECT DISTINCT (city) AS c, name FROM customers",
        "SELECT COUNT(DISTINCT(city)) FROM customers",
        "SELECT SUM(CASE WHEN a = 1 THEN 1 ELSE 0 END) FROM t",
        "SELECT RANDOM()",
    ):
        assert accepts(grammar.start(table), table.encode(text)), text
    assert not accepts(grammar.start(table), table.encode("SELECT DISTINCTcity FROM customers"))


def test_both_shipped_files_are_gbnf() -> None:
    """They read, and the query part has no definitions of tables."""
    rules = {
        name: parse_gbnf(shipped("grammars").joinpath(f"{name}.gbnf").read_text("utf-8")).rules
        for name in ("sql", "sql-select")
    }
    assert set(rules["sql-select"]) < set(rules["sql"])
    assert "create" not in rules["sql-select"]
