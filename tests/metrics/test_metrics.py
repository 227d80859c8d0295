"""Measures of answers, each beside an independent peer or a case worked by hand."""

import json
import random
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from expert.metrics import fields, shell, sql
from expert.metrics.intervals import bootstrap, interval, paired, wilson

EXPERTS = Path(__file__).parents[2] / "experts"


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (5, 10), (10, 10), (91, 100), (1, 1)])
def test_wilson_solves_its_equation(hits: int, count: int) -> None:
    """At both ends the true share is exactly 1.96 standard errors from what was seen."""
    for end in wilson(hits, count):
        if 1e-9 < end < 1 - 1e-9:
            error = (end * (1 - end) / count) ** 0.5
            assert abs(hits / count - end) == pytest.approx(1.959964 * error, rel=1e-6, abs=1e-7)


def test_wilson_covers() -> None:
    """In 95 of 100 experiments, or nearly, the interval holds the true share."""
    rng = random.Random(1)
    inside = 0
    for _ in range(1000):
        low, high = wilson(sum(rng.random() < 0.3 for _ in range(80)), 80)
        inside += low <= 0.3 <= high
    assert 925 <= inside <= 975


def test_the_bootstrap_is_close_to_the_normal_interval() -> None:
    """For many values both agree, and it is the same every time."""
    rng = random.Random(2)
    values = [rng.random() for _ in range(500)]
    low, high = bootstrap(values)
    mean = sum(values) / 500
    half = 1.96 * (1 / 12 / 500) ** 0.5
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.006)
    assert bootstrap(values) == (low, high)
    assert interval([1.0, 0.0]) == wilson(1, 2) and interval([0.5, 1.0]) == bootstrap([0.5, 1.0])
    assert wilson(0, 0) == (0.0, 1.0) == bootstrap([])


def test_a_paired_difference_is_seen_where_two_intervals_overlap() -> None:
    """The same rows tell a small gain from chance."""
    base = [1.0] * 50 + [0.0] * 50
    better = [1.0] * 60 + [0.0] * 40
    assert paired(better, base)[0] > 0 > paired(base, better)[1]
    assert wilson(60, 100)[0] < wilson(50, 100)[1]


def test_json_fields() -> None:
    """Order of keys means nothing; a missing, wrong or added field does."""
    wanted = {"intent": "Play", "slots": {"artist": "a", "year": "b"}}
    assert fields.whole(
        fields.parsed('{"slots":{"year":"b","artist":"a"},"intent":"Play"}'), wanted
    )
    less = {"intent": "Play", "slots": {"artist": "a"}}
    assert not fields.whole(less, wanted)
    assert fields.field_f1(less, wanted) == pytest.approx(2 * 2 / 5)
    assert fields.field_f1(fields.INVALID, wanted) == 0
    assert fields.whole({"a": []}, {"a": []}) and not fields.whole({"a": 1}, {"a": True})


def test_the_share_of_right_fields() -> None:
    """Fields of the reference that the answer has; what it adds costs nothing here, unlike F1."""
    wanted = {"intent": "Play", "slots": {"artist": "a", "year": "b"}}
    assert fields.accuracy(wanted, wanted) == 1
    assert fields.accuracy({"intent": "Play", "slots": {"artist": "x"}}, wanted) == 1 / 3
    more = {**wanted, "more": 1}
    assert fields.accuracy(more, wanted) == 1 and fields.field_f1(more, wanted) == 6 / 7
    assert fields.accuracy(fields.INVALID, wanted) == 0 and fields.accuracy({}, {}) == 1


def test_the_f1_of_fields_agrees_with_scikit_learn() -> None:
    """Fields as labels: it is the F1 of those the answer has against those it should have."""
    metrics: Any = pytest.importorskip("sklearn.metrics")
    rng = random.Random(3)
    for _ in range(20):
        one, two = (
            {f"k{n}": rng.randint(0, 1) for n in range(6) if rng.random() < 0.7} for _ in "ab"
        )
        if not one or not two:
            continue
        found, wanted = fields.leaves(one), fields.leaves(two)
        names = sorted(found | wanted)
        peer = metrics.f1_score([n in wanted for n in names], [n in found for n in names])
        assert fields.field_f1(one, two) == pytest.approx(peer)


CALL = {
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "name": {"const": "Find"},
                "arguments": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}, "kind": {"enum": ["a", "b"]}},
                    "required": ["city"],
                    "additionalProperties": False,
                },
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
    ]
}


@pytest.mark.parametrize(
    "text",
    [
        '{"name":"Find","arguments":{"city":"Rome"}}',
        '{"name":"Find","arguments":{"kind":"b","city":""}}',
        '{"name":"Find","arguments":{"kind":"c","city":"x"}}',
        '{"name":"Find","arguments":{}}',
        '{"name":"Other","arguments":{"city":"Rome"}}',
        '{"name":"Find"}',
        "[]",
        "null",
    ],
)
def test_calls_keep_their_schema_as_jsonschema_says(text: str) -> None:
    """The validator of the product and the peer agree."""
    peer: Any = pytest.importorskip("jsonschema")
    right = peer.Draft7Validator(CALL).is_valid(json.loads(text))
    assert fields.keeps(text, json.dumps(CALL)) is right


@pytest.mark.parametrize("text", ["", "{", "no", '{"name":"Find","arguments":{"city":"R"}} x'])
def test_what_is_no_json_keeps_no_schema(text: str) -> None:
    """Neither half an answer nor one with more behind it."""
    assert not fields.keeps(text, json.dumps(CALL))


@pytest.mark.parametrize("text", ["", "{", "nope", "[1,", '{"a": NaN}', "[" * 100_000])
def test_what_is_no_json_is_invalid(text: str) -> None:
    """A broken answer is wrong, not an error."""
    assert fields.parsed(text) is fields.INVALID
    assert not fields.whole(fields.parsed(text), {})


def test_the_json_experts_schema_allows_every_reference(data: Path) -> None:
    """By the peer jsonschema, the expert's grammar excludes no right answer of the data."""
    from expert.train.rows import read_rows

    peer: Any = pytest.importorskip("jsonschema")
    schema = json.loads((EXPERTS / "json" / "schema.json").read_text())
    validator = peer.Draft7Validator(schema)
    rows = list(read_rows(data / "experts/json/snips_valid.jsonl.zst"))[::7]
    assert all(validator.is_valid(row["json"]) for row in rows)
    assert not validator.is_valid({"intent": "PlayMusic", "slots": {"nothing": "x"}})


SAME = [
    ("ls -la /tmp", "ls -al /var"),
    ("tar -x -v -f a.tar", "tar -vxf b.tar"),
    ("find . -name '*.py' -type f", 'find / -type d -name "*.c"'),
    ("grep -i a f | sort -u > out", "grep -i 'b c' g | sort -u > new"),
    ("head -n 3 f", "head -n 5 g"),
    ("head -3 f", "head -10 g"),
    ("sort --key=2 f", "sort --key=1 g"),
]
OTHER = [
    ("ls -l", "ls -a"),
    ("ls", "cat"),
    ("a | b", "a && b"),
    ("cat f", "cat f g"),
    ("cat f > g", "cat f >> g"),
    ("find . -name x", "find . -iname x"),
    ("echo 'a", "echo a"),
]


@pytest.mark.parametrize(("answer", "reference"), SAME)
def test_commands_of_the_same_structure(answer: str, reference: str) -> None:
    """Values may differ, and the order of flags."""
    assert shell.same_structure(answer, reference)
    assert not shell.same_command(answer, reference)


@pytest.mark.parametrize(("answer", "reference"), OTHER)
def test_commands_of_another_structure(answer: str, reference: str) -> None:
    """Programs, flags, operators, redirections and the number of arguments all count."""
    assert not shell.same_structure(answer, reference)


def test_the_same_command_in_another_order() -> None:
    """Only flags may move; arguments may not."""
    assert shell.same_command("ls -l -a x", "ls -al x")
    assert not shell.same_command("cp a b", "cp b a")


@pytest.mark.parametrize(
    "text", ["", "'", '"', "| x", "> ", "a >", "a > | b", "\x00", "a" * 10_000]
)
def test_odd_commands_are_no_error(text: str) -> None:
    """Whatever a model writes is compared."""
    assert shell.same_structure(text, text) and not shell.same_structure(text, "ls -l")


def test_what_bash_refuses_for_its_quotes_is_refused() -> None:
    """`bash -n` is the peer for quotes that do not close."""
    for text in ("echo 'a", 'echo "a', "echo 'a' \"b\"", "ls -l | wc"):
        done = subprocess.run(["bash", "-n", "-c", text], capture_output=True)
        assert (shell.read_command(text) is None) == (done.returncode != 0)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a small database."""
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE item(id INTEGER, name TEXT, price REAL)")
        rows = [(n, f"n{n % 3}", n / 3) for n in range(9)]
        connection.executemany("INSERT INTO item VALUES (?, ?, ?)", rows)
    connection.close()
    return path


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        (
            "SELECT name FROM item WHERE id < 3",
            "SELECT T1.name FROM item AS T1 WHERE id <= 2",
            True,
        ),
        ("SELECT id FROM item", "SELECT id FROM item ORDER BY id DESC", False),
        ("SELECT id FROM item ORDER BY id DESC", "SELECT id FROM item", True),
        ("SELECT name FROM item", "SELECT DISTINCT name FROM item", False),
        ("SELECT avg(price) FROM item", "SELECT sum(price) / count(*) FROM item", True),
        ("SELECT nothing FROM item", "SELECT name FROM item", False),
        ("not sql", "SELECT 1", False),
        ("", "SELECT 1", False),
    ],
)
def test_queries_are_compared_by_their_rows(
    database: Path, answer: str, reference: str, same: bool
) -> None:
    """Two queries agree if their rows do; order counts where the reference orders."""
    assert sql.same_result(database, answer, reference) is same


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE item",
        "INSERT INTO item VALUES (1, 'x', 2)",
        "ATTACH DATABASE '{folder}/new.sqlite' AS other",
        "PRAGMA writable_schema = 1",
        "VACUUM INTO '{folder}/copy.sqlite'",
        "SELECT 1; DROP TABLE item",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "SELECT length(zeroblob(999999999))",
        "SELECT a.id FROM item a, item b, item c, item d, item e, item f",
    ],
)
def test_hostile_queries_do_nothing(database: Path, query: str) -> None:
    """Nothing is written, attached or left running, and endless queries end."""
    before = database.read_bytes()
    assert sql.execute(database, query.format(folder=database.parent), seconds=0.3) is None
    assert database.read_bytes() == before
    assert list(database.parent.iterdir()) == [database]


def test_the_public_databases_are_extracted(data: Path, tmp_path: Path) -> None:
    """Only what was asked for is written, and it answers."""
    sql.extract(data, ["flight_4"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["flight_4.sqlite"]
    rows = sql.execute(tmp_path / "flight_4.sqlite", "SELECT count(*) FROM airports")
    assert rows is not None and rows[0][0] != 0


@pytest.mark.parametrize(
    ("answer", "same"),
    [
        ("SELECT a FROM t WHERE b = 'X and c' AND c > 3", True),
        ("select  a from t where c > 3 and b = 'X and c';", True),
        ("SELECT a FROM t WHERE c > 3", False),
        ("SELECT a FROM t WHERE b = 'x and c' AND c > 3", False),
        ("SELECT b FROM t WHERE b = 'X and c' AND c > 3", False),
        ("SELECT a FROM t WHERE b = 'X and c' OR c > 3", False),
        ("", False),
    ],
)
def test_queries_of_one_table_are_compared_by_their_clauses(answer: str, same: bool) -> None:
    """Conditions may stand in any order; texts keep their case, and an `and` inside them."""
    assert sql.same_conditions(answer, "SELECT a FROM t WHERE b = 'X and c' AND c > 3") is same


@pytest.mark.parametrize(
    ("query", "accepted"),
    [
        ("SELECT MAX(a) FROM t WHERE b = 'x'", True),
        ('SELECT "a" FROM t', True),
        ("SELECT c FROM t", False),
        ("SELECT a FROM other", False),
        ("DROP TABLE t", False),
        ("ATTACH DATABASE '/tmp/x.db' AS x", False),
        ("SELECT a FROM", False),
        ("", True),  # SQLite runs an empty statement without a word
    ],
)
def test_sqlite_decides_whether_a_query_of_empty_tables_runs(query: str, accepted: bool) -> None:
    """Names that do not exist are refused, and so is everything but SELECT."""
    assert sql.prepares("t(a, b number pk)", query) is accepted


def test_tables_that_cannot_be_read_accept_nothing() -> None:
    """A schema that is none."""
    assert not sql.prepares("no table", "SELECT 1")
