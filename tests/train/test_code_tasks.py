"""Rows about commits, graphs, tables, functions and commands become prompts as people send them."""

import json
import random
import re
import subprocess
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from expert.errors import ContractError
from expert.forms import byte_table, read_grammar
from expert.train.corpus import held_out
from expert.train.examples import Source
from expert.train.tasks.calls import call_schema, sgd
from expert.train.tasks.commit import commit, conventional, git_diff
from expert.train.tasks.cypher import Graph, cypher, read_graph
from expert.train.tasks.spelling import repaired
from expert.train.tasks.sql import wide_wikisql

EXPERTS = Path(__file__).parents[2] / "experts"


def row(message: str, *paths: str) -> dict[str, str]:
    """Return a commit that touches some files."""
    diff = "".join(f"file {path}\n@@ -1,1 +1,1 @@\n-a\n+b\n" for path in paths or ("src/app.py",))
    return {"msg": message, "diff": diff, "repo": "r"}


@pytest.mark.parametrize(
    ("message", "paths", "subject"),
    [
        ("feat(cli): add a new flag (#12)\n\nBody", (), "feat(cli): add a new flag"),
        ("Fixed the crash at start.", (), "fix: the crash at start"),
        ("Adding support for tables", (), "feat: add support for tables"),
        ("Removes the old parser", (), "refactor: remove the old parser"),
        ("dropped Python 3.6", (), "refactor: drop Python 3.6"),
        ("[server] Allow longer names", (), "feat(server): allow longer names"),
        ("docs: explain the settings", (), "docs: explain the settings"),
        ("Some words about it", ("docs/a.md", "README.md"), "docs: some words about it"),
        (
            "HTTP headers are sent twice",
            ("tests/test_http.py",),
            "test: HTTP headers are sent twice",
        ),
        ("New runner image", (".github/workflows/ci.yml",), "ci: new runner image"),
        ("Require version 3", ("requirements.txt", "setup.py"), "build: require version 3"),
        ("Some words about it", ("docs/a.md", "src/app.py"), None),
        ("Fix it", (), None),
        ("Add " + "x" * 80, (), None),
        ("Ajouter l'élément manquant", ("README.md",), None),
    ],
)
def test_messages_become_conventional(
    message: str, paths: tuple[str, ...], subject: str | None
) -> None:
    """The type comes from the files or the verb; what neither tells is left out."""
    assert conventional(row(message, *paths)) == subject


def test_the_diffs_of_rows_become_those_of_git(tmp_path: Path) -> None:
    """Git itself reads them: changed, new and deleted files, and as many lines of each."""
    text = (
        "file a.py\n@@ -1,2 +1,3 @@ def f():\n x\n-y\n+z\n+w\n"
        "file new.txt\nnew file mode 100644\n@@ -0,0 +1,1 @@\n+one\n"
        "file old.txt\ndeleted file mode 100644\n@@ -1,1 +0,0 @@\n-one\n"
    )
    made = git_diff(text)
    assert made.startswith("diff --git a/a.py b/a.py\nindex ")
    assert "--- /dev/null\n+++ b/new.txt" in made and "--- a/old.txt\n+++ /dev/null" in made
    assert "index 0000000.." in made and "..0000000\n" in made
    done = subprocess.run(
        ["git", "apply", "--numstat", "-"],
        input=made, capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["2", "1", "a.py", "1", "0", "new.txt", "0", "1", "old.txt"]
    assert git_diff(text) == made


def test_the_commit_experts_grammar_allows_what_it_is_trained_on(data: Path) -> None:
    """Every subject is one line of its grammar, and is one of the types; free messages are not."""
    form, table = read_grammar(EXPERTS / "commit/commit.gbnf"), byte_table()
    for example in islice(commit(Source(data)), 0, 4000, 100):
        form.check(example.turns[0].answer, table)
    for wrong in (
        "Fix the bug",
        "fix: the bug is gone.",
        "fix: two\nlines of it",
        "fix:nothing at",
    ):
        with pytest.raises(ContractError):
            form.check(wrong, table)


SCHEMA = """Node properties:
- **User**
  - `name`: STRING Example: "x"
  - `age`: INTEGER Min: 1, Max: 2
- **Film**
  - `title`: STRING Available options: ['a', 'b']
  - `released`: DATE Example: "1954-01-01"
Relationship properties:
- **RATED**
  - `stars: INTEGER` Min: 1, Max:  5
The relationships:
(:User)-[:RATED]->(:Film)
(:User)-[:KNOWS]->(:User)"""
SHORT = (
    "User(name, age number)\nFilm(title, released date)\nRATED[stars number]\n"
    "(:User)-[:RATED]->(:Film)\n(:User)-[:KNOWS]->(:User)"
)


def test_the_schema_of_a_graph_is_written_short() -> None:
    """Labels, properties with their kinds, and connections, each on a line."""
    assert read_graph(SCHEMA).text() == SHORT
    assert read_graph("nothing").text() == "" and read_graph("").nodes == {}


@pytest.mark.parametrize("seed", range(12))
def test_a_part_of_a_graph_holds_what_a_query_names(seed: int) -> None:
    """Labels, properties and types that are named stay; connections lead to what is shown."""
    part = read_graph(SCHEMA).part({"User", "age", "KNOWS"}, random.Random(seed))
    assert "age" in part.nodes["User"] and ("User", "KNOWS", "User") in part.links
    assert all(start in part.nodes and end in part.nodes for start, _, end in part.links)
    assert set(part.relationships) <= {name for _, name, _ in part.links}
    assert len(part.text()) <= len(SHORT)


def test_an_empty_graph_has_no_part() -> None:
    """Nothing comes from nothing."""
    assert Graph().part({"User"}, random.Random(1)).text() == ""


def test_questions_about_graphs_name_what_is_shown(data: Path) -> None:
    """In every variant the labels of a query stand in its prompt, where the graph has them."""
    for variant in (0, 1):
        for example in islice(cypher(Source(data, variant)), 0, 3000, 100):
            turn = example.turns[0]
            assert "\n" not in turn.answer
            whole = read_graph_of(turn.prompt)
            for label in re.findall(r"\(\w*:(\w+)[ ){]", turn.answer):
                assert label in whole or variant == 0


def read_graph_of(prompt: str) -> set[str]:
    """Return the words of a prompt."""
    return set(re.findall(r"\w+", prompt))


def test_wider_tables_hold_every_column_of_the_query(data: Path) -> None:
    """There is more to choose from than the query needs, in no fixed order, and no text is lost."""
    first = 0
    made = list(islice(wide_wikisql(Source(data)), 400))
    for example in made:
        assert example.form is not None
        option, schema = example.form
        columns = schema.removeprefix("t(").removesuffix(")").split(", ")
        selected = re.search(r"SELECT (?:\w+\()?([^ ()]+)", example.turns[0].answer)
        assert option == "sql_schema" and schema in example.turns[0].prompt
        assert selected is not None and selected[1] in columns and len(set(columns)) > 2
        first += selected[1] == columns[0]
    assert first < len(made) / 2


def test_the_schema_of_functions(data: Path) -> None:
    """By jsonschema, the calls of the data keep the schema of their functions, and others not."""
    peer: Any = pytest.importorskip("jsonschema")
    for example in islice(sgd(Source(data)), 0, 2000, 50):
        assert example.form is not None and example.form[0] == "schema"
        validator = peer.Draft7Validator(json.loads(example.form[1]))
        call = json.loads(example.turns[0].answer)
        assert validator.is_valid(call)
        assert not validator.is_valid({**call, "name": "Nothing"})
        assert not validator.is_valid({**call, "arguments": {"nothing": "x"}})
        assert call["name"] in example.turns[0].prompt


def test_choices_and_needed_arguments_are_kept() -> None:
    """A choice is an enumeration, an argument without which a call makes no sense is required."""
    service = {
        "slots": [
            {"name": "kind", "is_categorical": True, "possible_values": ["a", "b"]},
            {"name": "city", "is_categorical": False, "possible_values": []},
        ],
        "intents": [{"name": "Find", "required_slots": ["city"], "optional_slots": {"kind": "a"}}],
    }
    (call,) = call_schema(service)["anyOf"]
    arguments = call["properties"]["arguments"]
    assert list(arguments["properties"]) == ["city", "kind"] and arguments["required"] == ["city"]
    assert arguments["properties"]["kind"] == {"enum": ["a", "b"]}


@pytest.mark.parametrize(
    ("command", "right"),
    [
        ("find . -exec ls -l {} ;", "find . -exec ls -l {} \\;"),
        ("find . -exec ls {} \\; ", "find . -exec ls {} \\;"),
        ("ls; pwd", "ls; pwd"),
    ],
)
def test_commands_that_lost_a_backslash_get_it_back(command: str, right: str) -> None:
    """The `;` that ends -exec must not end the command."""
    assert repaired(command) == right


@pytest.mark.parametrize("build", [commit, cypher, wide_wikisql, sgd])
def test_some_rows_are_held_out_and_most_are_not(build: Any, data: Path) -> None:
    """Each task can be measured on rows of groups that are never trained on."""
    kept = [held_out(example) for example in islice(build(Source(data)), 4000)]
    assert 5 < sum(kept) < len(kept) / 2
