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
from expert.train.metrics import fields, patterns, shell, sql
from expert.train.metrics.sql import extract, same_result

Marks = dict[str, float]
"""What an answer scored, the main measure first; 0 to 1 each."""
Judge = Callable[[Example, str], Marks]
Form = tuple[str, Path] | None
"""A request's option (`grammar`, `schema` or `sql_schema`) and its file."""
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
        "fields F1": fields.field_f1(found, wanted),
        "valid": float(shaped and set(found) == {"intent", "slots"}),
    }


def call(example: Example, answer: str) -> Marks:
    """Compare a function call."""
    wanted, found = json.loads(example.turns[0].answer), fields.parsed(answer)
    named = isinstance(found, dict) and found.get("name") == wanted["name"]
    return {
        "whole call": float(fields.whole(found, wanted)),
        "function": float(named),
        "fields F1": fields.field_f1(found, wanted),
        "valid": float(isinstance(found, dict) and set(found) == {"name", "arguments"}),
    }


def command(example: Example, answer: str) -> Marks:
    """Compare the structure of commands."""
    reference = example.turns[0].answer
    return {
        "structure": float(shell.same_structure(answer, reference)),
        "same command": float(shell.same_command(answer, reference)),
        **exact(example, answer),
        "parses": float(shell.read_command(answer) is not None),
    }


@dataclass(frozen=True)
class Bench:
    """Judges answers with what a task needs for it, and knows their grammar."""

    judge: Judge
    form: Callable[[Example], Form]


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
}


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
        form = None if grammar is None else (option, grammar)
        yield Bench(JUDGES.get(task, exact), lambda _: form)
        return
    with tempfile.TemporaryDirectory(prefix="expert-sql.") as name:
        extract(data, {e.group.removeprefix("spider:") for e in examples}, Path(name))
        run = Execution(Path(name))
        yield Bench(run, lambda example: ("sql_schema", run.database(example)))
