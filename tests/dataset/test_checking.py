"""Statistics, and what `validate` finds."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.conftest import Write
from expert.dataset.checking import Checked, Rules, check
from expert.dataset.reading import Source, read_rows
from expert.dataset.rows import Row
from expert.dataset.stats import Lengths, stats
from expert.dataset.tasks import Needs, checker, regex_problem, shell_problem
from expert.errors import NotFoundError, UsageError

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TABLES = "CREATE TABLE bird (name TEXT, weight REAL);"


def test_statistics() -> None:
    """Rows by kind, turns, duplicates whatever their case, lengths, tokens."""
    rows = [
        Row("How many?", "3"),
        Row("how  MANY?", "3"),
        Row("how many?", "4", group="g"),
        Row("a", "b", history=(("x", "y"),)),
        Row("a", "b", rejected="c"),
        Row(text="one two"),
    ]
    found = stats(rows, lambda text: len(text.split()))
    assert (found.rows, found.duplicates, found.groups) == (6, 1, 1)
    assert found.kinds == {"conversation": 4, "preference": 1, "text": 1}
    assert found.turns == {1: 4, 2: 1, 0: 1}
    assert (found.prompts, found.answers) == (3, 3)
    assert found.lengths["tokens"]["most"] == 4
    assert found.lengths["text"]["mean"] == 7


def test_percentiles_are_those_of_numpy() -> None:
    """The lowest length that so many do not exceed."""
    rng = random.Random(1)
    values = [rng.randrange(1000) for _ in range(997)]
    lengths = Lengths()
    for value in values:
        lengths.add(value)
    for share in (0.01, 0.25, 0.5, 0.95, 1.0):
        wanted = np.quantile(values, share, method="inverted_cdf")
        assert lengths.at(share) == wanted
    assert lengths.summary()["mean"] == pytest.approx(np.mean(values), abs=0.06)
    assert Lengths().at(0.5) == 0


def checked(path: Path, rules: Rules | None = None, target: Path | None = None) -> Checked:
    """Check a file."""
    return check(Source(path), rules or Rules(), target)


def test_everything_wrong_is_told_with_its_line(write: Write, tmp_path: Path) -> None:
    """Errors by line, warnings apart; rows that can be used are written."""
    rows: list[Any] = [
        {"prompt": "a", "answer": "1"},
        {"prompt": "b", "answer": ""},
        "{",
        {"prompt": "A", "answer": "2"},
        {"prompt": " a ", "answer": "1"},
        {"prompt": "c" * 100, "answer": "x"},
        {"prompt": "cafÃ© au lait", "answer": "x"},
    ]
    target = tmp_path / "good.jsonl"
    found = checked(write("a.jsonl", rows), Rules(longest=50), target)
    assert [(one.line, one.kind) for one in found.errors] == [
        (2, "row"), (3, "row"), (6, "length"),
    ]  # fmt: skip
    assert [(one.line, one.kind) for one in found.warnings] == [
        (4, "contradiction"), (5, "duplicate"), (7, "garbled"),
    ]  # fmt: skip
    assert "as line 1" in found.warnings[0].text
    assert (found.rows, found.good) == (7, 4)
    assert len(list(read_rows(Source(target)))) == 4


@pytest.mark.parametrize("cell", ['=HYPERLINK("http://x","y")', "+1", "-2+3", "@SUM(A1)", "\tx"])
def test_cells_that_a_spreadsheet_would_run(cell: str, tmp_path: Path) -> None:
    """They are data, kept as they are, and told of; in JSON Lines they are nothing special."""
    path = tmp_path / "a.csv"
    quoted = cell.replace('"', '""')
    path.write_text(f'prompt,answer\na,"{quoted}"\n')
    found = checked(path, Rules(), tmp_path / "good.jsonl")
    assert [one.kind for one in found.warnings] == ["formula"]
    assert next(read_rows(Source(tmp_path / "good.jsonl"))).answer == cell
    assert checked(tmp_path / "good.jsonl").warnings == []


def test_only_the_first_are_listed(write: Write) -> None:
    """A million bad rows are counted, not kept."""
    found = checked(write("a.jsonl", ["{"] * 500))
    assert (len(found.errors), found.kinds["row"]) == (20, 500)


# Tasks --------------------------------------------------------------------------------------------


def test_sql_runs_on_the_row_s_tables() -> None:
    """In either notation, or those given for all; reasons are SQLite's own."""
    with checker("sql") as told:
        for schema in (TABLES, "bird(name text, weight number)"):
            good = Row("?", "SELECT name FROM bird WHERE weight > 3", extra={"schema": schema})
            assert told(good) == ""
            bad = Row("?", "SELECT colour FROM bird", extra={"schema": schema})
            assert "no such column: colour" in told(bad)
        assert "neither schema nor db" in told(Row("?", "SELECT 1"))
        assert told(Row("?", "SELECT 1", extra={"schema": "nonsense"}))


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE bird",
        "DELETE FROM bird",
        "SELECT 1; DROP TABLE bird",
        "ATTACH 'x.db' AS x",
        "PRAGMA writable_schema=1",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c",
        "SELECT",
        "",
        "SELECT '\0",
        "sure! SELECT name FROM bird",
    ],
)
def test_sql_that_must_not_pass(query: str, tmp_path: Path) -> None:
    """Writing, several statements, endless ones, none: each is wrong, and nothing happens."""
    with checker("sql") as told:
        assert told(Row("?", query, extra={"schema": TABLES}))
    assert list(tmp_path.iterdir()) == []


def test_sql_on_real_databases(tmp_path: Path) -> None:
    """A row that names its database runs there; names cannot lead out of the folder."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "zoo.sqlite")) as connection:
        connection.execute(TABLES)
    with checker("sql", Needs(databases=tmp_path)) as told:
        assert told(Row("?", "SELECT name FROM bird", extra={"db": "zoo"})) == ""
        for name in ("../zoo", "none", "/etc/passwd", ""):
            assert told(Row("?", "SELECT 1", extra={"db": name}))
    with pytest.raises(NotFoundError), checker("sql", Needs(databases=tmp_path / "none")):
        pass


def test_hostile_schemas() -> None:
    """Nothing in a schema is run: only its tables are made."""
    with checker("sql") as told:
        for schema in (
            "CREATE TABLE a (b); ATTACH 'evil.db' AS evil; CREATE TABLE evil.x (y);",
            "CREATE TABLE sqlite_sequence (name, seq); CREATE TABLE a (b);",
            'CREATE TABLE a ("b"); CREATE TABLE a ("c");',
            'CREATE TABLE a ("b""; DROP" INTEGER)',
            "CREATE TABLE a (b, B)",
            "create",
        ):
            told(Row("?", "SELECT b FROM a", extra={"schema": schema}))
    assert not Path("evil.db").exists()


def test_many_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old databases give way to new ones, and are made again when needed."""
    monkeypatch.setattr("expert.dataset.tasks.DATABASES", 3)
    with checker("sql") as told:
        for number in (*range(10), 0, 9):
            row = Row("?", "SELECT x FROM t", extra={"schema": f"CREATE TABLE t (x, y{number})"})
            assert told(row) == ""


def test_json_keeps_its_schema(tmp_path: Path) -> None:
    """The row's own comes first; the reason names the place and the keyword."""
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    with checker("json", Needs(path)) as told:
        assert told(Row("?", '{"a": 1}')) == ""
        assert "`type`" in told(Row("?", '{"a": "x"}'))
        assert "not JSON" in told(Row("?", "{'a': 1}"))
        assert "not JSON" in told(Row("?", '{"a": NaN}'))
        assert told(Row("?", "[]", extra={"schema": {"type": "array"}})) == ""
        assert told(Row("?", "[]", extra={"schema": '{"type": "object"}'}))
        assert "cannot be used" in told(Row("?", "[]", extra={"schema": {"type": "x"}}))
        assert "cannot be used" in told(Row("?", "[]", extra={"schema": "{"}))
    with checker("json") as told:
        assert told(Row("?", "[1]")) == ""


def test_schemas_agree_with_jsonschema(tmp_path: Path) -> None:
    """On answers right and wrong, as the peer judges them."""
    import jsonschema  # type: ignore[import-untyped]  # it publishes no type hints

    rng = random.Random(4)
    with checker("json") as told:
        for _ in range(300):
            schema = {
                "type": rng.choice(["object", "array", "string"]),
                "properties": {"a": {"enum": [1, 2]}},
                "required": rng.choice([["a"], []]),
                "maxItems": 1,
                "minLength": 2,
            }
            value = rng.choice([{}, {"a": 1}, {"a": 3}, [], [1, 2], "x", "xy", 3])
            peer = jsonschema.Draft202012Validator(schema).is_valid(value)
            row = Row("?", json.dumps(value), extra={"schema": schema})
            assert (told(row) == "") == peer


@pytest.mark.parametrize(
    ("command", "good"),
    [
        ("find . -name '*.txt' | xargs rm", True),
        ("f=$(cat x)", True),
        ("for f in *; do echo $f; done", True),
        ("for f in *; do echo $f", False),
        ("echo 'a", False),
        ("a | | b", False),
        ("echo $(ls", False),
        ("rm -rf / --no-preserve-root", True),
    ],
)
def test_shell_parses(command: str, good: bool) -> None:
    """As bash says, which runs nothing."""
    assert (shell_problem(Row("?", command)) == "") == good


def test_shell_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a command would do, nothing is done; without bash, quotes are looked at."""
    monkeypatch.chdir(tmp_path)
    for command in (
        "touch a",
        "$(touch a)",
        "`touch a`",
        ": ${x:=$(touch a)}",
        "source <(touch a)",
    ):
        shell_problem(Row("?", command))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert shell_problem(Row("?", "echo a")) == ""
    assert shell_problem(Row("?", "echo 'a"))
    assert shell_problem(Row("?", "x" * 200_000))


@pytest.mark.parametrize(
    ("pattern", "good"),
    [
        ("[0-9]+", True), ("(a|b)*", True), ("[[a]", True), ("(a", False), ("*a", False),
        ("(" * 5000, False), ("a{99999999999}", False), ("a" * 200_000, False),
    ],
)  # fmt: skip
def test_patterns_compile(pattern: str, good: bool) -> None:
    """As Python's `re` says."""
    assert (regex_problem(Row("?", pattern)) == "") == good


def test_what_a_task_needs_must_be_there(tmp_path: Path) -> None:
    """A schema that is missing, or none, is refused before the first row."""
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"\xff{")
    text = tmp_path / "text.txt"
    text.write_text("no schema of any kind")
    for task in ("sql", "json"):
        with pytest.raises(NotFoundError), checker(task, Needs(tmp_path / "none")):
            pass
        for path in (bad, text):
            with pytest.raises(UsageError), checker(task, Needs(path)):
                pass
