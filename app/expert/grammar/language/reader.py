"""Reads a form line by line into definitions: a name, and a kind, a template or fields.

# A ticket.                          a comment
ticket:                              a template, of the lines behind |
  | {title}
  | priority {level}
title: text up to 60                 a kind on one line
level: one of low, normal, high
"""

from dataclasses import dataclass

from expert.errors import UsageError
from expert.grammar.language.source import Place, Token, tokens

_LARGEST = 200_000  # characters
_MOST = 2_000  # definitions


@dataclass(frozen=True, slots=True)
class Line:
    """A line inside a definition, without its indentation."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Definition:
    """A name with what it stands for: *kind* on its own line, or the lines below."""

    name: str
    place: Place
    kind: tuple[Token, ...]
    lines: tuple[Line, ...]


def read(text: str, source: str) -> dict[str, Definition]:
    """Return the definitions of a form in their order; the first is what an answer must be.

    Raises:
        UsageError: it is no form; *what* starts with *source*, line and column.
    """
    if len(text) > _LARGEST:
        why = f"It has {len(text):,} characters; {_LARGEST:,} are read at most."
        raise UsageError(f"{source} is too large for a form.", why, "Split it.")
    found: dict[str, Definition] = {}
    for definition in _Reader(text, source).definitions():
        if definition.name in found:
            raise definition.place.error(
                f"`{definition.name}` is defined twice", "Give one of them another name."
            )
        found[definition.name] = definition
    if not found:
        raise Place(source, 1, 1).error("there is no definition", "Write: name: kind")
    if len(found) > _MOST:
        raise UsageError(f"{source} has more than {_MOST:,} definitions.", "", "Split it.")
    return found


class _Reader:
    def __init__(self, text: str, source: str) -> None:
        self._lines = text.replace("\r\n", "\n").split("\n")
        self._source = source
        self._number = 0

    def definitions(self) -> list[Definition]:
        found = []
        while self._number < len(self._lines):
            line = self._lines[self._number]
            self._number += 1
            if _is_blank(line):
                continue
            if line[0] in " \t":
                raise self._place(line).error(
                    "this line belongs to no definition",
                    "Begin a definition at the start of the line: name: kind",
                )
            found.append(self._definition(line))
        return found

    def _place(self, line: str, rule: str = "") -> Place:
        column = len(line) - len(line.lstrip()) + 1
        return Place(self._source, self._number, column, rule)

    def _definition(self, line: str) -> Definition:
        start = self._place(line)
        name, sign, rest = line.partition(":")
        heading = tokens(name, start)
        if not sign or len(heading) != 1 or heading[0].kind != "name":
            raise start.error(
                "expected a name and a colon",
                "Write: name: kind, with letters, digits and - in the name.",
            )
        place = self._place(line, name.strip())
        kind = tokens(rest, Place(self._source, place.line, len(name) + 2, place.rule))
        lines = () if kind else tuple(self._block(place.rule))
        if not kind and not lines:
            raise place.error(
                "nothing is said about this name",
                'Say what it is, such as "text up to 60", or indent a template below it.',
            )
        return Definition(heading[0].text, place, tuple(kind), lines)

    def _block(self, rule: str) -> list[Line]:
        block = []
        while self._number < len(self._lines):
            line = self._lines[self._number]
            if line.strip() and line[0] not in " \t":
                break
            self._number += 1
            if not _is_blank(line):
                block.append(Line(line.strip(" \t"), self._place(line, rule)))
        return block


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")
