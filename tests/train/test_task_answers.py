"""Rows of tasks by the programs that read them: SQLite, bash, git, a JSON Schema validator."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types

from expert.metrics.sql import same_rows
from expert.train.examples import Source
from expert.train.tasks import BUILDERS
from expert.train.tasks.calls import call_schema, sgd, signature
from expert.train.tasks.commit import LONGEST_SUBJECT, TYPES, conventional, git_diff
from expert.train.tasks.cypher import Graph, read_graph
from expert.train.tasks.others import instruct, intent
from expert.train.tasks.shell import LONGEST_COMMAND, nl2bash, tldr
from expert.train.tasks.spelling import repaired
from expert.train.tasks.sql import normalise, quoted, repair_wikisql, wide_wikisql

SCHEMA = "Song(Id, Title, Year, Singer_Id), Singer(Id, Name, Country)"
TABLES = """
CREATE TABLE Song (Id, Title, Year, Singer_Id); CREATE TABLE Singer (Id, Name, Country);
INSERT INTO Singer VALUES (1, 'Ann', 'France'), (2, 'it''s Bo', 'Peru'), (3, 'Cy', 'France');
INSERT INTO Song VALUES (1, 'Sun', 2001, 1), (2, 'Rain', 1999, 2), (3, 'Sun', 2010, 3);
"""
QUERIES = [
    "select count ( * ) from song",
    "SELECT T1.title , T2.name FROM song AS T1 JOIN singer AS T2 ON T1.singer_id = T2.id",
    'select name from singer where country = "France" order by name desc ;',
    "select country , count ( distinct name ) from singer group by country having count ( * ) > 1",
    "select title from song where year > = 2001 and title ! = 'Rain'",
    "select name from singer where id not in ( select singer_id from song where year < 2000 )",
    "select max ( year ) , min ( year ) , avg ( year ) from song",
    "select t1.* from song as t1 where t1.title like '%u%' limit 1",
    "select name from singer where country = 'Peru' union select name from singer where id = 1",
    "select year from song where year between 2000 and 2005",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_normalised_query_returns_the_same(query: str) -> None:
    """Spacing, keywords, names and quotes change; the rows do not, nor does a second time."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(TABLES)
        made = normalise(query, SCHEMA)
        plain = re.sub("> =", ">=", re.sub("! =", "!=", query))
        ordered = "order by" in query
        found, wanted = (database.execute(text).fetchall() for text in (made, plain))
        assert same_rows(found, wanted, ordered=ordered), made
    assert normalise(made, SCHEMA) == made and ";" not in made and '"' not in made
    words = re.findall(r"\w+", re.sub("'[^']*'", "", made))
    known = set(re.findall(r"\w+", SCHEMA))
    assert all(w in known or w.isupper() or w.isdigit() or re.match(r"T\d", w) for w in words)


@pytest.mark.parametrize("seed", range(3))
def test_values_of_any_text_are_quoted_for_sqlite(seed: int) -> None:
    """Whatever stands in a value, the literal is that value."""
    rng = random.Random(seed)
    with closing(sqlite3.connect(":memory:")) as database:
        for _ in range(200):
            text = "".join(rng.choices("ab '\";-\\%\n\té", k=rng.randint(0, 12)))
            (found,) = database.execute(f"SELECT {quoted(text)}").fetchone()
            assert found == text


@pytest.mark.parametrize("seed", range(3))
def test_repaired_conditions_find_their_row(seed: int) -> None:
    """The value is spelled as in the question, so the row with that spelling is found."""
    rng = random.Random(f"wikisql {seed}")
    for _ in range(60):
        value = " ".join(rng.choices(("O'Neil", "Paris", "green day", "x-1", "A.C."), k=2))
        number = rng.choice((7, 1_200, 3.5))
        sql = f"SELECT name FROM t WHERE city = {value.lower()} AND size = {number:,}"
        row = {"sql": sql, "question": f"Who is of {value} with {number:,}?"}
        made = repair_wikisql(row)
        assert made is not None
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute("CREATE TABLE t (name, city, size)")
            database.execute("INSERT INTO t VALUES ('me', ?, ?)", (value, number))
            assert database.execute(made).fetchall() == [("me",)], made


@pytest.mark.parametrize("sql", ["SELECT a FROM t", "SELECT a FROM t WHERE a b", ""])
def test_what_cannot_be_repaired_is_left_out(sql: str) -> None:
    """No condition, one that is none, and a value that the question does not have."""
    assert repair_wikisql({"sql": sql, "question": "which a?"}) is None
    row = {"sql": "SELECT a FROM t WHERE b = Rome", "question": "which a in Paris?"}
    assert repair_wikisql(row) is None


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write packed rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zstandard.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))


def test_wider_tables_still_answer_the_query(tmp_path: Path) -> None:
    """Every column of the query is in the schema of the prompt; quotes in a question are text."""
    source = Source(tmp_path, 1)
    rows = [
        {
            "question": f"Which c{n} has b of Ann's {n}{{}}?", "db": f"d{n}",
            "sql": f"SELECT c{n} FROM t WHERE b{n} = ann's {n}", "schema": f"t(c{n}, b{n})",
        }
        for n in range(40)
    ]  # fmt: skip
    write(source.task("sql/train_wikisql_aux_partial_schema"), rows)
    made = list(wide_wikisql(source))
    assert len(made) == 40 and made == list(wide_wikisql(source))
    wider = 0
    for example in made:
        assert example.form is not None
        columns = example.form[1].removeprefix("t(").removesuffix(")").split(", ")
        wider += len(columns) > 2
        assert len(set(columns)) == len(columns)
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute(f"CREATE TABLE t ({', '.join(columns)})")
            database.execute(example.question.answer)
        assert example.form[1] in example.question.prompt
    assert wider > 30


def test_a_repaired_command_runs() -> None:
    """`find -exec` needs its `;`, which bash would take."""
    broken = "find . -maxdepth 0 -exec echo {} ;"
    fixed = repaired(broken)
    done = subprocess.run(["bash", "-c", fixed], capture_output=True, text=True)
    assert done.stdout == ".\n" and repaired(fixed) == fixed
    assert subprocess.run(["bash", "-c", broken], capture_output=True).returncode


def test_commands_that_are_long_or_of_the_validation_are_kept_apart(tmp_path: Path) -> None:
    """Equal commands are in one group, whichever file they come from."""
    source = Source(tmp_path)
    long = "x" * (LONGEST_COMMAND + 1)
    train = [{"nl": "list", "cmd": "ls"}, {"nl": "long", "cmd": long}, {"nl": "{}", "cmd": "du"}]
    write(source.task("shell/nl2bash_train"), train)
    write(source.task("shell/nl2bash_dev"), [{"nl": "show files", "cmd": " ls "}])
    made = [(e.group, e.question.answer) for e in nl2bash(source)]
    assert made == [("nl2bash:val", "ls"), ("nl2bash:train", "du"), ("nl2bash:val", "ls")]
    page = {"nl": "List", "cmd": "ls -l", "os": "osx", "page": "LS.md"}
    write(source.task("shell/tldr_train"), [page, {**page, "cmd": long}])
    (example,) = tldr(source)
    assert example.group == "tldr:ls" and "macOS" in example.question.prompt


def test_diffs_are_applied_by_git(tmp_path: Path) -> None:
    """What the prompt shows is a patch that git takes."""

    def git(*words: str, given: str = "") -> None:
        subprocess.run(
            ["git", *words], cwd=tmp_path, input=given, text=True, check=True, capture_output=True
        )

    git("init", "-q")
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
    row = "file a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n"
    new = "file b/new.py\nnew file mode 100644\n@@ -0,0 +1 @@\n+x = 1\n"
    git("apply", "-", given=git_diff(row + new))
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "one\nTWO\nthree\n"
    assert (tmp_path / "b/new.py").read_text(encoding="utf-8") == "x = 1\n"
    gone = "file b/new.py\ndeleted file mode 100644\n@@ -1 +0,0 @@\n-x = 1\n"
    git("apply", "-", given=git_diff(gone))
    assert not (tmp_path / "b/new.py").exists()


PARTS = ("Fix", "fixes", "add", "docs", "core:", "[api]", "feat(x):", "bug", "in", "the", "parser",
         "(#12)", "#3", "é", "Update", "readme.", "fix:", "Added", "tests", "!", "")  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_subjects_are_conventional_or_left_out(seed: int) -> None:
    """Any words: type, scope and summary keep the rules that answers are judged by."""
    rng = random.Random(seed)
    kept = 0
    for _ in range(500):
        message = " ".join(rng.choices(PARTS, k=rng.randint(0, 8)))
        path = rng.choice(
            ("src/a.py", "tests/a.py", "README.md", "setup.py", ".github/workflows/x")
        )
        subject = conventional({"msg": message, "diff": f"file {path}\n@@ -1 +1 @@\n-a\n+b\n"})
        if subject is None:
            continue
        kept += 1
        assert re.fullmatch(rf"(?:{TYPES})(?:\([\w./-]+\))?: \S.*", subject), (message, subject)
        assert len(subject) <= LONGEST_SUBJECT and subject.isascii()
        assert message.count("#") > 1 or not re.search(r"#\d+\)?$", subject)
    assert kept > 100


def test_calls_have_a_schema_that_says_what_the_signature_says() -> None:
    """Arguments that are needed, and choices."""
    slots = [
        {"name": "city", "is_categorical": False, "possible_values": []},
        {"name": "stars", "is_categorical": True, "possible_values": ["1", "2"]},
    ]
    intent_ = {"name": "Find", "required_slots": ["city"], "optional_slots": {"stars": "1"}}
    schema = {"slots": slots, "intents": [intent_]}
    assert signature(schema, intent_) == "Find(city, stars: 1|2)"
    (call,) = call_schema(schema)["anyOf"]
    assert call["properties"]["arguments"]["required"] == ["city"]
    check = Draft202012Validator(call_schema(schema)).is_valid
    assert check({"name": "Find", "arguments": {"city": "Rome", "stars": "2"}})
    for wrong in ({}, {"city": ""}, {"city": "Rome", "stars": "3"}, {"city": "Rome", "x": "1"}):
        assert not check({"name": "Find", "arguments": wrong})


@pytest.mark.parametrize("seed", range(4))
def test_a_part_of_a_graph_is_of_that_graph(seed: int) -> None:
    """Nothing is made up, everything named is there, and no link hangs in the air."""
    rng = random.Random(seed)
    nodes = {f"N{n}": {f"p{n}{m}": "" for m in range(3)} for n in range(5)}
    links = [(f"N{rng.randrange(5)}", f"R{n}", f"N{rng.randrange(5)}") for n in range(6)]
    graph = Graph(nodes, {f"R{n}": {"since": " date"} for n in range(6)}, links)
    for _ in range(100):
        words = set(rng.sample(["N0", "N1", "p00", "R0", "N3"], 3))
        part = graph.part(words, rng)
        assert set(part.nodes) <= set(nodes) and words & set(nodes) <= set(part.nodes)
        assert all(set(held) <= set(nodes[name]) for name, held in part.nodes.items())
        assert all(link in links and {link[0], link[2]} <= set(part.nodes) for link in part.links)
        assert set(part.relationships) <= {name for _, name, _ in part.links}
        again = read_graph(as_printed(part))
        assert again.nodes == part.nodes and sorted(again.links) == sorted(part.links)


def as_printed(graph: Graph) -> str:
    """Write a graph as Neo4j's tools for language models print it."""
    kinds = {" number": "INTEGER", " date": "DATE", "": "STRING"}

    def listed(held: dict[str, dict[str, str]]) -> str:
        return "".join(
            f"- **{name}**\n" + "".join(f"  - `{key}: {kinds[kind]}`\n" for key, kind in p.items())
            for name, p in held.items()
        )

    links = "".join(f"(:{a})-[:{name}]->(:{b})\n" for a, name, b in graph.links)
    return (
        f"Node properties:\n{listed(graph.nodes)}Relationship properties:\n"
        f"{listed(graph.relationships)}The relationships:\n{links}"
    )


def test_dialogues_show_their_end(tmp_path: Path) -> None:
    """The last turn is always there; a long dialogue is cut at its front."""
    source = Source(tmp_path)
    schema = {"slots": [], "intents": [{"name": "F", "required_slots": [], "optional_slots": []}]}
    (tmp_path / "experts/json").mkdir(parents=True)
    (tmp_path / "experts/json/sgd_schemas.json").write_text(json.dumps({"S": schema}), "utf-8")
    turns = [{"role": "user", "content": f"turn {n} {'x' * 90}"} for n in range(20)]
    row = {"service": "S", "dialogue": turns, "call": {"name": "F", "arguments": {"é": "ü"}}}
    write(source.task("json/sgd_calls_train"), [row, {**row, "dialogue": turns[:1]}])
    long, short = sgd(source)
    assert "turn 19" in long.question.prompt and "turn 0 " not in long.question.prompt
    assert "turn 0 " in short.question.prompt and long.group == short.group
    assert long.question.answer == '{"name":"F","arguments":{"é":"ü"}}'


def test_texts_with_signs_of_templates_are_taken_as_they_are(tmp_path: Path) -> None:
    """Braces in a request are no field of a template."""
    source = Source(tmp_path)
    rows = [{"text": "what is {x} and {0}?", "intent": "ask"}]
    for name in ("clinc150_train", "clinc150_val", "banking77_train"):
        write(source.task(f"intent/{name}"), rows)
    assert all("{x} and {0}" in example.question.prompt for example in intent(source))
    write(source.task("instruct/dolly_open_qa"), [{"instruction": "{a}?", "response": " b "}])
    write(source.task("instruct/self_instruct_seeds"), [])
    (example,) = instruct(source)
    assert (example.question.prompt, example.question.answer) == ("{a}?", "b")


def test_every_builder_is_deterministic_and_named(data: Path) -> None:
    """The first rows of every task of the public data, drawn twice; another variant differs."""
    from itertools import islice

    for name in ("snips", "wikisql", "tldr", "cypher", "dictionary", "intent"):
        first, again, other = (
            list(islice(BUILDERS[name](Source(data, variant)), 40)) for variant in (0, 0, 1)
        )
        assert first == again != other, name
