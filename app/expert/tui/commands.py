"""The commands of the chat: what begins with a slash, and what it wants after it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Value: TypeAlias = Literal["", "expert", "model"]


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A command as help tells it."""

    name: str
    usage: str
    """What follows the name."""
    about: str
    value: Value = ""
    """What kind of name may follow, to be completed."""

    @property
    def line(self) -> str:
        """Return the command as it is typed."""
        return f"/{self.name} {self.usage}".rstrip()


COMMANDS = (
    SlashCommand("help", "", "show keys and commands"),
    SlashCommand("new", "", "begin a new conversation"),
    SlashCommand(
        "expert",
        "NAME[:SCALE] …",
        "who answers; none: the base; alone: auto",
        "expert",
    ),
    SlashCommand("scale", "N|NAME X", "how strongly a chosen expert acts", "expert"),
    SlashCommand("model", "NAME", "answer with another base; alone: choose one", "model"),
    SlashCommand("export", "", "write the conversation as Markdown"),
    SlashCommand("copy", "", "copy the last answer"),
    SlashCommand("retry", "NAME", "ask the last question again, or of NAME", "expert"),
    SlashCommand("quit", "", "leave"),
)
NAMES = {command.name: command for command in COMMANDS}
_COMMAND = re.compile(r"/([a-z]*)(?:\s+(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Called:
    """A command that was typed."""

    name: str
    words: tuple[str, ...]


def called(text: str) -> Called | None:
    """Return the command that *text* is; None if it is a question.

    A path such as `/etc/hosts` is the beginning of a question.
    """
    match = _COMMAND.fullmatch(text)
    return Called(match[1], tuple((match[2] or "").split())) if match else None


def place(word: str, names: Sequence[str]) -> int | None:
    """Return which of *names* a word means: its number, counted from 1, or the name itself.

    A name may stand without its publisher.
    """
    if word.isdecimal():
        numbers = [str(at) for at in range(1, len(names) + 1)]
        return numbers.index(word) if word in numbers else None
    found = [at for at, name in enumerate(names) if word in (name, name.rpartition("/")[2])]
    return found[0] if found else None


def number(text: str) -> float | None:
    """Return the scale that *text* is, None if it is none."""
    try:
        scale = float(text)
    except ValueError:
        return None
    return scale if abs(scale) < 1e6 else None
