"""Writes a schema in the short notation, as models are shown the tables they are asked about."""

import re

from expert.grammar.sql.schema import Column, Schema, Table

_PLAIN = re.compile(r"\w+")


def describe(schema: Schema) -> str:
    """Return a schema, one table a line, and its links: what `read.read_text` reads again."""
    lines = [_table(table) for table in schema.tables]
    if schema.links:
        lines.append(f"fk: {', '.join(schema.links)}")
    return "\n".join(lines)


def names_all(text: str, schema: Schema) -> bool:
    """Tell whether *text* shows every table with its columns already."""
    return all(
        re.search(rf"(?i)(?<!\w){re.escape(table.name)}\W{{0,3}}\(", text)
        for table in schema.tables
    )


def _table(table: Table) -> str:
    return f"{_name(table.name)}({', '.join(map(_column, table.columns))})"


def _column(column: Column) -> str:
    parts = [_name(column.name), column.kind, "pk" if column.key else ""]
    return " ".join(part for part in parts if part)


def _name(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'
