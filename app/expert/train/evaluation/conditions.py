"""Asking the same held-out questions under several conditions, and scoring the answers.

Every condition is the same engine, greedy, thinking off, with room for the whole answer; only who
answers differs: the base alone, with examples in its prompt, and under the grammar; the expert,
without and under its grammar; the base with another expert attached, which must not gain; and the
expert with that one attached as well, which must not lose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from expert.errors import InputTooLongError, UsageError
from expert.metrics.intervals import interval, paired
from expert.train.adapter.task_data import TaskData
from expert.train.corpus import held_out
from expert.train.evaluation.judges import Bench, Form, Marks, judging
from expert.train.examples import Example
from expert.train.rows import digest
from expert.types import Message

VARIANTS = 4
"""Draws of a task's conversations, each of which asks another question first."""
SHOT_CHARACTERS = 600
"""Longest example put into a few-shot prompt."""
BASE, FEW_SHOT, BASE_GRAMMAR, EXPERT, GRAMMAR, OTHER, PAIR = (
    "base", "base, few-shot", "base, grammar", "expert", "expert, grammar", "base, other expert",
    "expert and other expert",
)  # fmt: skip


@dataclass(frozen=True)
class Asking:
    """One question to the engine, whoever runs it."""

    messages: tuple[Message, ...]
    adapters: tuple[Path, ...]
    max_tokens: int
    form: Form = None
    """What holds the answer to a grammar; None: any text."""
    verbatim: bool = False
    """Whether texts of a query are words of the question then."""


Answerer = Callable[[Asking], str]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Condition:
    """Who answers."""

    name: str
    adapters: tuple[Path, ...] = ()
    shots: int = 0
    constrained: bool = False


@dataclass(frozen=True)
class Settings:
    """What is asked."""

    data: TaskData
    rows: int
    shots: int
    max_tokens: int
    grammar: Path | None = None
    """The expert's own grammar or JSON Schema; SQL takes its grammar from each database."""
    verbatim: bool = False
    """Whether texts of queries under a grammar are words of the question."""


@dataclass(frozen=True)
class Score:
    """How one condition did in one task."""

    task: str
    condition: str
    rows: int
    values: dict[str, float]
    """The mean of each measure, the main one first."""
    intervals: dict[str, tuple[float, float]]
    gain: tuple[float, float] | None
    """95 % interval of the main measure's difference to the base on the same rows."""
    wrong: list[dict[str, str]]
    """A few wrong answers to read, those that the base did better first."""
    lost: int = 0
    """Rows that the base did better."""
    won: int = 0
    """Rows that the base did worse."""
    change: tuple[float, float] | None = None
    """95 % interval of the main measure's difference to the expert alone, for a pair."""

    @property
    def main(self) -> str:
        """The main measure's name."""
        return next(iter(self.values))


def conditions(expert: Path | None, other: Path | None, shots: int) -> list[Condition]:
    """Return the conditions that can be measured with what there is.

    Those under a grammar are left out of tasks whose questions have none.
    """
    made = [Condition(BASE)]
    if shots:
        made.append(Condition(FEW_SHOT, shots=shots))
    made.append(Condition(BASE_GRAMMAR, constrained=True))
    if expert is not None:
        made.append(Condition(EXPERT, (expert,)))
        made.append(Condition(GRAMMAR, (expert,), constrained=True))
    if other is not None:
        made.append(Condition(OTHER, (other,)))
    if expert is not None and other is not None:
        made.append(Condition(PAIR, (expert, other)))
    return made


def heldout_rows(data: TaskData, task: str, rows: int) -> list[Example]:
    """Return held-out questions of a task, chosen by hash.

    Raises:
        UsageError: the data holds none.
    """
    found: list[Example] = []
    for variant in range(VARIANTS):
        seen = {(example.group, example.question.answer) for example in found}
        for example in data.examples(task, [variant]):
            new = variant == 0 or (example.group, example.question.answer) not in seen
            if new and held_out(example):
                found.append(example)
        if len(found) >= rows:
            break
    if not found:
        raise UsageError(
            f"The data holds no held-out row of the task {task}.",
            "The cut of experts/<task>/heldout.txt names none of its groups.",
            "Give the whole public data with --data.",
        )
    return sorted(found, key=lambda e: digest(e.question.prompt + e.question.answer))[:rows]


def shots_for(data: TaskData, task: str, count: int) -> tuple[Example, ...]:
    """Return short training examples to show a base, chosen by hash."""
    kept = (
        e
        for e in islice(data.examples(task), 4000)
        if not held_out(e) and len(e.question.prompt) <= SHOT_CHARACTERS
    )
    return tuple(sorted(kept, key=lambda e: digest(f"shot {e.question.prompt}"))[:count])


def evaluate(
    tasks: tuple[str, ...],
    who: list[Condition],
    settings: Settings,
    answer: Answerer,
    progress: Progress | None = None,
) -> list[Score]:
    """Score every condition in every task.

    Raises:
        ExpertError: the data or the engine is at fault.
    """
    scores = []
    for number, task in enumerate(tasks):
        rows = heldout_rows(settings.data, task, settings.rows)
        shown = shots_for(settings.data, task, max(c.shots for c in who))
        metric = settings.data.metric(task)
        with judging(metric, settings.data.folder, settings.grammar, rows) as bench:
            answers = Answers(bench, rows)
            held = any(bench.form(row) is not None for row in rows)
            able = [condition for condition in who if held or not condition.constrained]
            for place, condition in enumerate(able):
                before, parts = number * len(able) + place, len(tasks) * len(able)
                tell = _counting(progress, before, parts, rows)
                asked = _asked(rows, shown, condition, settings, bench)
                answers.add(condition.name, _answers(asked, answer, tell))
                scores.append(scored(task, condition.name, answers))
    return scores


@dataclass
class Answers:
    """What every condition answered so far, and what that scored."""

    bench: Bench
    rows: list[Example]
    texts: dict[str, list[str]] = field(default_factory=dict)
    marks: dict[str, list[Marks]] = field(default_factory=dict)

    def add(self, condition: str, texts: list[str]) -> None:
        """Judge what a condition answered."""
        self.texts[condition] = texts
        pairs = zip(self.rows, texts, strict=True)
        self.marks[condition] = [self.bench.judge(row, text) for row, text in pairs]

    def column(self, condition: str, measure: str) -> list[float]:
        """Return one measure of every row; the main one, which no row is without."""
        return [float(mark[measure] or 0) for mark in self.marks[condition]]


def _counting(
    progress: Progress | None, before: int, parts: int, rows: list[Example]
) -> Callable[[int], None]:
    """Return what tells *progress* of the rows done in one of several equal parts."""

    def tell(done: int) -> None:
        if progress is not None:
            progress(before * len(rows) + done, parts * len(rows))

    return tell


def _asked(
    rows: list[Example],
    shown: tuple[Example, ...],
    condition: Condition,
    settings: Settings,
    bench: Bench,
) -> list[Asking]:
    return [
        Asking(
            messages(example, shown[: condition.shots]),
            condition.adapters,
            settings.max_tokens,
            bench.form(example) if condition.constrained else None,
            condition.constrained and settings.verbatim,
        )
        for example in rows
    ]


def _answers(asked: list[Asking], answer: Answerer, tell: Callable[[int], None]) -> list[str]:
    """Return the answers, empty where a question does not fit the context."""
    texts = []
    for done, asking in enumerate(asked, 1):
        try:
            texts.append(answer(asking).strip())
        except InputTooLongError:
            texts.append("")
        tell(done)
    return texts


def messages(example: Example, shown: tuple[Example, ...]) -> tuple[Message, ...]:
    """Return a question as a conversation, with examples as turns before it."""
    made = [Message("system", example.system)] if example.system else []
    for turn in (*(shot.question for shot in shown), *example.turns[: example.judged]):
        made += [Message("user", turn.prompt.strip()), Message("assistant", turn.answer.strip())]
    return (*made, Message("user", example.question.prompt.strip()))


def scored(task: str, condition: str, answers: Answers) -> Score:
    """Return the measures of a condition, beside the base's and, for a pair, the expert's."""
    marks = answers.marks[condition]
    columns = {name: [m for mark in marks if (m := mark[name]) is not None] for name in marks[0]}
    main = next(iter(columns))
    values = {name: sum(found) / max(len(found), 1) for name, found in columns.items()}
    intervals = {name: interval(found) for name, found in columns.items()}
    for name, (value, bounds) in answers.bench.whole(
        answers.rows, answers.texts[condition]
    ).items():
        values[name], intervals[name] = value, bounds
    base = answers.column(BASE, main) if condition != BASE else None
    alone = answers.column(EXPERT, main) if condition == PAIR else None
    own = columns[main]
    pairs = list(zip(base or own, own, strict=True))
    return Score(
        task,
        condition,
        len(marks),
        {name: round(value, 4) for name, value in values.items()},
        {name: _rounded(bounds) for name, bounds in intervals.items()},
        None if base is None else _rounded(paired(own, base)),
        _wrong(answers, condition, own, base or own),
        lost=sum(after < before for before, after in pairs),
        won=sum(after > before for before, after in pairs),
        change=None if alone is None else _rounded(paired(own, alone)),
    )


def _wrong(
    answers: Answers, condition: str, own: list[float], base: list[float]
) -> list[dict[str, str]]:
    """Return some wrong answers, the regressions first."""
    found = [place for place, mark in enumerate(own) if mark < 1]
    lost = [place for place in found if base[place] > own[place]]
    rest = [place for place in found if base[place] <= own[place]]
    step = max(1, len(rest) // 8)
    told = []
    for place in [*lost[:4], *rest[::step]][:8]:
        turn = answers.rows[place].question
        told.append(
            {
                "prompt": turn.prompt[-300:],
                "expected": turn.answer,
                "answer": answers.texts[condition][place],
            }
        )
        if place in lost:
            told[-1]["base"] = answers.texts[BASE][place]
    return told


def _rounded(pair: tuple[float, float]) -> tuple[float, float]:
    return round(pair[0], 4), round(pair[1], 4)
