"""What counts as a right answer, by the names that recipes give: the main measure first, then what
explains it.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expert.dataset.formats import text_of
from expert.dataset.rows import Row
from expert.dataset.tasks import json_problem, regex_problem
from expert.errors import UsageError
from expert.grammar.sql.read import read_text
from expert.metrics import cypher, fields, patterns, sandbox, shell, sql, text
from expert.metrics.sql import extract, same_result
from expert.train.examples import Example
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
    return {"exact": float(answer.strip() == example.question.answer.strip())}


def shared_words(example: Example, answer: str) -> Marks:
    """Compare the words of short answers."""
    return {
        "words F1": text.token_f1(answer, example.question.answer),
        **exact(example, answer),
    }


def lines(example: Example, answer: str) -> Marks:
    """Compare the lines two patterns find; words in quotes stand for placeholders."""
    reference = example.question.answer
    words = tuple(dict.fromkeys(QUOTED.findall(example.question.prompt)))
    same = patterns.same_lines(answer.strip(), reference, words)
    compiles = patterns.compiles(answer.strip())
    return {"equivalent": float(same), **exact(example, answer), "compiles": float(compiles)}


def value(example: Example, answer: str) -> Marks:
    """Compare JSON field by field, and hold it to the schema of the question."""
    wanted, found = json.loads(example.question.answer), fields.parsed(answer)
    return {
        "whole value": float(fields.whole(found, wanted)),
        "field accuracy": fields.accuracy(found, wanted),
        "fields F1": fields.field_f1(found, wanted),
        "valid": float(_valid(example, answer)),
    }


def _valid(example: Example, answer: str) -> bool:
    """Tell whether an answer keeps the question's schema, or is JSON at all where it has none."""
    if example.form is None:
        return fields.parsed(answer) is not fields.INVALID
    return fields.keeps(answer, example.form[1])


def sentence(example: Example, answer: str) -> Marks:
    """Compare intent and slots."""
    wanted, found = json.loads(example.question.answer), fields.parsed(answer)
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
    wanted, found = json.loads(example.question.answer), fields.parsed(answer)
    named = isinstance(found, dict) and found.get("name") == wanted["name"]
    return {
        "whole call": float(fields.whole(found, wanted)),
        "function": float(named),
        "field accuracy": fields.accuracy(found, wanted),
        "fields F1": fields.field_f1(found, wanted),
        "valid": float(_valid(example, answer)),
    }


def command(example: Example, answer: str) -> Marks:
    """Compare the structure of commands, and what they do where that can be tried."""
    reference = example.question.answer
    effect = sandbox.same_effect(answer, reference)
    return {
        "structure": float(shell.same_structure(answer, reference)),
        "same command": float(shell.same_command(answer, reference)),
        "execution": None if effect is None else float(effect),
        **exact(example, answer),
        "parses": float(shell.read_command(answer) is not None),
    }


def table(example: Example, answer: str) -> Marks:
    """Compare queries of tables of which there are no rows."""
    return {
        "same query": float(sql.same_conditions(answer, example.question.answer)),
        **exact(example, answer),
        "runs": float(example.form is None or sql.prepares(example.form[1], answer)),
    }


def graph(example: Example, answer: str) -> Marks:
    """Compare queries of a graph that is not there."""
    return {
        "same query": float(cypher.same_query(answer, example.question.answer)),
        **exact(example, answer),
        "parses": float(cypher.parses(answer)),
    }


def prose(example: Example, answer: str) -> Marks:
    """Compare texts that can be said in many ways."""
    reference = example.question.answer
    return {
        "chrF": text.chrf(answer, reference),
        "words F1": text.token_f1(answer, reference),
        **exact(example, answer),
    }


def subject(example: Example, answer: str) -> Marks:
    """Compare the subjects of commits."""
    return {
        **prose(example, answer),
        "type": float(_type(answer) == _type(example.question.answer)),
        "conventional": float(CONVENTIONAL.fullmatch(answer) is not None),
    }


def _type(subject: str) -> str:
    """Return what stands before scope, `!` and colon."""
    return re.split(r"[(!:]", subject, maxsplit=1)[0]


def no_whole(_: list[Example], __: list[str]) -> dict[str, text.Share]:
    """Measure nothing of all answers together."""
    return {}


def translation(examples: list[Example], answers: list[str]) -> dict[str, text.Share]:
    """Return BLEU and chrF of all answers together."""
    return text.corpus(answers, [example.question.answer for example in examples])


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
        reference = example.question.answer
        return {
            "execution": float(same_result(database, answer, reference)),
            **exact(example, answer),
            "runs": float(sql.execute(database, answer) is not None),
        }


def no_problem(_: Row) -> str:
    """Take any reference."""
    return ""


def named_problem(*names: str) -> Callable[[Row], str]:
    """Return what tells that a reference is no JSON object with these fields."""

    def problem(row: Row) -> str:
        if why := json_problem(row):
            return why
        found = json.loads(row.answer)
        lacking = [name for name in names if not isinstance(found, dict) or name not in found]
        return f"the answer has no {' and no '.join(map(repr, lacking))}" if lacking else ""

    return problem


def tables_problem(row: Row) -> str:
    """Tell what is wrong with the tables that a row names, if it names any."""
    schema = text_of(row.extra.get("schema"), "schema")
    try:
        if schema:
            read_text(schema)
    except UsageError as error:
        return f"its schema cannot be used: {error.what}"
    return ""


@dataclass(frozen=True)
class Measure:
    """How answers are judged."""

    judge: Judge
    whole: Whole = no_whole
    form: str = ""
    """The option of a request that a row's own `schema` becomes; empty: such rows have none."""
    problem: Callable[[Row], str] = no_problem
    """Tells why nothing can be compared with a row's answer; empty where it can."""


MEASURES: dict[str, Measure] = {
    "exact": Measure(exact),
    "f1": Measure(shared_words),
    "chrf": Measure(prose, translation),
    "json": Measure(value, form="schema", problem=json_problem),
    "intent": Measure(sentence, problem=named_problem("intent", "slots")),
    "call": Measure(call, form="schema", problem=named_problem("name", "arguments")),
    "sql": Measure(table, form="sql_schema", problem=tables_problem),
    "regex": Measure(lines, problem=regex_problem),
    "shell": Measure(command),
    "cypher": Measure(graph),
    "commit": Measure(subject, translation),
}
EXECUTION = "execution"
"""On the public databases, which no rows of one's own have."""
PUBLIC = {
    "nlrx": "regex",
    "structured": "regex",
    "snips": "intent",
    "sgd": "call",
    "nl2bash": "shell",
    "tldr": "shell",
    "spider": EXECUTION,
    "wikisql": "sql",
    "wide_wikisql": "sql",
    "cypher": "cypher",
    "commit": "commit",
    "translate": "chrf",
    "instruct": "chrf",
}
"""How the tasks of the public data are judged; the others exactly."""


@contextmanager
def judging(
    metric: str, data: Path, grammar: Path | None, examples: list[Example]
) -> Iterator[Bench]:
    """Yield what judges answers by a metric, with the databases it needs while it works.

    Raises:
        NotFoundError: the databases are not there.
    """
    if metric != EXECUTION:
        option = "schema" if grammar is not None and grammar.suffix == ".json" else "grammar"
        form: Form = None if grammar is None else (option, grammar)
        measure = MEASURES[metric]
        yield Bench(measure.judge, lambda example: example.form or form, measure.whole)
        return
    with tempfile.TemporaryDirectory(prefix="expert-sql.") as name:
        extract(data, {e.group.removeprefix("spider:") for e in examples}, Path(name))
        run = Execution(Path(name))
        yield Bench(run, lambda example: ("sql_schema", run.database(example)))
