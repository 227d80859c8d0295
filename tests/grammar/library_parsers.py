"""The real parsers that texts of the shipped grammars are held to."""

import ast
import csv
import io
import json
import re
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import date, datetime, time

import yaml  # type: ignore[import-untyped]  # has no type hints


def parses(name: str, text: str) -> bool:
    """Tell whether the parser for the grammar *name* reads *text*."""
    return PARSERS[name](text)


def _raises(read: Callable[[str], object], *errors: type[Exception]) -> Callable[[str], bool]:
    def parse(text: str) -> bool:
        try:
            read(text)
        except errors:
            return False
        return True

    return parse


def _json(text: str) -> object:
    value = json.loads(text)
    json.dumps(value).encode()
    return value


def _json_lines(text: str) -> None:
    for line in text.removesuffix("\n").split("\n"):
        if not isinstance(_json(line), dict):
            raise ValueError("no object")


def _csv(text: str) -> None:
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if not rows or not all(rows):
        raise csv.Error("an empty record")


_GRAMMATICAL = (
    "no such|has no column|ambiguous|number of arg|misuse|no tables|do not have the same|columns|"
    "out of range|not unique|already|PRIMARY KEY|primary key|duplicate|AUTOINCREMENT|prohibited|"
    "bindings|HAVING|unknown|foreign key|not allowed in|not constant|Cannot|does not match|window|"
    "default value|supported|no query solution|join|reserved|values"
)
"""What SQLite says of statements whose grammar is right and whose names or types are not."""


def _sqlite(text: str) -> None:
    """Prepare a statement; that its tables and columns exist nowhere is no matter."""
    database = sqlite3.connect(":memory:")
    try:
        database.execute("EXPLAIN " + text)
    except sqlite3.Error as error:
        if not any(part in str(error) for part in _GRAMMATICAL.split("|")):
            raise
    finally:
        database.close()


def _bash(text: str) -> bool:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    return done.returncode == 0 and not done.stderr


def _function(text: str) -> None:
    nodes = ast.parse(text).body
    if len(nodes) != 1 or not isinstance(nodes[0], ast.FunctionDef | ast.AsyncFunctionDef):
        raise SyntaxError("no function")


def _plain_number(text: str) -> None:
    if json.loads(text) != float(text):
        raise ValueError("no number")


PARSERS: dict[str, Callable[[str], bool]] = {
    "json": _raises(_json, ValueError),
    "json-lines": _raises(_json_lines, ValueError),
    "csv": _raises(_csv, csv.Error),
    "yaml": _raises(yaml.safe_load, yaml.YAMLError),
    "sql": _raises(_sqlite, sqlite3.Error),
    "sql-select": _raises(_sqlite, sqlite3.Error),
    "elasticsearch": _raises(_json, ValueError),
    "shell": _bash,
    "regex": _raises(re.compile, re.error),
    "python-function": _raises(_function, SyntaxError, ValueError),
    "date": _raises(date.fromisoformat, ValueError),
    "time": _raises(time.fromisoformat, ValueError),
    "date-time": _raises(datetime.fromisoformat, ValueError),
    "number": _raises(_plain_number, ValueError),
    "integer": _raises(int, ValueError),
}
"""By grammar; Cypher, commits and TypeScript have none here."""
