"""Tables are read from their definitions as SQLite itself reads them."""

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from expert.errors import UsageError
from expert.grammar.sql.read import read_schema
from expert.grammar.sql.schema import Schema
from expert.grammar.sql.show import describe
from expert.grammar.sql.statements import kind_of, read_statements, unquote

TYPES = ["", "INTEGER", "int", "TEXT", "VARCHAR(20)", "DECIMAL(10, 2)", "double precision", "REAL"]
TYPES += ["DATE", "DATETIME", "timestamp", "BOOLEAN", "BLOB", "unsigned big int", "nvarchar(7)"]
RULES = [
    "",
    "NOT NULL",
    "UNIQUE",
    "DEFAULT 3",
    "DEFAULT 'a, b)'",
    "DEFAULT (1 + (2))",
    "CHECK (1 > 0)",
]
RULES += ["COLLATE NOCASE", "NOT NULL DEFAULT ''", "/* a, note */", "DEFAULT -1.5"]
NAMES = [
    "id",
    "name",
    "Full Name",
    "order",
    'qu"ote',
    "back`tick",
    "née",
    "x1",
    "key",
    "check",
    "_",
]
NAMES += ["primary", "a.b", "semi;colon", "com,ma", "par(en", "[odd"]


def quoted(draw: random.Random, name: str) -> str:
    """Return a name in one of the quotes that it can stand in, or plain."""
    plain = (
        name.isascii() and name.isidentifier() and name not in ("order", "key", "check", "primary")
    )
    ways = ['"' + name.replace('"', '""') + '"', "`" + name.replace("`", "``") + "`"]
    ways += [name] * 3 if plain else []
    ways += [] if "]" in name else [f"[{name}]"]
    return draw.choice(ways)


def random_statements(seed: int) -> str:
    """Return CREATE statements of a few tables, with keys, links, notes and other statements."""
    draw = random.Random(seed)
    tables = draw.sample(NAMES, draw.randint(1, 3))
    made = []
    for number, table in enumerate(tables):
        columns = draw.sample(NAMES, draw.randint(1, 5))
        keyed = draw.random() < 0.4
        entries = []
        for place, column in enumerate(columns):
            rule = "PRIMARY KEY" if keyed and not place else draw.choice(RULES)
            entries.append(f"{quoted(draw, column)} {draw.choice(TYPES)} {rule}")
            if number and draw.random() < 0.3:
                target = quoted(draw, tables[0])
                entries[-1] += f" REFERENCES {target} ({quoted(draw, 'x')})"
        if not keyed and draw.random() < 0.4:
            entries.append(f"PRIMARY KEY ({', '.join(quoted(draw, one) for one in columns[:2])})")
        if draw.random() < 0.3:
            entries.append("CONSTRAINT c CHECK (1 IN (2, 3))")
        if draw.random() < 0.3:
            entries.append(f"UNIQUE ({quoted(draw, columns[0])})")
        if draw.random() < 0.3:
            mine, target, theirs = (quoted(draw, one) for one in (columns[-1], table, "y"))
            entries.append(f"FOREIGN KEY ({mine}) REFERENCES {target} ({theirs})")
        middle = draw.choice([", ", ",\n  -- a note, with (signs)\n  "])
        start = draw.choice(["CREATE TABLE ", "create table if not exists ", "CREATE TABLE main."])
        made.append(f"{start}{quoted(draw, table)} ({middle.join(entries)})")
        if "PRIMARY KEY" in made[-1] and draw.random() < 0.3:
            made[-1] += " WITHOUT ROWID"
        index = f"CREATE INDEX i{number} ON {quoted(draw, table)} ({quoted(draw, columns[0])})"
        made.append(draw.choice(["SELECT 'create table no (x)'", index]))
    return ";\n".join(made) + ";"


def shown(schema: Schema) -> list[Any]:
    """Return what both ways of reading must agree on."""
    return [
        (table.name, [(one.name, one.kind, one.key) for one in table.columns])
        for table in schema.tables
    ]


@pytest.mark.parametrize("seed", range(0, 60, 20))
def test_definitions_are_read_as_sqlite_reads_them(tmp_path: Path, seed: int) -> None:
    """Names, types, keys and links, whatever stands around them."""
    links = 0
    for number in range(seed, seed + 20):
        text = random_statements(number)
        path = tmp_path / f"{number}.db"
        with sqlite3.connect(path) as database:
            database.executescript(text)
        database.close()
        ours, live = read_schema(text), read_schema(path)
        assert shown(ours) == shown(live), text
        assert sorted(ours.links) == sorted(live.links), text
        links += len(live.links)
    assert links > 4


@pytest.mark.parametrize("seed", range(0, 60, 20))
def test_what_is_described_is_read_again(seed: int) -> None:
    """The short notation keeps names, kinds, keys and links."""
    for number in range(seed, seed + 20):
        schema = read_schema(random_statements(number))
        if any(set(",.=") & set(one) for one in NAMES if any(one in part for part in schema.links)):
            continue  # a link has no quotes
        again = read_schema(describe(schema))
        assert shown(again) == shown(schema), describe(schema)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("INTEGER", "number"), ("int8", "number"), ("BIGSERIAL", "number"), ("double", "number"),
        ("MONEY", "number"), ("decimal(5,2)", "number"), ("NUMERIC", "number"), ("float4",
        "number"),
        ("DATE", "time"), ("timestamptz", "time"), ("DateTime", "time"), ("bool", "boolean"),
        ("TEXT", ""), ("varchar", ""), ("interval", ""), ("", ""), ("jsonb", ""),
    ],
)  # fmt: skip
def test_what_types_hold(type_: str, kind: str) -> None:
    """Numbers, times and truth; all else is text."""
    assert kind_of(type_) == kind


@pytest.mark.parametrize(
    ("name", "plain"),
    [('"a"', "a"), ('"a""b"', 'a"b'), ("`a``b`", "a`b"), ("[a b]", "a b"), ("a", "a")],
)
def test_quotes_of_names_are_taken_off(name: str, plain: str) -> None:
    """A doubled quote stands for one."""
    assert unquote(name) == (plain, name != plain)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("CREATE TEMP TABLE t (a)", ["t"]),
        ("CREATE TABLE s.t (a); CREATE UNLOGGED TABLE u (b)", ["t", "u"]),
        (
            "CREATE TABLE t (a) ENGINE=InnoDB; CREATE VIEW v AS SELECT 1; CREATE TABLE w (b)",
            ["t", "w"],
        ),
        ("-- CREATE TABLE no (a)\nCREATE TABLE t (a)", ["t"]),
        ("/* CREATE TABLE no (a) */ CREATE TABLE t (a)", ["t"]),
        ("CREATE TABLE t (a", ["t"]),
        ("CREATE TABLE (a)", []),
        ("CREATE TABLE t AS SELECT (1)", []),
        ("CREATE INDEX i ON t (a)", []),
        ("'CREATE TABLE t (a)'", []),
    ],
)
def test_which_tables_are_made(text: str, names: list[str]) -> None:
    """Of any dialect, temporary or not; never those of comments and texts."""
    tables, _ = read_statements(text)
    assert [table.name for table in tables if table.columns] == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t(a, b)", [("t", [("a", "", False), ("b", "", False)])]),
        ("t(a int pk, b text)\n", [("t", [("a", "number", True), ("b", "", False)])]),
        ('"my t"("a, b" date, c)', [("my t", [("a, b", "time", False), ("c", "", False)])]),
        (
            "-- note\nt(a);\nfk: t.a=u.b\nu(b)",
            [("t", [("a", "", False)]), ("u", [("b", "", False)])],
        ),
        ("t(full name, age number)", [("t", [("full name", "", False), ("age", "number", False)])]),
        ("t(a)\nT(b)", [("T", [("b", "", False)])]),
    ],
)
def test_the_short_notation(text: str, expected: list[Any]) -> None:
    """A table a line; the last of two that have one name counts."""
    assert shown(read_schema(text)) == expected


def test_a_line_that_is_no_table_is_placed() -> None:
    """By its number, with the line itself."""
    with pytest.raises(UsageError, match="schema:2:1: this is no table") as caught:
        read_schema("t(a)\nt b c\n")
    assert "t b c" in caught.value.why


def test_links_are_read_from_both_notations() -> None:
    """A link of several columns is several links."""
    text = "CREATE TABLE t (a, b, FOREIGN KEY (a, b) REFERENCES u (x, y)); CREATE TABLE u (x, y)"
    assert read_schema(text).links == ("t.a=u.x", "t.b=u.y")
    assert read_schema("t(a)\nu(x)\nfk: t.a=u.x,  t.a=u.x , t.b=u.y").links == (
        "t.a=u.x",
        "t.b=u.y",
    )
