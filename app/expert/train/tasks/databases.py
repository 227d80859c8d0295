"""Questions about databases with other names, values and orders, so that an answer is read off the
schema and the question rather than remembered.
"""

from __future__ import annotations

import random
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from expert.train.rows import Row
from expert.train.tasks.sql import KEYWORDS

Phrase = tuple[str, ...]
"""The words of a name, lower case, the last one without the `s` of a plural."""

TABLE = re.compile(r"(\w+)\(([^()]*)\)")
KEYS = "fk: "
ALIASED = re.compile(r"\b(\w+) AS (T\d+)\b")
ALIAS = re.compile(r"T\d+")
PIECE = re.compile(r"'(?:[^']|'')*'|[^\W\d]\w*|\d+(?:\.\d+)?")
"""Texts, names and numbers of a query."""
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
JOINED = re.compile(r"\w+\.\w+ = \w+\.\w+")
PRIVATE = 0xE000
DROPPED, RENAMED, REVALUED = 0.5, 0.6, 0.7
"""Shares of tables without use that go, of names that become others, and of values."""


def unaliased(sql: str) -> str:
    """Return a query that calls its tables by their names: `singer.age` for `T1.age`.

    One that has a table twice, or gives one alias to several tables, stays as it is.
    """
    named = set(ALIASED.findall(sql))
    tables = {alias: table for table, alias in named}
    if len({table.lower() for table, _ in named}) < len(named) or len(tables) < len(named):
        return sql
    plain = ALIASED.sub(r"\1", sql)
    if not {piece for piece in PIECE.findall(plain) if ALIAS.fullmatch(piece)} <= tables.keys():
        return sql
    return _replaced(plain, tables)


def names_of(sql: str) -> set[str]:
    """Return the tables and columns that a query names, in lower case."""
    words = (piece for piece in PIECE.findall(sql) if piece[0] not in "'0123456789")
    named = (word for word in words if not KEYWORDS.fullmatch(word) and not ALIAS.fullmatch(word))
    return {word.lower() for word in named}


def phrase(name: str) -> Phrase:
    """Return the words of a name such as `Num_Employees` or `ResTypeID`."""
    words = [word.lower() for word in WORD.findall(name)] or [name.lower()]
    return (*words[:-1], _singular(words[-1]))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


@dataclass(frozen=True)
class Table:
    """One table of the short notation, its columns with their types."""

    name: str
    columns: tuple[str, ...]

    def __str__(self) -> str:
        """Write the short notation."""
        return f"{self.name}({', '.join(self.columns)})"


@dataclass(frozen=True)
class Notation:
    """A schema as questions show it."""

    tables: tuple[Table, ...]
    keys: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> Notation | None:
        """Return the schema of a text; None if it has lines of another form."""
        lines = text.split("\n")
        keys = lines.pop().removeprefix(KEYS).split(", ") if lines[-1].startswith(KEYS) else []
        found = [TABLE.fullmatch(line) for line in lines]
        if not all(found):
            return None
        tables = (Table(one[1], tuple(one[2].split(", "))) for one in found if one)
        return cls(tuple(tables), tuple(keys))

    @property
    def names(self) -> Iterator[str]:
        """Yield every name in it."""
        for table in self.tables:
            yield table.name
            yield from (column.split(" ")[0] for column in table.columns)

    def renamed(self, new: dict[str, str]) -> Notation:
        """Return it with other names; types stay."""
        tables = (
            Table(
                _named(table.name, new),
                tuple(
                    " ".join([_named(name, new), *types])
                    for name, *types in (column.split(" ") for column in table.columns)
                ),
            )
            for table in self.tables
        )
        return Notation(tuple(tables), tuple(_named(key, new) for key in self.keys))

    def __str__(self) -> str:
        """Write the short notation."""
        keys = [KEYS + ", ".join(self.keys)] if self.keys else []
        return "\n".join([*map(str, self.tables), *keys])


@dataclass(frozen=True)
class Pool:
    """Names and values of databases that are learnt from."""

    names: list[str]
    values: list[str]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Pool:
        """Collect them from rows with normalised queries."""
        names: set[str] = set()
        values: set[str] = set()
        for row in rows:
            notation = Notation.read(row["schema"])
            names.update(notation.names if notation else ())
            values.update(piece[1:-1] for piece in PIECE.findall(row["sql"]) if piece[0] == "'")
        plain = (value.replace("''", "'") for value in values if value and "%" not in value)
        return cls(sorted(names), sorted(plain))


def varied(rows: Sequence[Row], pool: Pool, rng: random.Random) -> list[Row]:
    """Return questions about one database with another schema; their queries are normalised.

    Tables that no query reads may go; tables, columns and keys change places. A name that a query
    reads becomes another one only where the question says it, and there as well; so does a value.
    """
    notation = Notation.read(rows[0]["schema"])
    if notation is None:
        return list(rows)
    notation = _ordered(_without_some(notation, rows, rng), rng)
    held = [_held(row, pool, rng) for row in rows]
    phrases = {phrase(name) for name in notation.names}
    said = _saying(phrases)
    new = _renamed(notation, held, pool, rng)
    words = {
        phrase(name): phrase(new[name.lower()]) for name in notation.names if name.lower() in new
    }
    schema = str(notation.renamed(new))
    return [
        {
            **row,
            "schema": schema,
            "question": _filled(
                said.sub(lambda found: _said(found[0], words), one.question), one.values
            ),
            "sql": _filled(_named(one.sql, new), one.quoted),
        }
        for row, one in zip(rows, held, strict=True)
    ]


def _without_some(notation: Notation, rows: Sequence[Row], rng: random.Random) -> Notation:
    """Leave out some of the tables that no query reads."""
    used = {name for row in rows for name in names_of(row["sql"])}
    kept = tuple(
        table for table in notation.tables if table.name.lower() in used or rng.random() > DROPPED
    )
    left = {table.name.lower() for table in kept}
    keys = tuple(
        key
        for key in notation.keys
        if {name.lower() for name in re.findall(r"(\w+)\.", key)} <= left
    )
    return Notation(kept, keys)


def _ordered(notation: Notation, rng: random.Random) -> Notation:
    """Put tables, columns and keys in another order."""
    tables = (
        Table(table.name, tuple(rng.sample(table.columns, len(table.columns))))
        for table in rng.sample(notation.tables, len(notation.tables))
    )
    return Notation(tuple(tables), tuple(rng.sample(notation.keys, len(notation.keys))))


@dataclass(frozen=True)
class Held:
    """A question and its query with a private character for each value that both have."""

    question: str
    sql: str
    values: dict[str, str]
    """By their characters, as the question says them."""

    @property
    def quoted(self) -> dict[str, str]:
        """The values as they stand between the quotes of a query."""
        return {sign: value.replace("'", "''") for sign, value in self.values.items()}


def _held(row: Row, pool: Pool, rng: random.Random) -> Held:
    """Take the values out that the question says once, some of them for others."""
    question, sql = str(row["question"]), str(row["sql"])
    values: dict[str, str] = {}
    for piece in dict.fromkeys(PIECE.findall(sql)):
        quoted = piece[0] == "'"
        value = piece[1:-1].replace("''", "'") if quoted else piece
        if not value or not (quoted or piece[0].isdigit()):
            continue
        said = re.compile(rf"(?<![\w.]){re.escape(value)}(?!\w|\.\d)")
        if len(said.findall(question)) != 1:
            continue
        sign = chr(PRIVATE + len(values))
        values[sign] = value
        if rng.random() < REVALUED:
            values[sign] = rng.choice(pool.values) if quoted else _number(value, rng)
        question = said.sub(sign, question)
        sql = _replaced(sql, {piece: f"'{sign}'" if quoted else sign})
    return Held(question, sql, values)


def _number(value: str, rng: random.Random) -> str:
    """Return a number of as many digits."""
    digits = len(value.split(".")[0])
    whole = rng.randint(10 ** (digits - 1), 10**digits - 1)
    return f"{whole}.{rng.randint(1, 9)}" if "." in value else str(whole)


def _renamed(
    notation: Notation, held: Sequence[Held], pool: Pool, rng: random.Random
) -> dict[str, str]:
    """Return what some names of a schema become, by their lower case.

    Names of the same words become the same name. Keys that only join tables may have any.
    """
    names: dict[Phrase, set[str]] = {}
    for name in notation.names:
        names.setdefault(phrase(name), set()).add(name.lower())
    said = _saying(names)
    questions = "\n".join(one.question for one in held)
    kept = {name for which in names.values() for name in which if KEYWORDS.fullmatch(name)}
    for one in held:
        mentioned = (names[_meant(found, names)] for found in said.findall(one.question))
        kept |= names_of(JOINED.sub("", one.sql)).difference(*mentioned)
    new: dict[str, str] = {}
    taken = set(names)
    for old in sorted(names):
        name = rng.choice(pool.names)
        words = phrase(name)
        if names[old] & kept or rng.random() > RENAMED:
            continue
        if words in taken or _saying([words]).search(questions):
            continue
        taken.add(words)
        new.update(dict.fromkeys(names[old], name))
    return new


def _saying(phrases: Iterable[Phrase]) -> re.Pattern[str]:
    """Return what finds the longest of some phrases in a question, in the plural too."""
    longest = sorted(phrases, key=lambda words: (-len(" ".join(words)), words))
    ways = "|".join("[ _]".join(map(re.escape, words)) + "s?" for words in longest)
    return re.compile(rf"(?<!\w)(?:{ways})(?!\w)", re.I)


def _meant(text: str, phrases: Container[Phrase]) -> Phrase:
    """Return the phrase that a text says, in the plural or not."""
    *first, last = re.split("[ _]", text.lower())
    whole = (*first, last)
    return whole if whole in phrases else (*first, last.removesuffix("s"))


def _said(text: str, new: dict[Phrase, Phrase]) -> str:
    """Return how a question says a new name, in the plural if it said the old one so."""
    old = _meant(text, new)
    if old not in new:
        return text
    words = " ".join(new[old])
    return words + "s" if " ".join(old) != text.lower().replace("_", " ") else words


def _named(text: str, new: dict[str, str]) -> str:
    """Return a query, or a name, with its new names."""
    return PIECE.sub(lambda found: new.get(found[0].lower(), found[0]), text)


def _replaced(sql: str, pieces: dict[str, str]) -> str:
    """Return a query with other texts, numbers or names."""
    return PIECE.sub(lambda found: pieces.get(found[0], found[0]), sql)


def _filled(text: str, values: dict[str, str]) -> str:
    """Put the values back."""
    return "".join(values.get(char, char) for char in text)
