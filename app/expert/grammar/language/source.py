"""The text of a form, cut into words, numbers, quotations and signs, each with its place."""

import re
from dataclasses import dataclass

from expert.errors import UsageError

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+)|(?P<comment>\#.*)|(?P<name>[A-Za-z][A-Za-z0-9_-]*)|(?P<number>[0-9]+)
    |(?P<quote>"(?:[^"\\]|\\.)*")|(?P<sign>[:,])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, for errors."""

    source: str
    line: int
    column: int
    rule: str = ""

    def error(self, problem: str, fix: str, why: str = "") -> UsageError:
        """Return the error of a mistake at this place."""
        rule = f" in `{self.rule}`" if self.rule else ""
        return UsageError(f"{self.source}:{self.line}:{self.column}: {problem}{rule}.", why, fix)


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, quotation (its text) or sign."""

    kind: str
    text: str
    place: Place


def tokens(text: str, place: Place) -> list[Token]:
    """Cut one line, which begins at *place*.

    Raises:
        UsageError: there is something in it that means nothing.
    """
    found: list[Token] = []
    at = 0
    while at < len(text):
        here = Place(place.source, place.line, place.column + at, place.rule)
        match = _TOKEN.match(text, at)
        if match is None:
            if text[at] == '"':
                raise here.error("this quotation is not closed", 'Add the missing ".')
            raise here.error(
                f"{text[at]!r} means nothing here", 'Put text that stands as it is in "quotes".'
            )
        at = match.end()
        kind = match.lastgroup or ""
        if kind == "quote":
            found.append(Token(kind, unquote(match[0], here), here))
        elif kind not in ("space", "comment"):
            found.append(Token(kind, match[0], here))
    return found


def unquote(quotation: str, place: Place) -> str:
    """Return the text of a quotation with its quotes.

    Raises:
        UsageError: it has an escape that is not known.
    """

    def plain(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise place.error(f"unknown escape \\{match[1]}", r"Known are \n \t \r \" and \\.")
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", plain, quotation[1:-1])
