"""Requests for commands with other arguments: in both the same, and nothing else changed."""

import random
from pathlib import Path

import pytest

from expert.metrics.shell import same_structure
from expert.train.corpus import held_out
from expert.train.examples import Source
from expert.train.rows import read_rows
from expert.train.tasks.arguments import Arguments, exchanged, kind
from expert.train.tasks.shell import nl2bash
from train.conftest import write_rows

POOL = Arguments(
    frozenset(("print", "name", "file", "grep", "sort")),
    {
        "word": ["orange", "staff"], "name": ["LOG_DIR", "vim0"], "file": ["a.tar", "10.0.0.1"],
        "ending": [".csv", ".c"], "root": ["/opt/x", "/srv"], "path": ["a/b", "~/notes"],
    },
)  # fmt: skip
PAIRS = [
    ("find all .txt files below /home/pat", "find /home/pat -name '*.txt'"),
    ("show the first 20 lines of notes.md", "head -n 20 notes.md"),
    ("give 'report' to ann", "sudo chown ann report"),
    ("print lines of src/main.c with TODO_1", "grep TODO_1 src/main.c"),
]


def draws(request: str, command: str, count: int = 60) -> list[tuple[str, str]]:
    """Return a request and its command with their arguments replaced in many ways."""
    return [exchanged(request, command, POOL, random.Random(seed)) for seed in range(count)]


@pytest.mark.parametrize(("request_", "command"), PAIRS)
def test_arguments_change_in_both(request_: str, command: str) -> None:
    """The command has the same structure, and every argument that is new is in the request."""
    made = draws(request_, command)
    assert len(set(made)) > 3
    for said, new in made:
        assert same_structure(new, command)
        for word in POOL.shared(said, new):
            assert word in said and word in new
        if new != command:
            assert said != request_
    assert made == draws(request_, command)


@pytest.mark.parametrize(
    ("request_", "command"),
    [
        ("print all names", "find . -print"),  # an option
        ("sort the file", "cat x | sort"),  # a program
        ("compress each log", "find . -exec compress {} +"),
        ("zip with tar", "ls | xargs -0 tar"),
        ("files of 7 in 7 days", "find . -mtime -7"),  # said twice
        ("open http://example", "curl http://other/example"),
        ("go to the folder", "cd sub-folder"),  # part of another word
        ("x", "echo x"),  # too short to be told from a letter
    ],
)
def test_what_is_no_argument_stays(request_: str, command: str) -> None:
    """Programs, options, parts of words, and what the request says twice or not at all."""
    assert set(draws(request_, command)) == {(request_, command)}


def test_numbers_stay_numbers_and_modes_stay_modes() -> None:
    """As many digits; octal ones stay octal; a sign before them stays."""
    for _, command in draws("larger than 500 kB", "find . -size +500k"):
        assert command.startswith("find . -size +") and command[-4:-1].isdigit()
    modes = {command for _, command in draws("set mode 755", "chmod 755 .")}
    assert len(modes) > 9 and all(set(one[6:9]) <= set("01234567") for one in modes)


@pytest.mark.parametrize(
    ("word", "name"),
    [("10", "number"), ("/etc", "root"), ("a/b", "path"), (".txt", "ending"), ("a.b", "file"),
     ("Ann", "name"), ("log_dir", "name"), ("ann", "word")],
)  # fmt: skip
def test_arguments_have_kinds(word: str, name: str) -> None:
    """An argument becomes another one of its kind."""
    assert kind(word) == name


def test_the_language_is_what_many_commands_have(tmp_path: Path) -> None:
    """Its words are never arguments, whatever a request says."""
    rows = [(f"print {n} of total", f"awk print file{n} total") for n in range(30)]
    found = Arguments.of(rows)
    assert found.language == {"awk", "print", "total"}
    assert found.of_kind == {"number": []} or "total" not in found.of_kind.get("word", [])


def test_only_what_is_learnt_from_is_exchanged(tmp_path: Path) -> None:
    """Requests of the validation file stay, and a new command that it has joins its group."""
    source = Source(tmp_path)
    learnt = [{"nl": f"show the first {n} lines of notes.md", "cmd": f"head -n {n} notes.md"}
              for n in range(10, 90) if n != 55]  # fmt: skip
    kept = [{"nl": "show the first 55 lines of notes.md", "cmd": "head -n 55 notes.md"}]
    write_rows(source.task("shell/nl2bash_train"), learnt)
    write_rows(source.task("shell/nl2bash_dev"), kept)
    plain = [example.question.answer for example in nl2bash(source)]
    assert plain == [row["cmd"] for row in (*learnt, *kept)]
    seen = set()
    for variant in range(1, 30):
        for example in nl2bash(Source(tmp_path, variant)):
            command = example.question.answer
            assert held_out(example) == (command == kept[0]["cmd"])
            seen.add(command)
    assert len(seen) > len(plain)


def test_public_commands_keep_their_structure(data: Path) -> None:
    """Nearly all of those that change, as far as it is compared: `-n10` counts as an option."""
    file = Source(data).task("shell/nl2bash_train")
    rows = [(row["nl"], row["cmd"]) for row in read_rows(file)][:3000]
    arguments, rng = Arguments.of(rows), random.Random(3)
    made = [(command, exchanged(request, command, arguments, rng)[1]) for request, command in rows]
    changed = [(old, new) for old, new in made if old != new]
    assert len(changed) > 0.4 * len(made)
    same = sum(same_structure(new, old) for old, new in changed)
    assert same > 0.94 * len(changed), (same, len(changed))
