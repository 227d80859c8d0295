"""Gold queries of the public training databases are allowed; wrong names in them never are."""

import io
import json
import random
import re
import sqlite3
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest
import zstandard

from expert.grammar.constraint import CompiledGrammar
from expert.grammar.sql.engine import compile_sql
from expert.grammar.sql.read import read_schema
from expert.grammar.tokens import TokenTable
from grammar.vocabularies import accepts


@dataclass(frozen=True)
class Gold:
    """A query that SQLite prepares, and its database."""

    database: Path
    sql: str


@pytest.fixture(scope="module")
def databases(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the training databases."""
    folder = tmp_path_factory.mktemp("databases")
    with (data / "experts" / "sql" / "train_databases.tar.zst").open("rb") as file:
        raw = zstandard.ZstdDecompressor().stream_reader(file).read()
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def gold(data: Path, databases: Path) -> list[Gold]:
    """Return each different query once, as it is written, if SQLite prepares it.

    Some rows name tables and columns in another language than their database does.
    """
    with (data / "experts" / "sql" / "train_spider.jsonl.zst").open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    rows = sorted({(row["db"], row["sql"]) for row in map(json.loads, text.splitlines())})
    found = [Gold(databases / f"{db}.sqlite", sql) for db, sql in rows]
    random.Random(4).shuffle(found)
    return [one for one in found if prepares(one.database, one.sql)]


def prepares(database: Path, sql: str) -> bool:
    """Tell whether SQLite takes *sql*."""
    return not complaint(database, sql)


def complaint(database: Path, sql: str) -> str:
    """Return what SQLite has against *sql*; empty: nothing."""
    try:
        _connect(database).execute(f"EXPLAIN {sql}")
    except sqlite3.Error as error:
        return str(error)
    return ""


@lru_cache(maxsize=200)
def _connect(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(database)


@lru_cache(maxsize=200)
def compiled(database: Path) -> CompiledGrammar:
    """Compile the grammar of a live database once."""
    return compile_sql(read_schema(database))


def mutants(one: Gold) -> Iterator[str]:
    """Yield the query with one name of a table or column made unknown, by turns."""
    schema = read_schema(one.database)
    names = {table.name.lower() for table in schema.tables}
    names |= {column.name.lower() for table in schema.tables for column in table.columns}
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: "\0" * len(quoted[0]), one.sql)
    for match in re.finditer(r"\w+", plain):
        if match[0].lower() in names:
            for wrong in (f"{match[0]}zz", f"zz{match[0]}"):
                yield one.sql[: match.start()] + wrong + one.sql[match.end() :]


@pytest.mark.parametrize("count", [50, pytest.param(10_000, marks=pytest.mark.slow)])
def test_gold_queries_are_allowed(table: TokenTable, gold: list[Gold], count: int) -> None:
    """At least 99.5 % of them, written exactly as they are."""
    some = gold[:count]
    refused = [
        one.sql
        for one in some
        if not accepts(compiled(one.database).start(table), table.encode(one.sql))
    ]
    assert len(some) >= 50
    assert len(refused) <= 0.005 * len(some), refused[:5]


@pytest.mark.parametrize("count", [15, pytest.param(1500, marks=pytest.mark.slow)])
def test_unknown_names_are_refused(table: TokenTable, gold: list[Gold], count: int) -> None:
    """Every query with one unknown table or column."""
    tried = 0
    for one in gold[:count]:
        for text in mutants(one):
            if prepares(one.database, text):
                continue  # it became an alias, which nobody refers to
            tried += 1
            assert not accepts(compiled(one.database).start(table), table.encode(text)), text
    assert tried > 3 * count


@pytest.mark.parametrize("count", [15, pytest.param(1500, marks=pytest.mark.slow)])
def test_columns_of_other_tables_are_refused(
    table: TokenTable, gold: list[Gold], count: int
) -> None:
    """Every query in which a column of another table stands, where SQLite finds it nowhere."""
    tried, draw = 0, random.Random(6)
    for one in gold[:count]:
        schema = read_schema(one.database)
        columns = sorted({column.name for each in schema.tables for column in each.columns})
        words = [match for match in re.finditer(r"\w+", one.sql) if match[0] in columns]
        for match in words[:4]:
            text = one.sql[: match.start()] + draw.choice(columns) + one.sql[match.end() :]
            if complaint(one.database, text).startswith("no such column"):
                tried += 1
                assert not accepts(compiled(one.database).start(table), table.encode(text)), text
    assert tried > count / 4


@pytest.mark.parametrize(
    ("count", "share"), [(60, 0.95), pytest.param(3000, 0.97, marks=pytest.mark.slow)]
)
def test_cut_queries_are_brought_to_an_end(
    table: TokenTable, gold: list[Gold], count: int, share: float
) -> None:
    """Cut at any token; for most of them an end is found, and SQLite takes what comes out."""
    draw, ended, tried = random.Random(7), 0, 0
    for one in gold[:count]:
        tokens = table.encode(one.sql)
        if not accepts(compiled(one.database).start(table), tokens):
            continue
        constraint = compiled(one.database).start(table)
        begun = tokens[: draw.randrange(len(tokens))]
        for token in begun:
            constraint.accept(token)
        found, tried = constraint.ending(), tried + 1
        if found is not None:
            ended += 1
            whole = table.decode([*begun, *found]).decode()
            assert not complaint(one.database, whole), whole
    assert tried >= 50 and ended >= share * tried
