"""Any beginning of a query can be brought to its end, and SQLite takes what comes out."""

import sqlite3
from collections.abc import Iterator

import pytest

from expert.forms import byte_table
from expert.grammar.constraint import GrammarConstraint
from expert.grammar.sql import check
from expert.grammar.sql.engine import compile_sql
from expert.grammar.sql.read import read_schema
from expert.grammar.tokens import TokenTable

DDL = """
CREATE TABLE singer (singer_id INT, name TEXT, age INT, "home town" TEXT);
CREATE TABLE concert (concert_id INT, title TEXT, year INT, stadium_id INT);
CREATE TABLE stadium (stadium_id INT, name TEXT, capacity INT);
CREATE TABLE singer_in_concert (singer_id INT, concert_id INT);
"""
QUERIES = (
    "SELECT name, age FROM singer WHERE age > 20 ORDER BY age DESC LIMIT 3",
    "SELECT COUNT(DISTINCT age), MAX(age) FROM singer GROUP BY name HAVING COUNT(*) >= 2",
    "SELECT T2.title, T1.age FROM singer AS T1 JOIN singer_in_concert AS T3 ON "
    "T1.singer_id = T3.singer_id JOIN concert AS T2 ON T2.concert_id = T3.concert_id",
    "SELECT singer.age, concert.year FROM singer JOIN concert",
    "SELECT T9.capacity, T8.title FROM concert AS T8 LEFT JOIN stadium AS T9 "
    "ON T8.stadium_id = T9.stadium_id WHERE T9.name LIKE '%Arena%' AND T8.year BETWEEN 1 AND 9",
    "SELECT age, title, capacity FROM concert, singer NATURAL JOIN stadium",
    "SELECT title FROM concert WHERE stadium_id IN (SELECT stadium_id FROM stadium WHERE "
    "capacity = (SELECT MAX(capacity) FROM stadium))",
    "SELECT age FROM singer EXCEPT SELECT year FROM concert UNION SELECT capacity FROM stadium",
    "SELECT \"home town\", CASE WHEN age > 9 THEN 'old' ELSE 'young' END AS how FROM singer",
    "WITH big AS (SELECT stadium_id, name FROM stadium) SELECT big.name FROM big",
    "SELECT name FROM (SELECT name, SUM(capacity) AS total FROM stadium) AS s WHERE s.total > 1",
    "SELECT name FROM singer WHERE EXISTS (SELECT 1 FROM singer_in_concert AS x "
    "WHERE x.singer_id = singer.singer_id) OR age IS NOT NULL",
    "SELECT name FROM stadium JOIN concert USING (stadium_id)",
)


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    """Return a database with the tables."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(DDL)
    yield connection
    connection.close()


def beginnings(query: str, octets: TokenTable) -> Iterator[tuple[str, GrammarConstraint]]:
    """Yield every beginning of a query that the constraint allows, and the constraint there."""
    constraint = compile_sql(read_schema(DDL)).start(octets)
    for place, byte in enumerate(query.encode()):
        yield query[:place], constraint
        assert constraint.allows(byte), query[: place + 1]
        constraint.accept(byte)


def ended(begun: str, constraint: GrammarConstraint, octets: TokenTable) -> str | None:
    """Return a beginning with the ending that is found for it."""
    found = constraint.ending()
    return None if found is None else begun + octets.decode(found).decode()


@pytest.mark.parametrize("query", QUERIES)
def test_every_beginning_finds_an_end_that_sqlite_takes(
    query: str, octets: TokenTable, database: sqlite3.Connection
) -> None:
    """Whichever byte is the last: within names, texts, brackets and clauses."""
    for begun, constraint in beginnings(query, octets):
        whole = ended(begun, constraint, octets)
        assert whole is not None, begun
        database.execute(f"EXPLAIN {whole}")


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        ("SELECT T2.title, T1.age FROM singer AS T1", " JOIN concert AS t2"),
        ("SELECT title, capacity FROM concert", " JOIN stadium"),
        ("SELECT capacity", " FROM stadium"),
        ("SELECT singer.age FROM sing", "er"),
        ("SELECT name FROM singer WHERE age IN (SELECT ye", "ar FROM concert)"),
        ("SELECT name FROM singer WHERE name LIKE '%a", "'"),
        ("SELECT name FROM singer WHERE age BETWEEN 3", " and 1"),
        ("SELECT CASE WHEN age > 3", " then 1 end FROM singer"),
        ("SELECT COUNT(*) FROM singer GROUP", " by singer_id"),
        ('SELECT "home', ' town" FROM singer'),
        ("SELECT title FROM concert LIMIT", " 1"),
        ("SELECT age FROM singer EXCEPT", " select singer_id FROM singer"),
    ],
)
def test_the_end_adds_what_is_lacking_and_no_more(
    begun: str, rest: str, octets: TokenTable
) -> None:
    """Tables by the names they were given, columns that fit, and what closes what is open."""
    constraint = compile_sql(read_schema(DDL)).start(octets)
    for byte in begun.encode():
        constraint.accept(byte)
    whole = ended(begun, constraint, octets)
    assert whole is not None and whole.removeprefix(begun).lower() == rest.lower()


def test_without_these_ways_many_beginnings_have_no_end(
    octets: TokenTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the tests above would say of a check that suggests nothing."""
    monkeypatch.setattr(check, "ways", lambda state, scanner: iter(()))
    found = [ended(*one, octets) for one in beginnings(QUERIES[2], octets)]
    assert found.count(None) > len(found) // 3


def test_an_answer_that_never_comes_to_its_tables_is_still_a_query(
    octets: TokenTable, database: sqlite3.Connection
) -> None:
    """A model that joins one table to itself again and again, with another one still to come."""
    constraint = compile_sql(read_schema(DDL)).start(octets, limit=160)
    written = "SELECT T2.capacity FROM singer AS T1"
    again = " JOIN singer AS A{0} ON A{0}.age = T1.age"
    wanted = written + "".join(again.format(n) for n in range(3, 30))
    while not constraint.finished() and len(constraint.tokens) < 160:
        place = len(constraint.tokens)
        wish = wanted.encode()[place]
        token = wish if constraint.allows(wish) else next(filter(constraint.allows, range(257)))
        constraint.accept(token)
    text = octets.decode([token for token in constraint.tokens if token < 256]).decode()
    assert text.startswith(written + again.format(3)) and "stadium" in text
    database.execute(f"EXPLAIN {text}")
