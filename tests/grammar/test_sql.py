"""SQL against a schema: what is read of a database, and which statements about it are allowed."""

import random
import re
import sqlite3
from pathlib import Path

import pytest
import sqlglot
from sqlglot.errors import ParseError

from expert.errors import ExpertError, NotFoundError, UsageError, VerificationError
from expert.forms import byte_table
from expert.grammar.language.gbnf_writer import to_gbnf
from expert.grammar.sql.check import SqlCheck, opening_check
from expert.grammar.sql.dialects import dialect_named
from expert.grammar.sql.engine import compile_sql
from expert.grammar.sql.grammar import functions_of, sql_grammar
from expert.grammar.sql.read import read_schema
from expert.grammar.tokens import TokenTable
from grammar.llama_peer import LlamaGrammars
from grammar.sentences import Sentences
from grammar.vocabularies import accepts

DDL = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INT, "full name" TEXT);
CREATE TABLE concert (id INT, singer_id INT REFERENCES singer (id), year INT, CHECK (year > 0));
"""
ALL = ("query", "insert", "update", "delete")
RIGHT = [
    "SELECT * FROM singer",
    "select NAME from Singer where AGE > 3 order by age desc limit 3;",
    "SELECT T1.name, count(*) FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer_id"
    " GROUP BY T1.name HAVING count(*) > 1",
    "SELECT name FROM singer WHERE id IN (SELECT singer_id FROM concert WHERE year = 2014)",
    "SELECT name FROM singer AS s WHERE EXISTS (SELECT 1 FROM concert WHERE singer_id = s.id)",
    "SELECT s.name FROM singer s, concert c WHERE s.id = c.singer_id",
    'SELECT "full name" FROM singer WHERE name = "it\'s"',
    "SELECT name AS n FROM singer ORDER BY n",
    "SELECT name FROM singer UNION SELECT year FROM concert ORDER BY name",
    "WITH t AS (SELECT max(age) AS old FROM singer) SELECT old FROM t",
    "WITH t (a, b) AS (SELECT id, age FROM singer) SELECT t.b FROM t JOIN singer s ON t.a = s.id",
    "SELECT count(*) FROM (SELECT name AS x FROM singer) AS T WHERE T.x LIKE 'a%'",
    "SELECT id, year FROM singer JOIN concert USING (id)",
    "SELECT age, rank() OVER (ORDER BY age) FROM singer",
    "SELECT (SELECT max(year) FROM concert WHERE singer_id = T1.id) FROM singer AS T1",
    "SELECT count(*) FROM (SELECT * FROM concert UNION SELECT * FROM concert)",
    "SELECT 1",
    "INSERT INTO singer (id, name) VALUES (1, 'x'), (2, NULL) RETURNING id",
    "INSERT INTO concert SELECT id, id, age FROM singer",
    "UPDATE singer SET age = age + 1 WHERE name = 'x'",
    "DELETE FROM concert WHERE year < 2000 AND singer_id IN (SELECT id FROM singer)",
]
WRONG = [
    ("SELECT nam FROM singer", "no such column"),
    ("SELECT name FROM singers", "no such table"),
    ("SELECT year FROM singer", "another table's column"),
    ("SELECT T1.year FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer_id", "alias"),
    ("SELECT T3.name FROM singer AS T1", "an alias of no table"),
    ("SELECT singer.name FROM singer AS T1", "hidden by its alias"),
    ("SELECT name FROM singer WHERE concert.year = 1", "a table that is not read"),
    ("SELECT id FROM singer JOIN concert ON singer.id = singer_id", "ambiguous"),
    ("SELECT name FROM singer UNION SELECT id, year FROM concert", "widths differ"),
    ("SELECT name FROM singer WHERE id IN (SELECT id, year FROM concert)", "two columns"),
    ("SELECT name FROM singer WHERE id IN (SELECT * FROM concert)", "three columns"),
    ("SELECT name FROM singer WHERE count(*) > 1", "aggregate in WHERE"),
    ("SELECT max(count(*)) FROM singer", "aggregate in an aggregate"),
    ("SELECT name FROM singer ORDER BY year", "not in the query"),
    ("SELECT name FROM singer ORDER BY 2", "no second output"),
    ("SELECT name FROM singer UNION SELECT year FROM concert ORDER BY age", "not an output"),
    ("SELECT name FROM singer JOIN singer ON age = 1", "the same name twice"),
    ("SELECT name FROM singer JOIN concert USING (year)", "not shared"),
    ("WITH t AS (SELECT age FROM singer) SELECT name FROM t", "not in the made table"),
    ("WITH t (a) AS (SELECT id, age FROM singer) SELECT a FROM t", "widths differ"),
    ("SELECT *", "no table"),
    ("INSERT INTO singer (id, nam) VALUES (1, 2)", "no such column"),
    ("INSERT INTO singer (id, name) VALUES (1)", "too few values"),
    ("INSERT INTO singer VALUES (1, name, 3, 4)", "a column among values"),
    ("UPDATE singer SET year = 1", "another table's column"),
    ('UPDATE singer SET "year" = 1', "another table's column in quotes"),
    ("DELETE FROM singer WHERE year = 1", "another table's column"),
    ("DROP TABLE singer", "not asked for"),
]
BY_DIALECT = {
    "sqlite": (
        ["SELECT `name` FROM singer LIMIT 1, 2"],
        ["SELECT name FROM singer WHERE name ILIKE 'x'"],
    ),
    "postgres": (
        ["SELECT name FROM singer WHERE name ILIKE 'a%' AND age::TEXT = '3'",
         "SELECT EXTRACT(YEAR FROM name) FROM singer WHERE age > $1 LIMIT 3 OFFSET 2"],
        ['SELECT name FROM singer WHERE name = "x"', "SELECT `name` FROM singer",
         "SELECT name FROM singer LIMIT 1, 2", "SELECT x.a FROM (SELECT 1 AS a)"],
    ),
    "mysql": (
        ["SELECT `full name`, CONCAT(name, 'x') FROM singer WHERE name REGEXP '^a'",
         'SELECT DATE_ADD(name, INTERVAL 1 DAY) FROM singer WHERE name = "x" LIMIT 1, 2'],
        ["SELECT name FROM singer FULL JOIN concert ON age = year",
         "SELECT name || 'x' FROM singer"],
    ),
}  # fmt: skip


def opened(dialect: str = "sqlite") -> SqlCheck:
    """Return the scope check of the small schema."""
    spoken = dialect_named(dialect)
    return opening_check(read_schema(DDL), spoken, functions_of(spoken))


def in_scope(text: str) -> bool:
    """Tell whether the scope check alone takes *text*, byte by byte."""
    state: SqlCheck | None = opened()
    for byte in text.encode():
        state = state.push(bytes((byte,))) if state else None
    return state is not None and state.complete()


@pytest.mark.parametrize("text", RIGHT)
def test_statements_in_scope(table: TokenTable, text: str) -> None:
    """Allowed by us, and prepared by SQLite."""
    grammar = compile_sql(read_schema(DDL), kinds=ALL)
    assert accepts(grammar.start(table), table.encode(text))
    with sqlite3.connect(":memory:") as database:
        database.executescript(DDL)
        database.execute(f"EXPLAIN {text}")


@pytest.mark.parametrize(("text", "why"), WRONG)
def test_statements_out_of_scope(table: TokenTable, text: str, why: str) -> None:
    """Refused, for another reason each."""
    assert why
    grammar = compile_sql(read_schema(DDL), kinds=ALL)
    assert not accepts(grammar.start(table), table.encode(text))


@pytest.mark.parametrize("dialect", BY_DIALECT)
def test_dialects(table: TokenTable, dialect: str) -> None:
    """Each has its own quotes, operators and functions; sqlglot reads what we allow."""
    grammar = compile_sql(read_schema(DDL), dialect)
    right, wrong = BY_DIALECT[dialect]
    for text in right:
        assert accepts(grammar.start(table), table.encode(text)), text
        sqlglot.parse_one(text, read=dialect)
    for text in wrong:
        assert not accepts(grammar.start(table), table.encode(text)), text


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_backslash_ends_no_text_of_mysql(quote: str) -> None:
    """There it takes the next sign along, unless the server is told otherwise: both must agree."""
    grammar, octets = compile_sql(read_schema("t(a, b)"), "mysql"), byte_table()
    for inside, right in [
        ("a", True), (r"\n", True), (r"a\_b", True), (r"\\", True), (quote * 2, True),
        ("\\", False), (f"\\{quote}", False), (f"\\{quote}{quote}", False), (r"\\" + "\\", False),
    ]:  # fmt: skip
        text = f"SELECT a FROM t WHERE b = {quote}{inside}{quote}"
        assert accepts(grammar.start(octets), [*text.encode()]) == right, text


_COMPARED_EXTRACT = re.compile(
    r"(?is)\bextract\s*\(.*\b(is|in|like|between|and|or|not)\b|extract.*[<>=]"
)


@pytest.mark.parametrize("dialect", BY_DIALECT)
def test_sqlglot_reads_whatever_is_drawn(dialect: str) -> None:
    """Statements drawn at random from the grammar are statements of the dialect."""
    sentences, read = Sentences(sql_grammar(read_schema(DDL), dialect, ALL), 5, budget=500), 0
    for text in filter(None, (sentences.draw() for _ in range(200))):
        if "*" in text.upper().partition("EXCEPT")[0][-4:] or text.upper().count("NATURAL"):
            continue  # which sqlglot takes for BigQuery's, or does not know
        if _COMPARED_EXTRACT.search(text):
            continue  # MySQL takes any expression there, sqlglot no comparison
        try:
            sqlglot.parse_one(text, read=dialect)
        except ParseError as error:
            raise AssertionError(text) from error
        read += 1
    assert read >= 25


@pytest.mark.parametrize("kinds", [("query",), ALL[1:]])
@pytest.mark.parametrize("count", [400, pytest.param(4000, marks=pytest.mark.slow)])
def test_sqlite_prepares_whatever_is_in_scope(kinds: tuple[str, ...], count: int) -> None:
    """Of statements drawn at random, those that the check lets pass are right to SQLite."""
    database = sqlite3.connect(":memory:")
    database.executescript(DDL)
    sentences, passed = Sentences(sql_grammar(read_schema(DDL), kinds=kinds), 1, budget=400), 0
    for text in filter(None, (sentences.draw() for _ in range(count))):
        if in_scope(text):
            passed += 1
            try:
                database.execute(f"EXPLAIN {text}")
            except sqlite3.Error as error:
                assert "bindings" in str(error), f"{error}: {text}"
    database.close()
    assert passed


def test_a_name_is_refused_as_soon_as_it_leads_nowhere() -> None:
    """What begins no name in scope is refused at its first wrong character, not at its end."""
    state = opened().push(b"SELECT name FROM singer WHERE ")
    assert state and state.push(b"ag") and not state.push(b"ye")
    state = opened().push(b"SELECT T1.year, T1.")
    assert state and state.push(b"singer_") and not state.push(b"na")
    state = opened().push(b"SELECT T1.year FROM singer ")
    assert state and state.push(b"AS T2 JOIN") and not state.push(b"AS T1 ")
    assert not state.push(b"WHERE ")


def test_the_printed_grammar_is_llama_cpp_s(tiny_path: Path, table: TokenTable) -> None:
    """llama.cpp reads the GBNF of a schema, and gives the same verdicts on syntax and names."""
    gbnf = to_gbnf(sql_grammar(read_schema("t(a, b)")))
    right, wrong = "SELECT a FROM t WHERE b = 1", "SELECT c FROM t"
    llama = LlamaGrammars(tiny_path)
    try:
        assert llama.verdicts(gbnf, [table.encode(right), table.encode(wrong)]) == [True, False]
    finally:
        llama.close()


def test_schemas_from_text_file_and_notation(tmp_path: Path) -> None:
    """CREATE TABLE, a live file and the short notation say the same."""
    path = tmp_path / "live db?.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(DDL + "CREATE VIEW old AS SELECT name FROM singer;")
    before = sorted(tmp_path.iterdir())
    live = read_schema(path)
    assert sorted(tmp_path.iterdir()) == before
    names = [(one.name, [column.name for column in one.columns]) for one in live.tables]
    singer, concert = ["id", "name", "age", "full name"], ["id", "singer_id", "year"]
    assert names == [("singer", singer), ("concert", concert), ("old", ["name"])]
    text = read_schema(DDL)
    short = read_schema('singer(id number pk, name, age, "full name" text)\n'
                        "concert(id, singer_id number, year)\nfk: a.b=c.d")  # fmt: skip
    for schema in (text, short):
        again = [(one.name, [column.name for column in one.columns]) for one in schema.tables]
        assert again == names[:2]


def test_a_live_database_in_use_is_read_too(tmp_path: Path) -> None:
    """Tables that are still in the journal are seen, and the writer is not disturbed."""
    path = tmp_path / "busy.sqlite"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE t (a, b)")
    assert [one.name for one in read_schema(path).tables] == ["t"]
    writer.execute("INSERT INTO t VALUES (1, 2)")
    writer.close()


def test_names_that_need_quotes(table: TokenTable) -> None:
    """Reserved words and odd names are only known in quotes, folded ones of PostgreSQL too."""
    schema = read_schema(
        'CREATE TABLE "order" ("group" int, "1st leg" int, plain int, "Mixed" int)'
    )
    grammar = compile_sql(schema)
    for text in (
        'SELECT "group" FROM "order"',
        'SELECT `1st leg` FROM "order"',
        "SELECT mixed FROM `order`",
    ):
        assert accepts(grammar.start(table), table.encode(text)), text
    for text in (
        "SELECT group FROM order",
        "SELECT plain FROM order",
        'SELECT 1st leg FROM "order"',
    ):
        assert not accepts(grammar.start(table), table.encode(text)), text
    postgres = compile_sql(schema, "postgresql")
    assert accepts(postgres.start(table), table.encode('SELECT "Mixed", PLAIN FROM "order"'))
    assert not accepts(postgres.start(table), table.encode('SELECT mixed FROM "order"'))


def test_what_is_no_schema(tmp_path: Path) -> None:
    """Each is a typed error that says what to do."""
    (tmp_path / "fake.db").write_bytes(b"SQLite format 3\0" + bytes(200))
    (tmp_path / "noise").write_bytes(bytes(range(128, 256)))
    for source, error in (
        ("", UsageError),
        ("nonsense", UsageError),
        ("CREATE TABLE t AS SELECT 1", UsageError),
        (tmp_path / "none.db", NotFoundError),
        (tmp_path, NotFoundError),
        (tmp_path / "fake.db", VerificationError),
        (tmp_path / "noise", UsageError),
    ):
        with pytest.raises(error) as caught:
            read_schema(source)
        assert caught.value.what
    with pytest.raises(UsageError, match="no SQL dialect 'oracle'"):
        compile_sql(read_schema(DDL), "oracle")


@pytest.mark.timeout(60)
def test_any_text_is_a_schema_or_a_typed_error(table: TokenTable) -> None:
    """Damaged statements and notation never crash, and what is read compiles."""
    draw = random.Random(2)
    for _ in range(400):
        text = draw.choice([DDL, 't(a, b number pk)\nu("c d")\n', "CREATE TABLE `x` (y int)"])
        for _ in range(draw.randint(1, 5)):
            place = draw.randrange(len(text))
            text = (
                text[:place]
                + draw.choice("()\"'`[],;. \n-*/é\0x")
                + text[place + draw.randint(0, 3) :]
            )
        try:
            schema = read_schema(text)
            if draw.random() < 0.05:
                compile_sql(schema).start(table)
        except ExpertError as error:
            assert error.what
