"""What a database has: tables and their columns, as the grammar and the scope check need them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column; *exact* names keep their case and need quotes where unquoted ones are folded."""

    name: str
    exact: bool = False
    kind: str = ""
    """`number`, `time`, `boolean`; empty for text and for what is not known."""
    key: bool = False
    """Part of the primary key."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view with its columns in order."""

    name: str
    columns: tuple[Column, ...]
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one database."""

    tables: tuple[Table, ...]
    links: tuple[str, ...] = ()
    """Foreign keys, such as `song.singer_id=singer.id`."""


def fold(name: str) -> bytes:
    """Return *name* as names are compared: ASCII letters in either case are equal."""
    return name.encode().lower()
