"""Reads a database's schema from CREATE statements, a SQLite file, or a short notation.

Short notation, one table a line: `singer(singer_id number pk, name, "full name" text)`; only the
names matter, and lines that begin with `fk:` or `--` are passed over.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from expert.errors import NotFoundError, UsageError, VerificationError
from expert.grammar.sql.schema import Column, Schema, Table, fold

_MAGIC = b"SQLite format 3\0"
_LARGEST = 4_000_000  # bytes of a schema in text
_MOST = 5_000  # tables, and columns of a table
_NAME = r'"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|[^\W\d][\w$]*'
_TOKEN = re.compile(
    rf"\s+|--[^\n]*|/\*.*?\*/|(?P<name>{_NAME})|'(?:[^']|'')*'|(?P<mark>[^\s])", re.DOTALL
)
_LINE = re.compile(rf"\s*(?P<name>{_NAME}|[\w$]+)\s*\((?P<columns>.*)\)\s*;?\s*")
_ENTRY = re.compile(rf"\s*(?:(?P<name>{_NAME}|[\w$]+)(?P<rest>[^,\"`]*)|(?P<odd>[^,]+))(?:,|$)")
_WORDS = """
    number text time boolean others pk int integer real numeric varchar char date datetime
    timestamp bool float double decimal blob json uuid bigint serial not
"""
_TYPES = set(_WORDS.split())
_TYPES |= {"primary", "key", "null", "unique", "smallint", "tinyint", "string", "year"}
_RULES = {"primary", "foreign", "unique", "check", "constraint", "key", "index", "exclude"}
_RULES |= {"fulltext", "spatial", "period", "like"}


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
        tables = list(_statements(text))
    else:
        tables = list(_notation(text, source))
    return _schema(tables, source)


def _schema(tables: list[Table], source: str) -> Schema:
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
    return Schema(tuple(unique.values()))


def _read_database(path: Path) -> Schema:
    """Read a live database without changing it: not even its journal is touched."""
    wal = path.with_name(path.name + "-wal")
    # Without a journal nobody writes, and immutable also works on a read-only disk.
    mode = "mode=ro" if wal.exists() and wal.stat().st_size else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True)) as database:
            rows = database.execute(
                "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c"
                " WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
                f" AND c.hidden <> 1 ORDER BY m.rowid, c.cid LIMIT {_MOST * 20}"
            ).fetchall()
    except sqlite3.Error as error:
        raise VerificationError(
            f"The database {path} cannot be read.",
            str(error),
            "Check the file with `sqlite3 FILE .schema`, or give its CREATE statements as text.",
        ) from error
    columns: dict[str, list[Column]] = {}
    for table, column in rows:
        columns.setdefault(str(table), []).append(Column(str(column)))
    return _schema([Table(name, tuple(held)) for name, held in columns.items()], str(path))


def _unquote(name: str) -> tuple[str, bool]:
    """Return a name without its quotes, and whether it had any."""
    quoted = name[:1] in ('"', "`", "[")
    if not quoted:
        return name, False
    close = name[-1]
    return name[1:-1].replace(close * 2, close), True


def _statements(text: str) -> Iterator[Table]:
    tokens = [match for match in _TOKEN.finditer(text) if match.lastgroup]
    words = [match[0] for match in tokens]
    place = 0
    while place < len(words):
        if words[place].lower() == "create":
            place, table = _create(words, tokens, place + 1)
            if table:
                yield table
        else:
            place += 1


def _create(words: list[str], tokens: list[re.Match[str]], place: int) -> tuple[int, Table | None]:
    while place < len(words) and words[place].lower() not in ("table", ";", "("):
        place += 1
    if place >= len(words) or words[place].lower() != "table":
        return place, None
    place += 1
    if [word.lower() for word in words[place : place + 3]] == ["if", "not", "exists"]:
        place += 3
    name = ""
    while place < len(words) and words[place] not in ("(", ";"):
        if tokens[place]["name"] and (not name or words[place - 1] == "."):
            name = words[place]
        place += 1
    if not name or place >= len(words) or words[place] != "(":
        return place, None
    columns: list[Column] = []
    depth, fresh = 1, True
    place += 1
    while place < len(words) and depth:
        word = words[place]
        if fresh and depth == 1 and tokens[place]["name"] and word.lower() not in _RULES:
            columns.append(Column(*_unquote(word)))
        depth += (word == "(") - (word == ")")
        fresh = word == "," and depth == 1
        place += 1
    plain, exact = _unquote(name)
    return place, Table(plain, tuple(columns), exact)


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
        name, exact = _unquote(found["name"])
        yield Table(name, tuple(_columns(found["columns"])), exact)


def _columns(text: str) -> Iterator[Column]:
    for entry in _ENTRY.finditer(text):
        shown = (entry["name"] or entry["odd"] or "").strip()
        name, exact = _unquote(shown)
        if exact:
            yield Column(name, True)
        elif shown:
            yield Column(_plain_name(shown, entry["rest"] or ""))


def _plain_name(first: str, rest: str) -> str:
    """Return an unquoted name with its further words, up to the first that tells a type."""
    words = [first]
    for word in rest.split():
        if word.partition("(")[0].lower() in _TYPES:
            break
        words.append(word)
    return " ".join(words)
