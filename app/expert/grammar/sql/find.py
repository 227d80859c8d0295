"""Finds the tables that a question shows, among its other words."""

import re
from dataclasses import dataclass

from expert.errors import UsageError
from expert.grammar.sql.read import read_text
from expert.grammar.sql.schema import Schema

_CREATE = re.compile(
    r"""\bcreate\s+(?:temp(?:orary)?\s+)?table\b[^(;]{0,200}   # up to the columns
        \((?:(?!--)[^()'"`]|--[^\n]*\n|'[^']*'|"[^"]*"|`[^`]*`|\((?:[^()]|\([^()]*\))*\))*\)
        (?:\s*(?:without\s+rowid|strict|,))*\s*;?""",
    re.IGNORECASE | re.VERBOSE,
)
_TABLE = re.compile(r"(?<![\w$])[^\W\d][\w$]*\((?:[^()\n]|\([^()\n]*\))*\)")
_LINKS = re.compile(r"^\s*fk:.*$", re.MULTILINE)
_LABEL = re.compile(r"\b(?:schema|tables?|database|question|query|sql)\s*:", re.IGNORECASE)
_EMPTY_FENCE = re.compile(r"```\w*\s*```")


@dataclass(frozen=True, slots=True)
class Shown:
    """The tables of a question, and what else it says."""

    tables: Schema
    rest: str
    """Without the tables, and without labels such as `Schema:` around them."""


def find_tables(text: str) -> Shown | None:
    """Return the tables of the CREATE statements in *text*, or those written like `t(a, b)`.

    Names before a parenthesis with a comma in it count as tables; None: there is nothing like one.
    """
    found = list(_CREATE.finditer(text))
    if not found:
        found = [one for one in _TABLE.finditer(text) if "," in one[0]]
        found += _LINKS.finditer(text) if found else ()
    try:
        return Shown(read_text("\n".join(one[0] for one in found)), _rest(text, found))
    except UsageError:
        return None


def _rest(text: str, found: list[re.Match[str]]) -> str:
    """Return *text* without these parts of it, in lines that say something."""
    for one in sorted(found, key=lambda match: -match.start()):
        text = text[: one.start()] + text[one.end() :]
    text = _LABEL.sub("", _EMPTY_FENCE.sub("", text))
    lines = (line.lstrip(" \t,.;:").rstrip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)
