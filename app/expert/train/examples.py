"""What a task yields: chat examples, and plain documents for language modelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Turn:
    """One request and its answer."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Example:
    """A conversation of a task; `group` is what the held-out cut is made by."""

    task: str
    group: str
    turns: tuple[Turn, ...]
    system: str = ""
    judged: int = 0
    """Which turn evaluation asks and judges; those before it are its history."""
    held_out: bool = False
    """Whether its own file keeps it for evaluation; `expert.train.split` lists the public ones."""
    form: tuple[str, str] | None = None
    """What holds an answer to this question alone: an option of a request (`schema`, `sql_schema`)
    and its text.
    """

    @property
    def question(self) -> Turn:
        """The turn that evaluation asks and judges."""
        return self.turns[self.judged]


@dataclass(frozen=True)
class Document:
    """Plain text, learnt whole."""

    group: str
    text: str


@dataclass(frozen=True)
class Source:
    """Where a builder reads and which of its random variants it draws (0, 1, ...).

    `data` holds `experts/<task>/*.jsonl.zst` and `pretrain/*.jsonl.zst`.
    """

    data: Path
    variant: int = 0

    def task(self, name: str) -> Path:
        """Return a file of task pairs, such as `sql/train_spider`."""
        return self.data / "experts" / f"{name}.jsonl.zst"

    def text(self, name: str) -> Path:
        """Return a file of plain text."""
        return self.data / "pretrain" / f"{name}.jsonl.zst"


Builder = Callable[[Source], Iterator[Example]]


def single(
    task: str, group: str, prompt: str, answer: str, form: tuple[str, str] | None = None
) -> Example:
    """Return an example of one turn."""
    return Example(task, group, (Turn(prompt, answer),), form=form)
