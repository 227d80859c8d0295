"""Whether an answer is what its task wants: SQL that runs, JSON that keeps its schema, shell and
patterns that parse.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from expert.dataset.formats import text_of
from expert.dataset.rows import Row
from expert.errors import ContractError, ExpertError, NotFoundError, UsageError
from expert.grammar.schema.contract import verify
from expert.grammar.schema.document import Document
from expert.grammar.schema.reader import parse_schema
from expert.grammar.sql.read import read_text
from expert.metrics.fields import INVALID, parsed
from expert.metrics.shell import read_command
from expert.metrics.sql import ALLOWED, execute

Checker = Callable[[Row], str]
"""Returns why an answer is wrong, in a few words; nothing where it is right."""
TASKS = ("sql", "json", "shell", "regex")
DATABASES = 256
"""Made from schemas and kept at once."""
SHELL_SECONDS = 5.0
LONGEST_COMMAND = 100_000
"""Characters of a command or pattern that are looked at."""


@dataclass(frozen=True)
class Needs:
    """What a task is checked against, where the rows do not say it themselves."""

    schema: Path | None = None
    """A JSON Schema, or the tables of a database in SQL."""
    databases: Path | None = None
    """A folder with `NAME.sqlite` for each `db` that a row names."""


@contextmanager
def checker(task: str, needs: Needs = Needs()) -> Iterator[Checker]:
    """Yield what checks answers of a task.

    Raises:
        NotFoundError: the schema or the folder is not there.
        UsageError: the schema is none.
    """
    if needs.databases is not None and not needs.databases.is_dir():
        raise NotFoundError(f"{needs.databases} is no folder.", "", "Check --databases.")
    given = "" if needs.schema is None else _read(needs.schema)
    if task == "sql":
        if given:
            read_text(given, str(needs.schema))
        with tempfile.TemporaryDirectory(prefix="expert-sql.") as name:
            yield Sql(Path(name), needs.databases, given)
    elif task == "json":
        if given:
            parse_schema(given)
        yield lambda row: json_problem(row, given)
    else:
        yield {"shell": shell_problem, "regex": regex_problem}[task]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read.", f"{error.strerror}.", "") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8.", str(error), "Save it as UTF-8.") from error


class Sql:
    """Runs answers on the database that their row names, or on empty tables of its schema."""

    def __init__(self, folder: Path, databases: Path | None, schema: str) -> None:
        self._folder, self._databases, self._schema = folder, databases, schema
        self._made: OrderedDict[str, Path] = OrderedDict()

    def __call__(self, row: Row) -> str:
        try:
            database = self._database(row)
        except ExpertError as error:
            return f"{error.what} {error.why}".strip()
        query = row.answer.strip()
        if why := _sql_error(database, query):
            return why
        if execute(database, query) is None:
            return "the SQL runs too long, or returns too much"
        return ""

    def _database(self, row: Row) -> Path:
        name = text_of(row.extra.get("db"), "db")
        if self._databases is not None and name and Path(name).name == name:
            path = self._databases / f"{name}.sqlite"
            if path.is_file():
                return path.resolve()
        schema = text_of(row.extra.get("schema"), "schema") or self._schema
        if not schema:
            why = f"{name}.sqlite is not there." if name else "The row has neither schema nor db."
            raise NotFoundError("There is nothing to run the SQL on.", why)
        key = sha256(schema.encode()).hexdigest()[:16]  # quoted names keep their case and spaces
        if key not in self._made:
            self._made[key] = _empty_database(self._folder / f"{key}.sqlite", schema)
            if len(self._made) > DATABASES:
                self._made.popitem(last=False)[1].unlink()
        self._made.move_to_end(key)
        return self._made[key]


def _empty_database(path: Path, schema: str) -> Path:
    """Make the tables that a schema describes, and run nothing that is written in it.

    Raises:
        UsageError: SQLite does not take them.
    """
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        try:
            for table in read_text(schema).tables:
                if not table.name.lower().startswith("sqlite_"):  # SQLite makes those itself
                    columns = ", ".join(_quoted(column.name) for column in table.columns)
                    connection.execute(f"CREATE TABLE {_quoted(table.name)} ({columns})")
            connection.commit()
        except sqlite3.Error as error:
            raise UsageError("Its schema makes no database.", f"{error}.") from error
    return path


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sql_error(database: Path, query: str) -> str:
    """Return what SQLite says against a query, without running it."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY
        )
        try:
            connection.execute(f"EXPLAIN {query}")
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            told = "it does more than select" if "not authorized" in str(error) else str(error)
            return f"the SQL does not run: {told}"
    return ""


def json_problem(row: Row, given: str = "") -> str:
    """Tell what is wrong with an answer in JSON; the row's own `schema` comes first."""
    if parsed(row.answer) is INVALID:
        return "the answer is not JSON"
    own = row.extra.get("schema")
    schema = given if own is None else own if isinstance(own, str) else json.dumps(own)
    if not schema:
        return ""
    try:
        verify(_document(schema), row.answer)
    except ContractError as error:
        return error.why
    except ExpertError as error:
        return f"its schema cannot be used: {error.what}"
    return ""


@lru_cache(maxsize=256)
def _document(schema: str) -> Document:
    return parse_schema(schema)


def shell_problem(row: Row) -> str:
    """Tell whether a command does not parse: by `bash -n`, which runs nothing, if it is here."""
    text = row.answer.strip()
    if len(text) > LONGEST_COMMAND:
        return "the command is too long"
    bash = shutil.which("bash")
    if bash is None:
        wrong = read_command(text) is None
        return "the command has no program, or its quotes do not close" if wrong else ""
    try:
        done = subprocess.run(
            [bash, "--norc", "--noprofile", "-n"], input=text + "\n", env={"LC_ALL": "C.UTF-8"},
            capture_output=True, text=True, timeout=SHELL_SECONDS, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "bash does not come to an end with the command"
    if done.returncode == 0 and not done.stderr:
        return ""
    told = done.stderr.strip().partition("\n")[0].rpartition(": ")[2]
    return f"the command does not parse: {told or 'bash refuses it'}"


def regex_problem(row: Row) -> str:
    """Tell whether a pattern is none of Python's `re`."""
    text = row.answer.strip()
    if len(text) > LONGEST_COMMAND:
        return "the pattern is too long"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        return f"the pattern does not compile: {error}"
    return ""
