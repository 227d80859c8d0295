"""What counts as a right answer in each task, and which of its measures is the main one."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expert.train.examples import Example
from expert.train.metrics import cypher, fields, patterns, sandbox, shell, sql, text
from expert.train.metrics.sql import extract, same_result
from expert.train.tasks.commit import TYPES

Marks = dict[str, float | None]
"""What an answer scored, the main measure first; 0 to 1 each, None where a row cannot tell."""
Judge = Callable[[Example, str], Marks]
Form = tuple[str, Path | str] | None
"""A request's option (`grammar`, `schema` or `sql_schema`) and its file or text."""
Whole = Callable[[list[Example], list[str]], dict[str, text.Share]]
"""Measures of all answers together."""
CONVENTIONAL = re.compile(rf"(?:{TYPES})(?:\([\w./-]+\))?!?: [^ \n].*[^ .\n]")
QUOTED = re.compile(r'"([^"]+)"')


def exact(example: Example, answer: str) -> Marks:
    """Compare the text."""
    return {"exact": float(answer.strip() == example.turns[0].answer.strip())}


def lines(example: Example, answer: str) -> Marks:
    """Compare the lines two patterns find; words in quotes stand for placeholders."""
    reference = example.turns[0].answer
    words = tuple(dict.fromkeys(QUOTED.findall(example.turns[0].prompt)))
    same = patterns.same_lines(answer.strip(), reference, words)
    return {"equivalent": float(same), **exact(example, answer), "compiles": float(_is_re(answer))}


def _is_re(text: str) -> bool:
    try:
        re.compile(text.strip())
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def sentence(example: Example, answer: str) -> Marks:
    """Compare intent and slots."""
    wanted, found = json.loads(example.turns[0].answer), fields.parsed(answer)
    shaped = isinstance(found, dict) and isinstance(found.get("slots"), dict)
    return {
        "whole sentence": float(fields.whole(found, wanted)),
        "intent": float(isinstance(found, dict) and found.get("intent") == wanted["intent"]),
        "field accuracy": fields.accuracy(found, wanted),
        "fields F1": fields.field_f1(found, wanted),
        "valid": float(shaped and set(found) == {"intent", "slots"}),
    }


def call(example: Example, answer: str) -> Marks:
    """Compare a function call, and hold it to the schema of the functions."""
    wanted, found = json.loads(example.turns[0].answer), fields.parsed(answer)
    named = isinstance(found, dict) and found.get("name") == wanted["name"]
    return {
        "whole call": float(fields.whole(found, wanted)),
        "function": float(named),
        "field accuracy": fields.accuracy(found, wanted),
        "fields F1": fields.field_f1(found, wanted),
        "valid": float(example.form is None or fields.keeps(answer, example.form[1])),
    }


def command(example: Example, answer: str) -> Marks:
    """Compare the structure of commands, and what they do where that can be tried."""
    reference = example.turns[0].answer
    effect = sandbox.same_effect(answer, reference)
    return {
        "structure": float(shell.same_structure(answer, reference)),
        "same command": float(shell.same_command(answer, reference)),
        "execution": None if effect is None else float(effect),
        **exact(example, answer),
        "parses": float(shell.read_command(answer) is not None),
    }


def table(example: Example, answer: str) -> Marks:
    """Compare queries of one table, of which there are no rows."""
    return {
        "same query": float(sql.same_conditions(answer, example.turns[0].answer)),
        **exact(example, answer),
        "runs": float(example.form is None or sql.prepares(example.form[1], answer)),
    }


def graph(example: Example, answer: str) -> Marks:
    """Compare queries of a graph that is not there."""
    return {
        "same query": float(cypher.same_query(answer, example.turns[0].answer)),
        **exact(example, answer),
        "parses": float(cypher.parses(answer)),
    }


def prose(example: Example, answer: str) -> Marks:
    """Compare texts that can be said in many ways."""
    reference = example.turns[0].answer
    return {
        "chrF": text.chrf(answer, reference),
        "words F1": text.token_f1(answer, reference),
        **exact(example, answer),
    }


def subject(example: Example, answer: str) -> Marks:
    """Compare the subjects of commits."""
    kind, _, _ = example.turns[0].answer.partition(":")
    found, _, _ = answer.partition(":")
    return {
        **prose(example, answer),
        "type": float(found.split("(")[0] == kind.split("(")[0]),
        "conventional": float(CONVENTIONAL.fullmatch(answer) is not None),
    }


def no_whole(_: list[Example], __: list[str]) -> dict[str, text.Share]:
    """Measure nothing of all answers together."""
    return {}


def translation(examples: list[Example], answers: list[str]) -> dict[str, text.Share]:
    """Return BLEU and chrF of all answers together."""
    return text.corpus(answers, [example.turns[0].answer for example in examples])


@dataclass(frozen=True)
class Bench:
    """Judges answers with what a task needs for it, and knows their grammar."""

    judge: Judge
    form: Callable[[Example], Form]
    whole: Whole = no_whole


@dataclass(frozen=True)
class Execution:
    """Runs SQL on copies of the public databases."""

    folder: Path

    def database(self, example: Example) -> Path:
        """Return the database a question is about."""
        return self.folder / f"{example.group.removeprefix('spider:')}.sqlite"

    def __call__(self, example: Example, answer: str) -> Marks:
        database = self.database(example)
        reference = example.turns[0].answer
        return {
            "execution": float(same_result(database, answer, reference)),
            **exact(example, answer),
            "runs": float(sql.execute(database, answer) is not None),
        }


JUDGES: dict[str, Judge] = {
    "nlrx": lines,
    "structured": lines,
    "snips": sentence,
    "sgd": call,
    "nl2bash": command,
    "tldr": command,
    "wikisql": table,
    "wide_wikisql": table,
    "cypher": graph,
    "commit": subject,
    "translate": prose,
    "instruct": prose,
}
PROSE = frozenset(("commit", "translate", "instruct"))
OWN_FORM = frozenset(("sgd", "wikisql", "wide_wikisql", "spider"))
"""Tasks of which every question says itself what its answer must look like."""


@contextmanager
def judging(
    task: str, data: Path, grammar: Path | None, examples: list[Example]
) -> Iterator[Bench]:
    """Yield what judges a task's answers, with the databases it needs while it works.

    Raises:
        NotFoundError: the databases are not there.
    """
    if task != "spider":
        option = "schema" if grammar is not None and grammar.suffix == ".json" else "grammar"
        form: Form = None if grammar is None else (option, grammar)
        whole = translation if task in PROSE else no_whole
        yield Bench(JUDGES.get(task, exact), lambda example: example.form or form, whole)
        return
    with tempfile.TemporaryDirectory(prefix="expert-sql.") as name:
        extract(data, {e.group.removeprefix("spider:") for e in examples}, Path(name))
        run = Execution(Path(name))
        yield Bench(run, lambda example: ("sql_schema", run.database(example)))
