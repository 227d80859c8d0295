"""Questions about other databases: the new query means on the new tables what the old one meant."""

import random
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from expert.train.corpus import held_out
from expert.train.examples import Source
from expert.train.rows import Row
from expert.train.split import is_heldout
from expert.train.tasks.databases import Notation, Pool, phrase, unaliased, varied
from expert.train.tasks.spider import spider
from train.conftest import write_rows

SCHEMA = (
    "singer(singer_id number pk, Name, Age number, home_town)\n"
    "concert(concert_id number pk, Title, Year number, singer_id number)\n"
    "stadium(stadium_id number pk, Capacity number)\n"
    "fk: concert.singer_id=singer.singer_id"
)
POOL = Pool(
    ["Budget_in_Billions", "vendor", "Gross_Price", "MemberID", "floor_numbers", "Dock"],
    ["O'Brien", "New York", "7-11", "the old one"],
)
ROWS: list[Row] = [
    {"question": "How many singers are older than 30?",
     "sql": "SELECT COUNT(*) FROM singer WHERE Age > 30"},
    {"question": "What is the age of the singer whose home town is 'Rome'?",
     "sql": "SELECT Age FROM singer WHERE home_town = 'Rome'"},
    {"question": "List the titles and years of concerts by Ann.",
     "sql": "SELECT concert.Title, concert.Year FROM concert JOIN singer ON "
            "concert.singer_id = singer.singer_id WHERE singer.Name = 'Ann'"},
    {"question": "Which year has 2 concerts? Give the year.",
     "sql": "SELECT Year FROM concert GROUP BY Year HAVING COUNT(*) = 2"},
]  # fmt: skip
ROWS = [{**row, "db": "music", "schema": SCHEMA} for row in ROWS]


def draws(row: Row, count: int = 60) -> list[Row]:
    """Return a question in many variations."""
    return [varied([row], POOL, random.Random(seed))[0] for seed in range(count)]


def made(schema: str) -> sqlite3.Connection:
    """Return an empty database of the short notation."""
    connection = sqlite3.connect(":memory:")
    notation = Notation.read(schema)
    assert notation is not None
    for table in notation.tables:
        names = ", ".join(f'"{column.split()[0]}"' for column in table.columns)
        connection.execute(f'CREATE TABLE "{table.name}" ({names})')
    return connection


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_the_new_query_fits_the_new_tables(row: Row) -> None:
    """SQLite prepares it, and many schemas are drawn; the same seed draws the same."""
    found = draws(row)
    assert len({one["schema"] for one in found}) > 30
    assert found == draws(row)
    for one in found:
        with closing(made(one["schema"])) as database:
            database.execute(f"EXPLAIN {one['sql']}")


def said_in(name: str, question: str) -> bool:
    """Tell whether a question says the words of a name, in the plural or not."""
    return " ".join(phrase(name)) in question.lower().replace("_", " ")


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_name_that_was_said_is_said_again(row: Row) -> None:
    """Names of the query that the question said are said by their new names; others stay."""
    old = re.findall(r"'[^']*'|\w+", row["sql"])
    for one in draws(row):
        new = re.findall(r"'(?:[^']|'')*'|\w+", one["sql"])
        assert len(new) == len(old)
        for before, after in zip(old, new, strict=True):
            if before == after or before[0] in "'0123456789":
                continue
            joins = before == "singer_id"
            assert joins or (said_in(before, row["question"]) and said_in(after, one["question"]))


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_value_is_the_same_in_both(row: Row) -> None:
    """Texts, quotes doubled in the query, and numbers; some are others than before."""
    seen = set()
    for one in draws(row):
        quoted = re.findall(r"'((?:[^']|'')*)'", one["sql"])
        values = [value.replace("''", "'") for value in quoted]
        values += re.findall(r"[>=] (\d+)", one["sql"])
        assert len(values) == (1 if re.search(r"'|\d", row["sql"]) else 0)
        assert all(value in one["question"] for value in values)
        seen.update(values)
    assert len(seen) > 3


def test_tables_without_use_may_go_and_their_keys_with_them() -> None:
    """The tables of the query never do."""
    found = [Notation.read(one["schema"]) for one in draws(ROWS[0])]
    sizes = {len(notation.tables) for notation in found if notation}
    assert sizes == {1, 2, 3}
    for notation in found:
        assert notation is not None
        tables = {table.name for table in notation.tables}
        assert all(set(re.findall(r"(\w+)\.", key)) <= tables for key in notation.keys)


def test_types_are_no_names() -> None:
    """`number` and `pk` stay what they are, also where a column is called so."""
    schema = "t(number number pk, pk, Age number)"
    row = {"question": "What number has the pk 4?", "sql": "SELECT number FROM t WHERE pk = 4"}
    for one in draws({**row, "schema": schema}):
        notation = Notation.read(one["schema"])
        assert notation is not None
        ends = sorted(" ".join(column.split(" ")[1:]) for column in notation.tables[0].columns)
        assert ends == ["", "number", "number pk"]


def test_words_of_sql_are_never_renamed() -> None:
    """A column may be called as a function is."""
    schema = "t(count number, Dock)"
    row = {"question": "What count has which dock?", "sql": "SELECT COUNT(count) FROM t"}
    found = draws({**row, "schema": schema})
    assert all(one["sql"].startswith("SELECT COUNT(count) FROM ") for one in found)


def test_a_schema_of_another_form_is_left_alone() -> None:
    """Brackets in a name, for one."""
    row = {**ROWS[0], "schema": "singer(Age (years) number)"}
    assert all(one == row for one in draws(row, 5))


def test_questions_of_one_conversation_share_their_schema() -> None:
    """A name becomes the same one in all, and only if every question that needs it says it."""
    for seed in range(40):
        found = varied(ROWS, POOL, random.Random(seed))
        assert len({one["schema"] for one in found}) == 1
        with closing(made(found[0]["schema"])) as database:
            for one in found:
                database.execute(f"EXPLAIN {one['sql']}")
        assert "Name" in found[2]["sql"] and "Name" in found[2]["schema"]  # "by Ann" says no name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Num_Employees", ("num", "employee")),
        ("ResTypeID", ("res", "type", "id")),
        ("address", ("address",)),
        ("first_name", ("first", "name")),
        ("T1", ("t", "1")),
        ("_", ("_",)),
    ],
)
def test_the_words_of_a_name(name: str, words: tuple[str, ...]) -> None:
    """Underscores and capitals part them; the last loses the `s` of a plural."""
    assert phrase(name) == words


@pytest.mark.parametrize(
    ("sql", "plain"),
    [
        ("SELECT T1.a FROM x AS T1", "SELECT x.a FROM x"),
        (
            "SELECT COUNT(T1.a) FROM x AS T1 JOIN y AS T2 ON T1.id = T2.id WHERE T2.b = 'T1.a'",
            "SELECT COUNT(x.a) FROM x JOIN y ON x.id = y.id WHERE y.b = 'T1.a'",
        ),
        ("SELECT a FROM x", "SELECT a FROM x"),
        ("SELECT T1.a FROM x AS T1 JOIN x AS T2 ON T1.a = T2.b", ""),
        ("SELECT T1.a FROM x AS T1 WHERE a IN (SELECT T1.b FROM y AS T1)", ""),
        ("SELECT T1.a FROM (SELECT a FROM x) AS T1", ""),
        (
            "SELECT T1.a FROM x AS T1 UNION SELECT T1.a FROM x AS T1",
            "SELECT x.a FROM x UNION SELECT x.a FROM x",
        ),
    ],
)  # fmt: skip
def test_aliases_become_names(sql: str, plain: str) -> None:
    """Where that says the same: empty means that the query stays."""
    assert unaliased(sql) == (plain or sql)


def test_only_what_is_learnt_from_varies(tmp_path: Path) -> None:
    """Held-out questions are the same in every variant, and lend no words to the others."""
    assert is_heldout("sql", "spider:election") and not is_heldout("sql", "spider:music")
    kept = {**ROWS[1], "db": "election", "schema": SCHEMA.replace("stadium", "arena")}
    source = [Source(tmp_path, variant) for variant in range(4)]
    write_rows(source[0].task("sql/train_spider"), [*ROWS, kept])
    translated = {**ROWS[0], "sql": "SELECT naam FROM singer"}
    write_rows(source[0].task("sql/train_spider_syn_paraphrases"), [translated])
    drawn = [list(spider(one)) for one in source]
    asked = [{turn.answer for e in one if held_out(e) for turn in e.turns} for one in drawn]
    assert asked == [{kept["sql"]}] * 4
    plain = {turn.answer for e in drawn[0] if not held_out(e) for turn in e.turns}
    assert plain == {row["sql"] for row in ROWS}
    rest = [e for one in drawn[1:] for e in one if not held_out(e)]
    assert not any("arena" in e.turns[0].prompt for e in rest)
    assert {turn.answer for e in rest for turn in e.turns} - plain
