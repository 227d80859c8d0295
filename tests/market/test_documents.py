"""The page about packages shows commands that exist, with options they have."""

import re
from functools import cache
from pathlib import Path

import pytest

from expert.cli import VERBS
from support.program import expert

PAGE = (Path(__file__).parents[2] / "docs" / "packages.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = sorted(
    {
        part.strip()
        for block in BLOCKS
        for line in block.splitlines()
        for part in line.partition("  #")[0].split("&&")
    }
)


@cache
def help_of(*words: str) -> str:
    """Return a command's help."""
    done = expert(*words, "--help")
    assert done.code == 0, words
    return done.text


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_options_exist(command: str) -> None:
    """The verb is one, so is its action, and `--help` names every option used."""
    words = re.sub(r'"[^"]*"', "TEXT", command).split()
    assert words[0] == "expert"
    assert words[1] in VERBS
    whole = help_of(words[1])
    actions = re.search(r"\{([a-z,]+)\}|ACTION", whole)
    text = whole
    if actions and words[2:] and re.search(rf"^    {re.escape(words[2])}\b", whole, re.MULTILINE):
        text = help_of(*words[1:3])
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), option


def test_the_page_shows_commands() -> None:
    """All of the blocks are read."""
    assert len(COMMANDS) > 25
