"""Spider and its paraphrases: questions about databases of several tables."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from expert.train.examples import Example, Source, Turn
from expert.train.rows import Row, drawn, read_rows
from expert.train.split import is_heldout
from expert.train.tasks.databases import Pool, names_of, unaliased, varied
from expert.train.tasks.sql import TEMPLATES, normalise

FILES = ("sql/train_spider", "sql/train_spider_syn_paraphrases")
LONGEST_SCHEMA = 1600  # characters; longer ones would fill a whole training sequence


def spider(source: Source) -> Iterator[Example]:
    """Yield conversations of one to six questions about a database, so that a long schema is read
    once.

    Queries call their tables by name. The first variant has the questions as they are; in the
    others those that are learnt from are about databases with other names, values and orders.
    """
    databases: dict[str, list[Row]] = defaultdict(list)
    for name in FILES:
        for row in read_rows(source.task(name)):
            sql = unaliased(normalise(row["sql"], row["schema"]))
            if _is_usable(row["schema"], sql):
                databases[row["db"]].append({**row, "sql": sql})
    learnt = {db for db in databases if not is_heldout("sql", _group(db))}
    pool = Pool.of(row for db in sorted(learnt) for row in databases[db])
    for db, rows in databases.items():
        rng = drawn("sql", db, source.variant)
        rng.shuffle(rows)
        while rows:
            size = rng.randint(1, 6)
            asked = rows[:size]
            if source.variant and db in learnt:
                asked = varied(asked, pool, rng)
            yield _conversation(asked, source.variant)
            del rows[:size]


def _is_usable(schema: str, sql: str) -> bool:
    """Tell whether a schema is short and plain, and has what the query reads: some paraphrases have
    names translated.
    """
    fits = len(schema) <= LONGEST_SCHEMA and '"' not in schema
    return fits and names_of(sql) <= {word.lower() for word in re.findall(r"\w+", schema)}


def _group(db: str) -> str:
    return f"spider:{db}"


def _conversation(rows: list[Row], variant: int) -> Example:
    first = rows[0]
    template = drawn(first["question"], variant).choice(TEMPLATES)
    turns = [
        Turn(row["question"] if place else template.format(**row), row["sql"])
        for place, row in enumerate(rows)
    ]
    return Example("sql", _group(first["db"]), tuple(turns))
