"""What may stand where the cursor is: commands, names of experts and models, files."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from expert.tui.commands import COMMANDS, NAMES
from expert.tui.mentions import NOBODY, files_like, written

MOST = 10
"""Completions on the screen at once."""
_AFTER = re.compile(r"/([a-z]+)\s(?:.*\s)?(\S*)", re.DOTALL)
_MENTION = re.compile(r'(?<![\w@/.])@(?:"([^"\n]*)|([^\s"@]*))\Z')


@dataclass(frozen=True, slots=True)
class Completion:
    """Text that may take the place of what was begun."""

    text: str
    about: str = ""
    ends: bool = True
    """What follows is something new; a folder goes on."""


@dataclass(frozen=True, slots=True)
class Known:
    """Where names come from; asked for only when they are wanted."""

    experts: Callable[[], Sequence[str]]
    models: Callable[[], Sequence[str]]
    folder: Path


def completions(before: str, known: Known) -> tuple[str, list[Completion]]:
    """Return the end of *before* that was begun, and what it may become."""
    for find in (_commands, _values, _mentions):
        begun, found = find(before, known)
        offered = [one for one in found if one.text != begun][:MOST]
        if offered:
            return begun, offered
    return "", []


_Found = tuple[str, Iterator[Completion] | Sequence[Completion]]


def _commands(before: str, _: Known) -> _Found:
    if not re.fullmatch("/[a-z]*", before):
        return "", ()
    named = (one for one in COMMANDS if f"/{one.name}".startswith(before))
    return before, [Completion(f"/{one.name}", one.about) for one in named]


def _values(before: str, known: Known) -> _Found:
    match = _AFTER.fullmatch(before)
    command = NAMES.get(match[1]) if match else None
    if match is None or command is None or not command.value:
        return "", ()
    models = command.value == "model"
    names = known.models() if models else [*_short(known.experts()), "none"]
    return match[2], [Completion(name) for name in names if name.startswith(match[2])]


def _mentions(before: str, known: Known) -> _Found:
    match = _MENTION.search(before)
    if match is None:
        return "", ()
    quoted, begun = match[1] is not None, match[1] if match[1] is not None else match[2]
    return match[0], _mentioned(begun, quoted, known)


def _mentioned(begun: str, quoted: bool, known: Known) -> Iterator[Completion]:
    if not quoted:
        for name in (*_short(known.experts()), NOBODY[0]):
            if name.startswith(begun):
                yield Completion(f"@{name}", "expert" if name not in NOBODY else "the base model")
    for path in files_like(begun, known.folder, MOST):
        if path.endswith("/"):
            yield Completion(f'@"{path}' if quoted else f"@{path}", "folder", ends=False)
        else:
            yield Completion(written(path), "file")


def _short(names: Sequence[str]) -> list[str]:
    """Return names without their publishers where that leaves no doubt."""
    short = [name.rpartition("/")[2] for name in names]
    return [
        bare if short.count(bare) == 1 else name for bare, name in zip(short, names, strict=True)
    ]
