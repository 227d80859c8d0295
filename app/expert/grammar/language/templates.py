"""Templates with holes, and fields: text that stands as it is around values of some kind."""

import re
from collections.abc import Callable, Sequence

from expert.grammar import chars
from expert.grammar.form import EMPTY, Node, Repeat, Text, sequence
from expert.grammar.language.reader import Line
from expert.grammar.language.source import Place, Token, tokens

_PART = re.compile(r"(?P<double>\{\{|\}\})|\{(?P<hole>[^{}]*)\}|(?P<brace>[{}])")
_Parse = Callable[[Sequence[Token], Place], Node]


def template(text: str, place: Place, parse: _Parse) -> Node:
    """Return *text* with each `{kind}` in it replaced by what *parse* makes of the kind.

    Raises:
        UsageError: a brace is not closed, or a hole holds no kind.
    """
    parts: list[Node] = []
    at = 0
    for match in _PART.finditer(text):
        here = Place(place.source, place.line, place.column + match.start(), place.rule)
        parts.append(_plain(text[at : match.start()], place))
        at = match.end()
        if match["double"]:
            parts.append(Text(match["double"][0]))
        elif match["brace"]:
            raise here.error("this brace has no partner", "Write {{ or }} for a brace itself.")
        else:
            inside = Place(here.source, here.line, here.column + 1, here.rule)
            parts.append(parse(tokens(match["hole"], inside), inside))
    parts.append(_plain(text[at:], place))
    return sequence(*parts)


def block(lines: Sequence[Line], parse: _Parse) -> Node:
    """Return what the indented lines of a definition match.

    Raises:
        UsageError: they are neither all of a template nor all fields.
    """
    is_template = lines[0].text.startswith("|")
    for line in lines:
        if line.text.startswith("|") != is_template:
            raise line.place.error(
                "a field in a template" if is_template else "a template's line among fields",
                "Begin all lines with |, or none.",
            )
    if is_template:
        return _joined([_row(line, parse) for line in lines])
    return _fields(lines, parse)


def _joined(rows: list[Node]) -> Node:
    parts = [rows[0]]
    for row in rows[1:]:
        parts += [Text("\n"), row]
    return sequence(*parts)


def _row(line: Line, parse: _Parse) -> Node:
    text = line.text[1:].removeprefix(" ")
    shift = len(line.text) - len(text)
    place = Place(line.place.source, line.place.line, line.place.column + shift, line.place.rule)
    return template(text, place, parse)


def _fields(lines: Sequence[Line], parse: _Parse) -> Node:
    """Return lines of `label: value`; those of an optional value may be missing."""
    parts: list[Node] = []
    started = False
    for line in lines:
        label, colon, rest = line.text.partition(":")
        if not colon or not label.strip():
            raise line.place.error(
                "expected a field", "Write: label: kind, or begin each line with | for a template."
            )
        column = line.place.column + len(label) + 1
        place = Place(line.place.source, line.place.line, column, line.place.rule)
        value = parse(tokens(rest, place), place)
        missing = isinstance(value, Repeat) and (value.least, value.most) == (0, 1)
        if missing:
            assert isinstance(value, Repeat)
            value = value.item
        row = sequence(_plain(label.strip() + ": ", line.place), value)
        if missing:
            row = Repeat(sequence(Text("\n"), row) if started else sequence(row, Text("\n")), 0, 1)
        elif started:
            row = sequence(Text("\n"), row)
        started = started or not missing
        parts.append(row)
    if not started:
        raise lines[0].place.error(
            "every field is optional", "Let one of them stand without `optional`."
        )
    return sequence(*parts)


def _plain(text: str, place: Place) -> Node:
    if not all(chars.holds(ord(char)) for char in text):
        raise place.error("no answer can hold a character of this line", "Remove it.")
    return Text(text) if text else EMPTY
