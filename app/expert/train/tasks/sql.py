"""Questions to SQL in a common form, and WikiSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expert.train.examples import Example, Source, single
from expert.train.rows import Row, drawn, read_rows

WIKISQL = "sql/train_wikisql_aux_partial_schema"
COLUMNS = re.compile(r"t\([^()]+\)")
NAMED = re.compile(r"(?:SELECT|FROM|WHERE|AND|\() ?(?!(?:COUNT|SUM|AVG|MIN|MAX)\()([^ ()]+)")
"""What a query of WikiSQL reads: columns, and its table."""
TEXT = re.compile(r"'(?:[^']|'')*'")
MOST_OTHERS = 6
TEMPLATES = (
    "{schema}\n\n{question}",
    "{schema}\n\nQuestion: {question}\nSQL:",
    "Write a SQL query.\n{schema}\n\n{question}",
    "Schema:\n{schema}\n\nWrite SQL: {question}",
    "{question}\n\nTables:\n{schema}",
)
KEYWORDS = re.compile(
    "select|from|where|group|by|order|having|limit|distinct|join|left|inner|on|as|and|or|not|in|like|"
    "between|is|null|union|intersect|except|asc|desc|count|sum|avg|min|max|exists|case|when|then|else|end",
    re.I,
)
FUNCTIONS = frozenset(("COUNT", "SUM", "AVG", "MIN", "MAX"))
TOKEN = re.compile(r""""[^"]*"|'[^']*'|\w+(?:\.(?:\w+|\*))?|>=|<=|!=|<>|\S""")
CONDITION = re.compile(r"^(\w+) (=|>|<) (.+)$", re.S)
NUMBER = re.compile(r"^-?\d[\d,]*(\.\d+)?$")


def quoted(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def normalise(sql: str, schema: str) -> str:
    """Rewrite SQL with ordinary spacing, upper-case keywords, the schema's spelling and '...'
    strings.
    """
    names: dict[str, str] = {name.lower(): name for name in re.findall(r"\w+", schema)}

    def spelled(token: str) -> str:
        if token[0] in "\"'":
            return quoted(token[1:-1])
        if KEYWORDS.fullmatch(token):
            return token.upper()
        if re.fullmatch(r"[tT]\d(\..+)?", token):
            head, dot, tail = token.partition(".")
            return head.upper() + dot + names.get(tail.lower(), tail)
        return ".".join(names.get(part.lower(), part) for part in token.split("."))

    joined = re.sub(r"([<>!]) =", r"\1=", sql.strip().rstrip(";"))
    text = ""
    for token in map(spelled, TOKEN.findall(joined)):
        after_open = text.endswith("(") or not text
        call = token == "(" and text.split(" ")[-1].strip("(") in FUNCTIONS
        text += token if after_open or token in ",)" or call else " " + token
    return text


def repair_wikisql(row: Row) -> str | None:
    """Quote the values of a WikiSQL query as the question spells them; None if unreadable."""
    head, where, tail = row["sql"].partition(" WHERE ")
    if not where:
        return None
    conditions = []
    for part in tail.split(" AND "):
        found = CONDITION.match(part)
        if not found:
            return None
        column, operator, value = found[1], found[2], found[3].strip().strip("\"'")
        if NUMBER.match(value):
            conditions.append(f"{column} {operator} {value.replace(',', '')}")
            continue
        at = row["question"].lower().find(value.lower())
        if at < 0:
            return None
        conditions.append(f"{column} {operator} {quoted(row['question'][at : at + len(value)])}")
    return str(head) + " WHERE " + " AND ".join(conditions)


def wikisql(source: Source) -> Iterator[Example]:
    """Yield one-table questions with the columns the row names."""
    for row in read_rows(source.task(WIKISQL)):
        sql = repair_wikisql(row)
        if sql:
            prompt = drawn(row["question"], source.variant).choice(TEMPLATES).format(**row)
            form = ("sql_schema", row["schema"])
            yield single("sql", "wikisql:" + row["db"], prompt, sql, form)


def wide_wikisql(source: Source) -> Iterator[Example]:
    """Yield the questions of WikiSQL about wider tables: to the columns that a query names, which
    are all that its row gives, come some of another table, so that columns have to be chosen.
    """
    rows = [row for row in read_rows(source.task(WIKISQL)) if COLUMNS.fullmatch(row["schema"])]
    for row in rows:
        sql, columns = repair_wikisql(row), _columns(row)
        if sql is None or not set(NAMED.findall(TEXT.sub("", sql))) <= {*columns, "t"}:
            continue
        rng = drawn(row["question"], source.variant)
        others = [column for column in _columns(rng.choice(rows)) if column not in columns]
        columns += others[: rng.randint(1, MOST_OTHERS)]
        rng.shuffle(columns)
        schema = f"t({', '.join(columns)})"
        prompt = rng.choice(TEMPLATES).format(schema=schema, question=row["question"])
        yield single("sql", "wikisql:" + row["db"], prompt, sql, ("sql_schema", schema))


def _columns(row: Row) -> list[str]:
    """Return the columns of a table in the short notation."""
    return str(row["schema"]).removeprefix("t(").removesuffix(")").split(", ")
