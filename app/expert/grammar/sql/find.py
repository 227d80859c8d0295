"""Finds the tables that a question shows, among its other words."""

import re

from expert.errors import UsageError
from expert.grammar.sql.read import read_text
from expert.grammar.sql.schema import Schema

_CREATE = re.compile(r"\bcreate\s+table\b", re.IGNORECASE)
_TABLE = re.compile(r"(?<![\w$])[^\W\d][\w$]*\((?:[^()\n]|\([^()\n]*\))*\)")


def find_tables(text: str) -> Schema | None:
    """Return the tables of the CREATE statements in *text*, or those written like `t(a, b)`.

    Names before a parenthesis with a comma in it count as tables; None: there is nothing like one.
    """
    try:
        if created := _CREATE.search(text):
            return read_text(text[created.start() : text.rfind(")") + 1])
        tables = [found for found in _TABLE.findall(text) if "," in found]
        links = [line.strip() for line in text.splitlines() if line.strip().startswith("fk:")]
        return read_text("\n".join([*tables, *links])) if tables else None
    except UsageError:
        return None
