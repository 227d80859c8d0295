"""Reads tables, their keys and their links out of CREATE TABLE statements of any dialect.

Only what a grammar and a prompt need is understood; everything else in a definition is passed over.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from expert.grammar.sql.schema import Column, Table, fold

NAME = r'"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|[^\W\d][\w$]*'
_TOKEN = re.compile(
    rf"\s+|--[^\n]*|/\*.*?\*/|(?P<name>{NAME})|'(?:[^']|'')*'|(?P<mark>[^\s])", re.DOTALL
)
_RULES = {"primary", "foreign", "unique", "check", "constraint", "key", "index", "exclude"}
_RULES |= {"fulltext", "spatial", "period", "like"}
_KINDS = {
    "number": re.compile(
        r"(?i)number|\w*int(?:eger)?\b|int\d|\w*serial|real|float|double|dec|numeric|money"
    ),
    "time": re.compile(r"(?i)date|time"),
    "boolean": re.compile(r"(?i)bool"),
}


@dataclass(frozen=True, slots=True)
class Word:
    """A name or a mark of a statement."""

    text: str
    named: bool

    def is_(self, *words: str) -> bool:
        return self.text.lower() in words


def kind_of(type_: str) -> str:
    """Return what a column of an SQL type holds; empty for text and for what is not known."""
    return next((kind for kind, pattern in _KINDS.items() if pattern.match(type_)), "")


def link(table: str, column: str, other: str, target: str) -> str:
    """Return a foreign key in the short notation."""
    return f"{table}.{column}={other}.{target}"


def unquote(name: str) -> tuple[str, bool]:
    """Return a name without its quotes, and whether it had any."""
    quoted = name[:1] in ('"', "`", "[")
    if not quoted:
        return name, False
    close = name[-1]
    return name[1:-1].replace(close * 2, close), True


def read_statements(text: str) -> tuple[list[Table], list[str]]:
    """Return the tables that *text* creates, and their links."""
    words = [
        Word(match[0], match["name"] is not None)
        for match in _TOKEN.finditer(text)
        if match.lastgroup
    ]
    tables, links = [], []
    place = 0
    while place < len(words):
        place += 1
        if words[place - 1].is_("create"):
            place, name, entries = _table(words, place)
            if name:
                table, its_links = _defined(name, entries)
                tables.append(table)
                links += its_links
    return tables, links


def _table(words: Sequence[Word], place: int) -> tuple[int, str, list[list[Word]]]:
    """Return the end of a definition, the table's name (empty: it is none), and its entries."""
    while place < len(words) and not words[place].is_("table", ";", "("):
        place += 1
    if place >= len(words) or not words[place].is_("table"):
        return place, "", []
    place += 1
    if [word.text.lower() for word in words[place : place + 3]] == ["if", "not", "exists"]:
        place += 3
    name = ""
    while place < len(words) and not words[place].is_("(", ";"):
        if words[place].named and (not name or words[place - 1].text == "."):
            name = words[place].text
        place += 1
    if not name or place >= len(words) or words[place].text != "(":
        return place, "", []
    end, entries = _entries(words, place + 1)
    return end, name, entries


def _entries(words: Sequence[Word], place: int) -> tuple[int, list[list[Word]]]:
    """Return where the parenthesis before *place* closes, and what its commas part."""
    entries: list[list[Word]] = [[]]
    depth = 1
    while place < len(words):
        word = words[place]
        place += 1
        depth += (word.text == "(") - (word.text == ")")
        if not depth:
            break
        if depth == 1 and word.text == ",":
            entries.append([])
        else:
            entries[-1].append(word)
    return place, entries


def _defined(name: str, entries: Sequence[Sequence[Word]]) -> tuple[Table, list[str]]:
    plain, exact = unquote(name)
    columns: list[Column] = []
    keys: set[bytes] = set()
    links: list[str] = []
    for entry in entries:
        if not entry or not entry[0].named:
            continue
        if entry[0].is_(*_RULES):
            keys |= {fold(each) for each in _listed(entry, "primary")}
            links += _links(plain, entry, _listed(entry, "foreign"))
        else:
            columns.append(_column(entry))
            links += _links(plain, entry, [columns[-1].name])
    keyed = tuple(_with_key(column, keys) for column in columns)
    return Table(plain, keyed, exact), links


def _column(entry: Sequence[Word]) -> Column:
    name, exact = unquote(entry[0].text)
    type_ = entry[1].text if len(entry) > 1 else ""
    return Column(name, exact, kind_of(type_), any(word.is_("primary") for word in entry[1:]))


def _with_key(column: Column, keys: set[bytes]) -> Column:
    if fold(column.name) not in keys:
        return column
    return Column(column.name, column.exact, column.kind, True)


def _listed(entry: Sequence[Word], rule: str) -> list[str]:
    """Return the columns in the first parentheses after the words of a table's rule."""
    found = next((n for n, word in enumerate(entry) if word.is_(rule)), None)
    return [] if found is None else list(_parenthesis(entry[found:]))


def _links(table: str, entry: Sequence[Word], columns: Sequence[str]) -> list[str]:
    """Return the links of an entry `… REFERENCES other (target)`."""
    place = next((n for n, word in enumerate(entry) if word.is_("references")), None)
    if place is None or place + 1 >= len(entry):
        return []
    rest = entry[place + 1 :]
    name = [word.text for word in rest if word.named and word.text != "."]
    targets = list(_parenthesis(rest))
    other, _ = unquote(name[0]) if name else ("", False)
    return [link(table, c, other, t) for c, t in zip(columns, targets, strict=False)]


def _parenthesis(words: Sequence[Word]) -> Iterator[str]:
    inside = False
    for word in words:
        if word.text == ")":
            return
        if inside and word.named:
            yield unquote(word.text)[0]
        inside = inside or word.text == "("
