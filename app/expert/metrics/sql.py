"""SQL by what it returns: an answer is right if its rows are those of the reference query.

Queries come from a model, so they run on a database opened read-only, may do nothing but select,
and are stopped after a time. Source of the measure: execution accuracy of Spider (Yu et al. 2018).
"""

from __future__ import annotations

import io
import re
import sqlite3
import tarfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import zstandard

from expert.errors import NotFoundError, UsageError
from expert.grammar.sql.read import read_text

ARCHIVE = "experts/sql/train_databases.tar.zst"
SECONDS = 2.0
ROWS = 20_000
LONGEST_VALUE = 1 << 20
STEPS = 10_000
"""SQLite's instructions between two looks at the clock."""
ALLOWED = frozenset(
    (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
)
Rows = list[tuple[object, ...]]
ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
TOKEN = re.compile(r"'(?:[^']|'')*'|[\w.]+|[<>!]=|<>|\S")


def extract(data: Path, names: Iterable[str], target: Path) -> None:
    """Write the named databases, `NAME.sqlite`, from the public archive into *target*.

    Raises:
        NotFoundError: the archive is not there.
    """
    wanted = {f"{name}.sqlite" for name in names}
    path = data / ARCHIVE
    if not path.is_file():
        raise NotFoundError(f"The databases {path} are not there.", "", "Give --data.")
    with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as plain:
        content = io.BytesIO(plain.read())
    with tarfile.open(fileobj=content) as archive:
        for member in archive:
            name = Path(member.name).name
            file = archive.extractfile(member) if name in wanted else None
            if file is not None:
                (target / name).write_bytes(file.read())


def execute(database: Path, query: str, seconds: float = SECONDS) -> Rows | None:
    """Return the rows of a query, or None if it fails, does more than select, or takes too long."""
    try:
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error:
        return None
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        connection.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY
        )
        end = time.monotonic() + seconds
        connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        rows = connection.execute(query).fetchmany(ROWS + 1)
        return rows if len(rows) <= ROWS else None
    except (sqlite3.Error, sqlite3.Warning, ValueError):
        return None
    finally:
        connection.close()


def same_rows(answer: Rows | None, reference: Rows | None, *, ordered: bool) -> bool:
    """Tell whether two results agree, as lists or, where order means nothing, as multisets."""
    if answer is None or reference is None:
        return False
    found, wanted = map(_comparable, answer), map(_comparable, reference)
    return list(found) == list(wanted) if ordered else Counter(found) == Counter(wanted)


def _comparable(row: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(round(value, 6) if isinstance(value, float) else value for value in row)


def same_result(database: Path, answer: str, reference: str) -> bool:
    """Tell whether an answer returns what the reference does; order counts if the reference
    orders.
    """
    ordered = ORDERED.search(reference) is not None
    wanted = execute(database, reference)
    return same_rows(execute(database, answer), wanted, ordered=ordered)


def same_conditions(answer: str, reference: str) -> bool:
    """Tell whether two queries of one table are the same but for the order of conditions, spaces
    and the case of letters outside texts. Source: query match of WikiSQL (Zhong et al. 2017).
    """
    return _clauses(answer) == _clauses(reference)


def _clauses(query: str) -> tuple[str, tuple[str, ...]]:
    parts = [part if part.startswith("'") else part.lower() for part in TOKEN.findall(query)]
    text = " ".join(parts).removesuffix(" ;")
    head, _, tail = text.partition(" where ")
    # Beside an OR, conditions cannot change places.
    conditions = [tail] if "or" in parts else re.split(r" and (?=\w+ [=<>])", tail)
    return head, tuple(sorted(conditions))


def prepares(schema: str, query: str) -> bool:
    """Tell whether SQLite runs a query of empty tables, given in the short notation, in time."""
    try:
        tables = read_text(schema).tables
    except UsageError:
        return False
    with closing(sqlite3.connect(":memory:")) as connection:
        for table in tables:
            columns = ", ".join(_quoted(column.name) for column in table.columns)
            try:
                connection.execute(f"CREATE TABLE {_quoted(table.name)} ({columns})")
            except sqlite3.Error:
                return False
        connection.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY
        )
        end = time.monotonic() + SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        try:
            connection.execute(query).fetchone()
        except (sqlite3.Error, sqlite3.Warning, ValueError):
            return False
    return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
