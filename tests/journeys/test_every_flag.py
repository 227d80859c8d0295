"""Options of asking and of looking back, each given to the real program with pocket.

Those of other commands are in `test_flags_*.py` beside this and in the tests of the commands. The
last tests read from all tests which options were given, so one that nobody gives is found.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from expert.cli.commands import commands
from support.driven import given, options_given
from support.program import Outcome, expert

EVERYWHERE = ("--help", "--debug")
"""Options that every command has from one place, so that one command is enough."""
ENGINE = (
    "--context", "512", "--threads", "1", "--gpu-layers", "0", "--kv-type", "q8_0", "--debug",
)  # fmt: skip
"""The log, which --debug shows, tells what became of it; layers on a GPU would need one."""
QUESTION = "size=large; colour=green; size?"


def good(*arguments: str | Path, stdin: bytes = b"") -> Outcome:
    """Run the program, which must succeed."""
    done = expert(*arguments, stdin=stdin)
    assert done.code == 0, (arguments, done.message)
    return done


def placed(done: Outcome) -> bool:
    """Tell whether the log says that the model was sized by `ENGINE`."""
    context = re.search(r"n_ctx +=\s*(\d+)", done.message)
    return context is not None and context[1] == "512" and "K (q8_0)" in done.message


@pytest.mark.slow
def test_options_of_ask(pocket: Path) -> None:
    """What shapes sampling is in the JSON; what is kept out of the history is not in it."""
    sampling = ("--temperature", "0.5", "--top-k", "7", "--top-p", "0.5", "--repeat-penalty", "1.5")
    done = good(
        "ask", *ENGINE, *sampling, "--min-p", "0.25", "--json", "-n", "--no-think", QUESTION
    )
    params = json.loads(done.out)["params"]
    assert (params["top_k"], params["top_p"], params["repeat_penalty"]) == (7, 0.5, 1.5)
    assert (params["temperature"], params["min_p"]) == (0.5, 0.25)
    assert placed(done)
    assert json.loads(good("log", "--json").out) == []
    whole = good("ask", "-q", "--temperature", "0", QUESTION).text.strip()
    cut = good("ask", "-q", "--temperature", "0", "--stop", whole[1:2], QUESTION).text.strip()
    assert cut == whole[:1]
    good("ask", "-q", "--think", "--max-tokens", "4", QUESTION)


@pytest.mark.slow
def test_options_of_chat_and_sh(pocket: Path) -> None:
    """The engine's own options, a system prompt, a command that is only printed, the same again."""
    chat = ("chat", "--plain", "-m", "pocket", "-s", "Be brief.", "--max-tokens", "4")
    talked = good(*chat, *ENGINE, stdin=QUESTION.encode())
    assert talked.out and placed(talked)
    sh = ("sh", "--print", "-m", "pocket", "-e", "none", "-n", "--seed", "1")
    request = "find all empty files here"
    printed = good(*sh, *ENGINE, "--timeout", "100", request)
    assert printed.out and placed(printed)
    assert good(*sh, *ENGINE, request).out == printed.out
    late = expert(*sh, *ENGINE, "--timeout", "0.001", request)
    assert (late.code, "Traceback" in late.message) == (124, True)  # --debug changes no code
    (talk,) = json.loads(good("log", "list", "--json").out)
    turns = json.loads(good("log", "export", str(talk["id"]), "--format", "json").out)
    assert "Be brief." in json.dumps(turns)


@pytest.mark.slow
def test_options_of_the_history(pocket: Path, tmp_path: Path) -> None:
    """Limits, the bin, JSON of every change, and a file instead of standard output."""
    for question in ("one river", "two rivers"):
        good("ask", "-q", "--max-tokens", "2", question)
    assert len(json.loads(good("log", "list", "-n", "1", "--json").out)) == 1
    assert len(json.loads(good("log", "list", "--all", "--json").out)) == 2
    assert len(json.loads(good("log", "search", "-n", "1", "--json", "river").out)) == 1
    assert json.loads(good("log", "search", "--expert", "nobody", "--json", "river").out) == []
    json.loads(good("log", "rename", "--json", "1", "The river").out)
    assert json.loads(good("log", "export", "1", "--json").out)["title"] == "The river"
    good("log", "export", "1", "-o", tmp_path / "talk.md")
    assert "The river" in (tmp_path / "talk.md").read_text()
    json.loads(good("log", "rm", "1", "-y", "--json").out)
    assert len(json.loads(good("log", "list", "--bin", "--json").out)) == 1
    json.loads(good("log", "restore", "1", "--json").out)
    assert len(json.loads(good("log", "list", "--json").out)) == 2


@pytest.mark.slow
def test_options_of_route_and_config(
    pocket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and the turn before count for the route; every change of a setting can be JSON."""
    (tmp_path / "notes.txt").write_text("milk")
    options = ("--file", tmp_path / "notes.txt", "--previous", "expert/sql")
    route = json.loads(good("route", "--json", *options, "what is missing?").out)
    assert (route["choices"], route["none"]) == ([], 1.0)  # nobody is installed
    assert json.loads(good("config", "set", "theme", "nord", "--json").out)["name"] == "theme"
    assert json.loads(good("config", "unset", "theme", "--json").out)["name"] == "theme"
    assert json.loads(good("config", "path", "--json").out)["file"]
    settings = {row["name"]: row for row in json.loads(good("config", "list", "--json").out)}
    assert settings["threads"]["value"] == 1  # from the environment of these tests
    monkeypatch.setenv("VISUAL", "true")
    assert good("config", "edit", "--json").out == b""
    assert os.environ["EXPERT_HOME"] in good("config", "path").text


def _described() -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Yield the words of every command that does something, with its options."""

    pending = [*commands()]
    while pending:
        command = pending.pop()
        pending += command.actions
        if command.arguments or not command.actions:
            yield command.words, [option.flags for option in command.options]


def test_what_stands_in_place_of_an_argument_is_found() -> None:
    """Each of these has options of its own, which count too."""
    assert {words for words, _ in _described()} >= {
        ("bench",), ("train",),
        ("bench", "compress"), ("bench", "experts"), ("bench", "grammar"), ("bench", "package"),
        ("train", "all"), ("train", "distill"), ("train", "dpo"),
    }  # fmt: skip


def test_every_option_is_given() -> None:
    """Each option of each command follows it in some test."""
    run = given()
    anywhere = {word for words in run for word in words}
    missing: dict[tuple[str, ...], list[str]] = {}
    for command, flags in _described():
        together = {word for words in run for word in options_given(command, words)}
        for each in flags:
            if not set(each) & (anywhere if each[-1] in EVERYWHERE else together):
                missing.setdefault(command, []).append(each[-1])
    assert missing == {}


TESTS = """
from support.program import expert
COMMON = ("--seed", "1")

def log(*arguments):
    return expert("log", *arguments, "--json")

def options(name):
    return ["--stop", name]

def one():
    command = ("chat", "--plain")
    expert(*command, f"--context={512}")

def two(folder):
    command = ("sh", "--print")
    expert("ask", *COMMON, *options("x"), str(folder))
    log("rm", "1", "--forever")
    print("model", expert("paths"), "--unrelated")
"""


def test_what_a_test_gives_is_read(tmp_path: Path) -> None:
    """By names, helpers and what hands on; not from other functions, calls or modules."""
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "test_other.py").write_text('run("ask", "--beam", "3")')
    run = given(tmp_path)

    def found(*command: str) -> set[str]:
        every = {word for words in run for word in options_given(command, words)}
        return {word for word in every if word.startswith("-")}

    assert found("ask") == {"--seed", "--stop"}
    assert found("log", "rm") == {"--forever", "--json"}
    assert found("chat") == {"--plain", "--context"}
    assert found("sh") == {"--print"}
    assert found("paths") == found("rm") == set()
