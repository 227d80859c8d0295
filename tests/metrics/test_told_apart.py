"""Pairs of answers that look alike and are not, and answers that must not run or run for ever."""

import time
from pathlib import Path

import pytest

from expert.metrics import cypher, fields, sandbox, shell, sql
from expert.metrics.patterns import same_lines
from expert.metrics.shell import read_command

BUILT_PATHS = [
    "cat .{.,}/.{.,}/etc/hostname",
    "cat .''./.''./etc/hostname",
    "cat .\\./.\\./etc/hostname",
    'cat "."./etc/hostname',
    "ls > .''./x",
    "rm -r .*",
    "cat .[.]/a.txt",
    "cat .?/a.txt",
]
JOINED_OPTIONS = ["grep -f/etc/hostname a.txt", "cp -t/tmp a.txt", "sort -o/tmp/x a.txt"]
MADE_UP_NAMES = [
    "printf '\\57etc\\57hostname' | xargs cat",
    "echo Qetc | tr Q '\\57' | xargs cat",
    "printf '\\57bin\\57sh' | xargs -I X X -c id",
    "find . -printf '\\57x' | xargs rm",
    "ls | sed 's/./\\x2f/' | xargs rm",
    "xargs rm < list",
    "xargs -a list rm",
    "xargs --arg-f=list rm",
    "find -files0-from list -delete",
    "wc --files0-from=list",
    "wc --f=list",
]
VARIABLES = ["LD_PRELOAD=./x.so ls", "ls; LD_PRELOAD=./x.so ls", "PATH=. ls", "ls | A+=b cat"]


@pytest.mark.parametrize("text", BUILT_PATHS + JOINED_OPTIONS + MADE_UP_NAMES + VARIABLES)
def test_no_command_leads_out_of_its_directory(text: str) -> None:
    """Neither by paths the shell puts together, nor behind an option, nor through xargs."""
    assert not sandbox.harmless(text)


@pytest.mark.parametrize(
    "text",
    [
        "find . -name '*.py' | xargs grep foo",
        "find . -type f -print0 | sort -z | xargs -0 ls",
        "find . -name x -exec rm {} \\;",
        "find . \\( -name a -o -name b \\)",
        "grep -E 'a{2,3}|b' a.txt | cut -d '|' -f 1",
        "cat a.txt 2>/dev/null",
        "sort --field-separator=: a.txt",
        "ls -l | grep foo | xargs rm",
    ],
)
def test_ordinary_commands_still_run(text: str) -> None:
    """Braces, bars and points inside quotes, and names that other programs found."""
    assert sandbox.harmless(text)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("grep '>' f", "grep > f"),
        ("grep \\> f", "grep > f"),
        ("cut -d '|' -f 1 a", "cut -d | -f 1 a"),
        ("echo 'a;' b", "echo a; b"),
        ('echo "a & b"', "echo a & b"),
        ("find . \\( -name a \\)", "find . ( -name a )"),
    ],
)
def test_quoted_operators_are_text(one: str, two: str) -> None:
    """As bash has it: a quoted sign joins and redirects nothing."""
    assert not shell.same_structure(one, two) and not shell.same_command(one, two)
    found = read_command(one)
    assert found is not None and len(found.parts) == 1 and not found.parts[0].redirections


def test_an_escaped_space_at_the_end_belongs_to_its_word() -> None:
    """It is no space that could be cut off."""
    assert shell.same_command("echo a\\ ", "echo 'a '")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"a/b": 1}, {"a": {"b": 1}}),
        ({"a": ["x"]}, {"a": {"0": "x"}}),
        (["x"], {"0": "x"}),
        ({"": {"": 1}}, {"/": 1}),
        ({'a"/"b': 1}, {"a": {"b": 1}}),
    ],
)
def test_fields_of_other_paths_are_others(one: object, two: object) -> None:
    """A key may hold any character, and a list is no object with numbers for keys."""
    assert not fields.whole(one, two) and fields.field_f1(one, two) == 0


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("MATCH (a) RETURN a.x AS p, a.y ORDER BY p", "MATCH (a) RETURN a.x, a.y AS q ORDER BY q"),
        ("MATCH (name {name: 'x'}) RETURN name", "MATCH (n {n: 'x'}) RETURN n"),
        ("MATCH (a {Order: 1}) RETURN a", "MATCH (a {order: 1}) RETURN a"),
        ("MATCH (a)-[:A|ORDER]->(b) RETURN a", "MATCH (a)-[:A|order]->(b) RETURN a"),
        ("RETURN 'cut as is , done'", "RETURN 'cut , done'"),
    ],
)
def test_cypher_that_a_graph_tells_apart(one: str, two: str) -> None:
    """Names of results that are used, keys of maps, types of relationships, and texts."""
    assert not cypher.same_query(one, two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("MATCH (a) RETURN a.x AS p ORDER BY p", "MATCH (b) RETURN b.x AS q ORDER BY q"),
        (
            "MATCH (a) RETURN a.x AS p UNION MATCH (b) RETURN b.y",
            "MATCH (q) RETURN q.x UNION MATCH (r) RETURN r.y",
        ),
        ("MATCH (a {x: a.x, y: 1}) RETURN a", "MATCH (b {x: b.x, y: 1}) RETURN b"),
    ],
)
def test_cypher_that_no_graph_tells_apart(one: str, two: str) -> None:
    """A name that only its own clause uses counts for nothing, wherever it stands."""
    assert cypher.same_query(one, two)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("(?i)a", "a", False),
        ("(?s).", ".", True),
        (r"\u4e00", r"\u4e01", False),
        (r"\u4e00", "\u4e00", True),
        (r"\f", r"\v", False),
        ("[α-ω]", "[αω]", False),
        ("[α-ω]", "[α-πρ-ω]", True),
        (r"\B", "", False),
    ],
)
def test_patterns_with_flags_escapes_and_ranges(one: str, two: str, same: bool) -> None:
    """Characters that are only escaped or lie inside a range are compared, too."""
    assert same_lines(one, two) is same and same_lines(two, one) is same


@pytest.mark.parametrize("space", ["  ", "\n", "\t"])
def test_order_counts_however_it_is_spaced(space: str, tmp_path: Path) -> None:
    """A reference orders by its words, not by one space between them."""
    import sqlite3

    path = tmp_path / "x.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)")
    connection.close()
    reference = f"SELECT a FROM t ORDER{space}BY a DESC"
    assert not sql.same_result(path, "SELECT a FROM t", reference)
    assert sql.same_result(path, "SELECT a FROM t ORDER BY -a", reference)


def test_conditions_beside_an_or_keep_their_places() -> None:
    """AND binds closer: exchanged, other rows are meant; an `or` inside a text is none."""
    query = "SELECT a FROM t WHERE a = 1 AND b = 2 OR c = 3"
    assert not sql.same_conditions("SELECT a FROM t WHERE b = 2 OR c = 3 AND a = 1", query)
    assert sql.same_conditions(query.lower(), query)
    one, two = "a = 'x or y'", "b = 2"
    swapped = f"SELECT a FROM t WHERE {two} AND {one}"
    assert sql.same_conditions(swapped, f"SELECT a FROM t WHERE {one} AND {two}")


def test_a_query_that_never_ends_is_ended() -> None:
    """Empty tables do not keep a query from counting for ever."""
    start = time.monotonic()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    assert not sql.prepares("t(a)", endless)
    assert time.monotonic() - start < 10 * sql.SECONDS


@pytest.mark.parametrize("schema", ["t(a, a)", "t(A, a)", "sqlite_x(a)"])
def test_tables_that_sqlite_cannot_make_accept_nothing(schema: str) -> None:
    """Instead of ending an evaluation."""
    assert not sql.prepares(schema, "SELECT 1")
