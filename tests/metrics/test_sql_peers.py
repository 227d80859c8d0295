"""SQL answers beside sqlite3 itself and sqlglot: random queries, and databases that are odd."""

import random
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
import sqlglot
from sqlglot import expressions

from expert.errors import NotFoundError
from expert.metrics import sql

COLUMNS = ("id", "name", "price", "made")
ROWS = [
    (1, "anna", 1.5, None),
    (2, "bob", 2.0, "2020-01-01"),
    (3, "anna", 1 / 3, None),
    (4, "Größe", None, "x'y"),
    (5, None, -7.25, ""),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with every kind of value, names in it that need quotes."""
    path = tmp_path_factory.mktemp("sql") / "a b#?%.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE item(id INTEGER, name TEXT, price REAL, made TEXT)")
    connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", ROWS)
    connection.execute("CREATE TABLE big(n)")
    connection.execute(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20001) "
        "INSERT INTO big SELECT n FROM c"
    )
    connection.commit()
    connection.close()
    return path


def random_query(draw: random.Random) -> str:
    """Return a query of the table, with its conditions and its order."""
    columns = ", ".join(draw.sample(COLUMNS, draw.randint(1, 3)))
    conditions = draw.sample(
        ["id > 1", "name = 'anna'", "price IS NOT NULL", "made <> 'x''y'", "id IN (1, 2, 5)"],
        draw.randint(0, 2),
    )
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    order = draw.choice(("", "", " ORDER BY id", " ORDER BY id DESC", " ORDER BY name, id"))
    return f"SELECT {columns} FROM item{where}{order}"


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_those_sqlite_gives(seed: int, database: Path) -> None:
    """Read-only, limited and watched, a query returns what it returns without all that."""
    draw = random.Random(seed)
    connection = sqlite3.connect(database)
    for _ in range(15):
        query = random_query(draw)
        assert sql.execute(database, query) == connection.execute(query).fetchall()
    connection.close()


@pytest.mark.parametrize("seed", range(4))
def test_results_agree_as_multisets_and_lists(seed: int, database: Path) -> None:
    """Two random queries are the same exactly if their rows are, in order where that is asked."""
    draw = random.Random(10 + seed)
    same = 0
    for _ in range(25):
        one, two = random_query(draw), random_query(draw)
        found, wanted = sql.execute(database, one), sql.execute(database, two)
        assert found is not None and wanted is not None
        rows = found == wanted if "ORDER BY" in two else Counter(found) == Counter(wanted)
        assert sql.same_result(database, one, two) is rows, (one, two)
        same += rows
        assert sql.same_result(database, one, one)
    assert same < 25


@pytest.mark.parametrize(
    ("answer", "reference", "ordered", "same"),
    [
        ([(1.0000001,)], [(1.0,)], False, True),
        ([(1.001,)], [(1.0,)], False, False),
        ([(1,)], [(1.0,)], False, True),
        ([("1",)], [(1,)], False, False),
        ([(None,)], [(0,)], False, False),
        ([(1, 2)], [(2, 1)], False, False),
        ([(1,), (2,)], [(2,), (1,)], False, True),
        ([(1,), (2,)], [(2,), (1,)], True, False),
        ([(1,), (1,)], [(1,)], False, False),
        ([], [], True, True),
        ([], [(None,)], False, False),
        (None, [], False, False),
        ([], None, False, False),
        (None, None, True, False),
    ],
)
def test_rows_are_compared_value_by_value(
    answer: sql.Rows | None, reference: sql.Rows | None, ordered: bool, same: bool
) -> None:
    """Numbers to six decimals; a query that failed agrees with none, not with another that did."""
    assert sql.same_rows(answer, reference, ordered=ordered) is same


def test_text_that_is_no_utf8_is_no_error(database: Path) -> None:
    """What a cast makes of a blob is replaced, and blobs stay bytes."""
    assert sql.execute(database, "SELECT CAST(x'ff41' AS TEXT), x'ff41'") == [("\ufffdA", b"\xffA")]


@pytest.mark.parametrize("query", ["SELECT n FROM big", "SELECT n FROM big, item"])
def test_too_many_rows_are_no_result(query: str, database: Path) -> None:
    """Results are limited; a row fewer is one."""
    assert sql.execute(database, query) is None
    rows = sql.execute(database, f"SELECT n FROM big LIMIT {sql.ROWS}")
    assert rows is not None and len(rows) == sql.ROWS


@pytest.mark.parametrize(
    "query",
    [
        "EXPLAIN DROP TABLE item",
        "BEGIN; SELECT 1",
        "SAVEPOINT a",
        "CREATE TEMP TABLE t(a)",
        "CREATE VIEW v AS SELECT 1",
        "UPDATE item SET id = 1",
        "DELETE FROM item",
        "REINDEX",
        "ANALYZE",
        "DETACH main",
        "PRAGMA table_info(item)",
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
        "SELECT * FROM pragma_database_list",
        "SELECT sum(n) FROM big; SELECT 1",
        "SELECT '\x00'",
        "SELECT ?",
        "SELECT :name",
        ";",
    ],
)
def test_whatever_does_more_than_select_is_no_result(query: str, database: Path) -> None:
    """Statements of every other kind, several at once, and open parameters."""
    before = database.read_bytes()
    rows = sql.execute(database, query)
    assert rows is None or rows == []
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


def test_files_that_are_no_database(tmp_path: Path) -> None:
    """A missing file is not made; text and cut databases answer nothing."""
    assert sql.execute(tmp_path / "none.sqlite", "SELECT 1 FROM sqlite_master") is None
    assert not (tmp_path / "none.sqlite").exists()
    text = tmp_path / "text.sqlite"
    text.write_text("no database, but long enough to be read as the header of one" * 20)
    assert sql.execute(text, "SELECT * FROM sqlite_master") is None
    assert sql.execute(tmp_path, "SELECT * FROM sqlite_master") is None


def test_archives_that_are_not_there_are_named(tmp_path: Path) -> None:
    """The error says which file is missing and what to give, and nothing is written."""
    with pytest.raises(NotFoundError) as caught:
        sql.extract(tmp_path, ["flight_4"], tmp_path)
    assert sql.ARCHIVE in caught.value.what and "--data" in caught.value.fix
    assert not list(tmp_path.iterdir())


CONDITIONS = ["a = 'x and y'", "b > 3", "c = 'It''s'", "d < 2.5", "e = 7"]


@pytest.mark.parametrize("seed", range(3))
def test_conditions_in_any_order_are_one_query(seed: int) -> None:
    """As sqlglot parses both: the same columns and the same set of conditions, or not the same."""
    draw = random.Random(seed)

    def parsed(query: str) -> tuple[str, frozenset[str]]:
        tree = sqlglot.parse_one(query, read="sqlite")
        where = tree.find(expressions.Where)
        assert where is not None and isinstance(tree, expressions.Select)
        parts = where.this.flatten() if isinstance(where.this, expressions.And) else [where.this]
        return tree.selects[0].sql(), frozenset(part.sql() for part in parts)

    for _ in range(40):
        made = []
        for _ in "ab":
            chosen = draw.sample(CONDITIONS, draw.choice((1, 2, 2, 3)))
            made.append(f"SELECT {draw.choice('ab')} FROM t WHERE {' AND '.join(chosen)}")
        assert sql.same_conditions(*made) is (parsed(made[0]) == parsed(made[1])), made
        shouted = made[0].replace("SELECT", "select ").replace(" AND ", "  and\n")
        assert sql.same_conditions(shouted + " ;", made[0])


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("SELECT a FROM t WHERE b = 'X'", "SELECT a FROM t WHERE b = 'x'"),
        ("SELECT a FROM t WHERE b = 'X'", "SELECT a FROM t WHERE b = 'X '"),
        ("SELECT a FROM t WHERE b >= 3", "SELECT a FROM t WHERE b > 3"),
        ("SELECT a FROM t WHERE b = 3", "SELECT a FROM t WHERE b = '3'"),
        ("SELECT a FROM t", "SELECT a FROM t WHERE b = 3"),
        ("SELECT count(a) FROM t", "SELECT a FROM t"),
        ("SELECT a FROM t WHERE b = 3 AND b = 3", "SELECT a FROM t WHERE b = 3"),
    ],
)
def test_small_differences_between_queries_count(answer: str, reference: str) -> None:
    """Values, operators, functions and the number of conditions."""
    assert not sql.same_conditions(answer, reference)
    assert not sql.same_conditions(reference, answer)


@pytest.mark.parametrize(
    ("schema", "query", "accepted"),
    [
        ("t(a, b)", "SELECT t.a, T.B FROM t", True),
        ("t(a)\nu(a)", "SELECT a FROM t, u", False),  # whose a?
        ("t(a)\nu(b)", "SELECT a, b FROM t JOIN u ON t.a = u.b", True),
        ("t(a)", "SELECT a FROM t UNION SELECT 1", True),
        ("t(a)", "SELECT a FROM t UNION SELECT 1, 2", False),
        ("t(a)", "SELECT nothing(a) FROM t", False),
        ("t(a)", "SELECT max(a, 1) FROM t GROUP BY 1", True),
        ("t(a)", "SELECT a FROM t; SELECT a FROM t", False),
        ("t(a)", "SELECT a FROM t WHERE a = ?", False),
        ("t(a)", "INSERT INTO t VALUES (1)", False),
        ("t(a)", "PRAGMA user_version", False),
        ("t(a)", "VACUUM INTO 'x.db'", False),
        ("t(a)", "SELECT '\x00'", False),
        ("order(select, from)", 'SELECT "select" FROM "order"', True),
    ],
)
def test_what_sqlite_accepts_of_empty_tables(schema: str, query: str, accepted: bool) -> None:
    """Names, functions and the number of columns are checked by SQLite itself."""
    assert sql.prepares(schema, query) is accepted
