"""Questions to SQL: Spider and its paraphrases as conversations about one database, and WikiSQL."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from expert.train.examples import Example, Source, Turn, single
from expert.train.rows import Row, drawn, read_rows

SPIDER = ("sql/train_spider", "sql/train_spider_syn_paraphrases")
WIKISQL = "sql/train_wikisql_aux_partial_schema"
LONGEST_SCHEMA = 1600  # characters; longer ones would fill a whole training sequence
TEMPLATES = (
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


def _conversation(rows: list[Row], variant: int) -> Example:
    first = rows[0]
    template = drawn(first["question"], variant).choice(TEMPLATES)
    turns: list[Turn] = []
    for row in rows:
        prompt = row["question"] if turns else template.format(**row)
        turns.append(Turn(prompt, normalise(row["sql"], row["schema"])))
    return Example("sql", "spider:" + first["db"], tuple(turns))


def spider(source: Source) -> Iterator[Example]:
    """Yield conversations of one to six questions about a database, so that a long schema is read
    once.
    """
    databases: dict[str, list[Row]] = defaultdict(list)
    for name in SPIDER:
        for row in read_rows(source.task(name)):
            if len(row["schema"]) <= LONGEST_SCHEMA and '"' not in row["schema"]:
                databases[row["db"]].append(row)
    for db, rows in databases.items():
        rng = drawn("sql", db, source.variant)
        rng.shuffle(rows)
        while rows:
            size = rng.randint(1, 6)
            yield _conversation(rows[:size], source.variant)
            del rows[:size]


def wikisql(source: Source) -> Iterator[Example]:
    """Yield one-table questions with the columns the row names."""
    for row in read_rows(source.task(WIKISQL)):
        sql = repair_wikisql(row)
        if sql:
            prompt = drawn(row["question"], source.variant).choice(TEMPLATES).format(**row)
            yield single("sql", "wikisql:" + row["db"], prompt, sql)
