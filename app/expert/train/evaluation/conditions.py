"""Asking the same held-out questions under several conditions, and scoring the answers.

Every condition is the same engine, greedy, thinking off, with room for the whole answer; only who
answers differs: the base alone, the base with examples in its prompt, the expert, the expert under
its grammar, and the base with another expert attached, which must not gain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from expert.errors import InputTooLongError, UsageError
from expert.train.adapter.dataset import examples as read_examples
from expert.train.corpus import held_out
from expert.train.evaluation.judges import Bench, Form, Marks, judging
from expert.train.examples import Example
from expert.train.metrics.intervals import interval, paired
from expert.train.rows import digest
from expert.types import Message

VARIANTS = 4
"""Draws of a task's conversations, each of which asks another question first."""
SHOT_CHARACTERS = 600
"""Longest example put into a few-shot prompt."""
BASE, FEW_SHOT, EXPERT, GRAMMAR, OTHER = (
    "base", "base, few-shot", "expert", "expert, grammar", "base, other expert",
)  # fmt: skip


@dataclass(frozen=True)
class Asking:
    """One question to the engine, whoever runs it."""

    messages: tuple[Message, ...]
    adapter: Path | None
    max_tokens: int
    form: Form = None
    """What holds the answer to a grammar; None: any text."""


Answerer = Callable[[Asking], str]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Condition:
    """Who answers."""

    name: str
    adapter: Path | None = None
    shots: int = 0
    constrained: bool = False


@dataclass(frozen=True)
class Settings:
    """What is asked."""

    data: Path
    rows: int
    shots: int
    max_tokens: int
    grammar: Path | None = None
    """The expert's own grammar or JSON Schema; SQL takes its grammar from each database."""


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
    """A few wrong answers to read."""

    @property
    def main(self) -> str:
        """The main measure's name."""
        return next(iter(self.values))


def conditions(
    expert: Path | None, other: Path | None, shots: int, *, constrained: bool
) -> list[Condition]:
    """Return the conditions that can be measured with what there is."""
    made = [Condition(BASE)]
    if shots:
        made.append(Condition(FEW_SHOT, shots=shots))
    if expert is not None:
        made.append(Condition(EXPERT, expert))
    if expert is not None and constrained:
        made.append(Condition(GRAMMAR, expert, constrained=True))
    if other is not None:
        made.append(Condition(OTHER, other))
    return made


def heldout_rows(data: Path, task: str, rows: int) -> list[Example]:
    """Return held-out questions of a task, chosen by hash.

    Raises:
        UsageError: the data holds none.
    """
    found: list[Example] = []
    for variant in range(VARIANTS):
        seen = {(example.group, example.turns[0].answer) for example in found}
        for example in read_examples(data, task, [variant]):
            new = variant == 0 or (example.group, example.turns[0].answer) not in seen
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
    return sorted(found, key=lambda e: digest(e.turns[0].prompt + e.turns[0].answer))[:rows]


def shots_for(data: Path, task: str, count: int) -> tuple[Example, ...]:
    """Return short training examples to show a base, chosen by hash."""
    kept = (
        e
        for e in islice(read_examples(data, task), 4000)
        if not held_out(e) and len(e.turns[0].prompt) <= SHOT_CHARACTERS
    )
    return tuple(sorted(kept, key=lambda e: digest(f"shot {e.turns[0].prompt}"))[:count])


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
        base: list[float] | None = None
        with judging(task, settings.data, settings.grammar, rows) as bench:
            for place, condition in enumerate(who):
                tell = _counting(progress, number * len(who) + place, len(tasks) * len(who), rows)
                marks, wrong = _ask(rows, shown, condition, settings, answer, bench, tell)
                score = _score(task, condition.name, marks, wrong, base)
                main = [mark[score.main] for mark in marks]
                base = main if condition.name == BASE else base
                scores.append(score)
    return scores


def _counting(
    progress: Progress | None, before: int, parts: int, rows: list[Example]
) -> Callable[[int], None]:
    """Return what tells *progress* of the rows done in one of several equal parts."""

    def tell(done: int) -> None:
        if progress is not None:
            progress(before * len(rows) + done, parts * len(rows))

    return tell


def _ask(
    rows: list[Example],
    shown: tuple[Example, ...],
    condition: Condition,
    settings: Settings,
    answer: Answerer,
    bench: Bench,
    tell: Callable[[int], None],
) -> tuple[list[Marks], list[dict[str, str]]]:
    marks, wrong = [], []
    for done, example in enumerate(rows, 1):
        turn = example.turns[0]
        asking = Asking(
            messages(example, shown[: condition.shots]),
            condition.adapter,
            settings.max_tokens,
            bench.form(example) if condition.constrained else None,
        )
        try:
            text = answer(asking).strip()
        except InputTooLongError:
            text = ""
        mark = bench.judge(example, text)
        marks.append(mark)
        if not next(iter(mark.values())):
            wrong.append({"prompt": turn.prompt[-300:], "expected": turn.answer, "answer": text})
        tell(done)
    step = max(1, len(wrong) // 8)
    return marks, wrong[::step][:8]


def messages(example: Example, shown: tuple[Example, ...]) -> tuple[Message, ...]:
    """Return a question as a conversation, with examples as turns before it."""
    made = [Message("system", example.system)] if example.system else []
    for shot in shown:
        made.append(Message("user", shot.turns[0].prompt.strip()))
        made.append(Message("assistant", shot.turns[0].answer.strip()))
    return (*made, Message("user", example.turns[0].prompt.strip()))


def _score(
    task: str,
    condition: str,
    marks: list[Marks],
    wrong: list[dict[str, str]],
    base: list[float] | None,
) -> Score:
    columns = {name: [mark[name] for mark in marks] for name in marks[0]}
    main = next(iter(columns.values()))
    return Score(
        task,
        condition,
        len(marks),
        {name: round(sum(values) / len(values), 4) for name, values in columns.items()},
        {name: _rounded(interval(values)) for name, values in columns.items()},
        None if base is None else _rounded(paired(main, base)),
        wrong,
    )


def _rounded(pair: tuple[float, float]) -> tuple[float, float]:
    return round(pair[0], 4), round(pair[1], 4)
