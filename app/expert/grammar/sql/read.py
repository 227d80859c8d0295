"""Reads a database's schema from CREATE statements, a SQLite file, or a short notation.

Short notation, one table a line: `singer(singer_id number pk, name, "full name" text)`; types and
keys may be left out, a line `fk: song.singer_id=singer.id` links tables, `--` begins a comment.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from expert.errors import NotFoundError, UsageError, VerificationError
from expert.grammar.sql.schema import Column, Schema, Table, fold
from expert.grammar.sql.statements import NAME, kind_of, link, read_statements, unquote

_MAGIC = b"SQLite format 3\0"
_LARGEST = 4_000_000  # bytes of a schema in text
_MOST = 5_000  # tables, and columns of a table
_LINE = re.compile(rf"\s*(?P<name>{NAME}|[\w$]+)\s*\((?P<columns>.*)\)\s*;?\s*")
_ENTRY = re.compile(rf"\s*(?:(?P<name>{NAME}|[\w$]+)(?P<rest>[^,\"`]*)|(?P<odd>[^,]+))(?:,|$)")
_WORDS = """
    number text time boolean others pk int integer real numeric varchar char date datetime
    timestamp bool float double decimal blob json uuid bigint serial not
"""
_TYPES = set(_WORDS.split())
_TYPES |= {"primary", "key", "null", "unique", "smallint", "tinyint", "string", "year"}


def read_schema(source: Path | str) -> Schema:
    """Return the schema of a SQLite file, of a file of CREATE statements or notation, or of text.

    Raises:
        NotFoundError: there is no such file.
        UsageError: there is no table in it, or too much.
        VerificationError: the file begins like a database but is none.
    """
    if isinstance(source, str):
        return read_text(source)
    try:
        with source.open("rb") as file:
            start = file.read(len(_MAGIC))
            if start == _MAGIC:
                return _read_database(source)
            raw = start + file.read(_LARGEST)
        return read_text(raw.decode("utf-8-sig"), str(source))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError(
            f"There is no schema file {source}.", str(error), "Name a .db or .sql file."
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{source} is neither a SQLite database nor text.",
            "A schema is read from either.",
            "Save its CREATE statements as UTF-8 text.",
        ) from error


def read_text(text: str, source: str = "schema") -> Schema:
    """Read CREATE TABLE statements, or the short notation.

    Raises:
        UsageError: there is no table in it, or too much.
    """
    if len(text) > _LARGEST:
        raise UsageError(f"{source} is too large.", f"{_LARGEST:,} characters are read at most.")
    if re.search(r"\bcreate\b", text, re.IGNORECASE):
        tables, links = read_statements(text)
        return _schema(tables, source, links)
    return _schema(list(_notation(text, source)), source, _links(text))


def _schema(tables: list[Table], source: str, links: Iterable[str] = ()) -> Schema:
    unique = {fold(table.name): table for table in tables if table.columns}
    if not unique:
        raise UsageError(
            f"{source} has no tables.",
            "It needs CREATE TABLE statements, or lines like singer(id, name, age).",
            "Name the database file, or write one line for each table.",
        )
    if len(unique) > _MOST or any(len(table.columns) > _MOST for table in unique.values()):
        raise UsageError(
            f"{source} has more than {_MOST:,} tables, or columns in a table.",
            "A grammar of them all would be too slow.",
            "Leave out those that are not needed.",
        )
    return Schema(tuple(unique.values()), tuple(dict.fromkeys(links)))


def _read_database(path: Path) -> Schema:
    """Read a live database without changing it: not even its journal is touched."""
    wal = path.with_name(path.name + "-wal")
    # Without a journal nobody writes, and immutable also works on a read-only disk.
    mode = "mode=ro" if wal.exists() and wal.stat().st_size else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True)) as database:
            rows = database.execute(
                "SELECT m.name, c.name, c.type, c.pk"
                " FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c"
                " WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
                f" AND c.hidden <> 1 ORDER BY m.rowid, c.cid LIMIT {_MOST * 20}"
            ).fetchall()
            keys = database.execute(
                'SELECT m.name, k."from", k."table", k."to"'
                " FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS k"
                f" WHERE m.type = 'table' LIMIT {_MOST}"
            ).fetchall()
    except sqlite3.Error as error:
        raise VerificationError(
            f"The database {path} cannot be read.",
            str(error),
            "Check the file with `sqlite3 FILE .schema`, or give its CREATE statements as text.",
        ) from error
    columns: dict[str, list[Column]] = {}
    for table, column, type_, key in rows:
        found = Column(str(column), kind=kind_of(str(type_)), key=bool(key))
        columns.setdefault(str(table), []).append(found)
    tables = [Table(name, tuple(held)) for name, held in columns.items()]
    return _schema(tables, str(path), (link(*map(str, key)) for key in keys if key[3]))


def _notation(text: str, source: str) -> Iterator[Table]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("fk:", "--")):
            continue
        found = _LINE.fullmatch(line)
        if not found:
            raise UsageError(
                f"{source}:{number}:1: this is no table.",
                f"The line is: {line[:120].strip()}",
                "Write one table a line, such as singer(singer_id, name, age).",
            )
        name, exact = unquote(found["name"])
        yield Table(name, tuple(_columns(found["columns"])), exact)


def _columns(text: str) -> Iterator[Column]:
    for entry in _ENTRY.finditer(text):
        shown = (entry["name"] or entry["odd"] or "").strip()
        name, exact = unquote(shown)
        words = (entry["rest"] or "").split()
        types = [n for n, word in enumerate(words) if word.partition("(")[0].lower() in _TYPES]
        first = len(words) if exact else next(iter(types), len(words))
        named = name if exact else " ".join([shown, *words[:first]])
        if exact or shown:
            about = [word.lower() for word in words[0 if exact else first :]]
            kind = next((found for word in about if (found := kind_of(word))), "")
            yield Column(named, exact, kind, bool({"pk", "primary"}.intersection(about)))


def _links(text: str) -> list[str]:
    """Return the links of the short notation's `fk:` lines."""
    lines = (line.strip() for line in text.splitlines())
    return [
        part.strip()
        for line in lines
        if line.startswith("fk:")
        for part in line.removeprefix("fk:").split(",")
        if part.strip()
    ]
