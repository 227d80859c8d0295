"""Options of asking and of looking back, each given to the real program with pocket.

The last test reads from all tests which options were given, so one that nobody gives is found.
"""

import json
import os
from pathlib import Path

import pytest

from expert.cli.commands import Command, commands
from support.driven import given
from support.program import Outcome, expert

VERBS = ("ask", "chat", "sh", "log", "route", "config", "completions", "man", "version", "paths")
"""What people type while they ask and look back."""
EVERYWHERE = ("--help", "--debug")
"""Options that every command has from one place, so that one command is enough."""
ENGINE = ("--context", "512", "--threads", "1", "--gpu-layers", "0", "--kv-type", "f16")
QUESTION = "size=large; colour=green; size?"


def good(*arguments: str | Path, stdin: bytes = b"") -> Outcome:
    """Run the program, which must succeed."""
    done = expert(*arguments, stdin=stdin)
    assert done.code == 0, (arguments, done.message)
    return done


@pytest.mark.slow
def test_options_of_ask(pocket: Path) -> None:
    """What shapes sampling is in the JSON; what is kept out of the history is not in it."""
    sampling = ("--temperature", "0.5", "--top-k", "7", "--top-p", "0.5", "--repeat-penalty", "1.5")
    done = good(
        "ask", *ENGINE, *sampling, "--min-p", "0.25", "--json", "-n", "--no-think", QUESTION
    )
    params = json.loads(done.out)["params"]
    assert (params["top_k"], params["top_p"], params["repeat_penalty"]) == (7, 0.5, 1.5)
    assert json.loads(good("log", "--json").out) == []
    whole = good("ask", "-q", "--temperature", "0", QUESTION).text.strip()
    cut = good("ask", "-q", "--temperature", "0", "--stop", whole[1:2], QUESTION).text.strip()
    assert cut == whole[:1]
    good("ask", "-q", "--think", "--max-tokens", "4", QUESTION)


@pytest.mark.slow
def test_options_of_chat_and_sh(pocket: Path) -> None:
    """The engine's own options, a system prompt, and a command that is only printed."""
    chat = ("chat", "--plain", "-m", "pocket", "-s", "Be brief.", "--max-tokens", "4")
    assert good(*chat, *ENGINE, stdin=QUESTION.encode()).out
    sh = ("sh", "--print", "-m", "pocket", "-e", "none", "-n", "--seed", "1", "--timeout", "100")
    assert good(*sh, *ENGINE, "find all empty files here").out
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
    monkeypatch.setenv("VISUAL", "true")
    assert good("config", "edit", "--json").out == b""
    assert os.environ["EXPERT_HOME"] in good("config", "path").text


def _leaves(command: Command) -> list[Command]:
    return [leaf for action in command.actions for leaf in _leaves(action)] or [command]


def test_every_option_is_given() -> None:
    """Each option of these commands stands beside its command in some test."""
    words = given()
    missing = []
    for command in commands():
        for leaf in _leaves(command) if command.name in VERBS else ():
            together = [one for one in words if set(leaf.words) <= one]
            for option in leaf.options:
                everywhere = option.flags[-1] in EVERYWHERE
                if not any(set(option.flags) & one for one in (words if everywhere else together)):
                    missing.append(" ".join((*leaf.words, option.flags[-1])))
    assert missing == []
