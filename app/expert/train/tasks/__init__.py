"""The tasks a model is trained on: a name in the recipe, and what builds its examples."""

from __future__ import annotations

from expert.train.examples import Builder
from expert.train.tasks.calls import sgd, snips
from expert.train.tasks.commit import commit
from expert.train.tasks.copying import copying
from expert.train.tasks.cypher import cypher
from expert.train.tasks.others import instruct, intent, translate
from expert.train.tasks.reading import dictionary, reading
from expert.train.tasks.regex import nlrx, structured
from expert.train.tasks.shell import nl2bash, tldr
from expert.train.tasks.skills import skills
from expert.train.tasks.spider import spider
from expert.train.tasks.sql import wide_wikisql, wikisql

BUILDERS: dict[str, Builder] = {
    "copying": copying,
    "skills": skills,
    "nlrx": nlrx,
    "structured": structured,
    "snips": snips,
    "sgd": sgd,
    "spider": spider,
    "wikisql": wikisql,
    "wide_wikisql": wide_wikisql,
    "nl2bash": nl2bash,
    "tldr": tldr,
    "intent": intent,
    "reading": reading,
    "dictionary": dictionary,
    "instruct": instruct,
    "commit": commit,
    "cypher": cypher,
    "translate": translate,
}
