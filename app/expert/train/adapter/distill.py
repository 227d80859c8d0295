"""Learning from a larger model: from its answers, or from its probabilities.

Sequence level (Kim and Rush 2016, arXiv:1606.07947): the teacher answers the questions of the
recipe's tasks, and its answers take the place of the data's. Any teacher will do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path

from expert.errors import ResourceError, VerificationError
from expert.train.adapter.base import Base
from expert.train.adapter.dataset import Dataset, load_dataset
from expert.train.adapter.feed import Method
from expert.train.adapter.recipe import Recipe
from expert.train.adapter.task_data import TaskData
from expert.train.corpus import Progress, held_out
from expert.train.examples import Example, Turn
from expert.types import Message

AHEAD = 4
"""Questions that wait for each one that is being asked."""


@dataclass(frozen=True)
class Teacher:
    """Whoever answers instead of the data."""

    name: str
    """With everything that its answers depend on; they are kept under it."""
    answer: Callable[[tuple[Message, ...]], str | None]
    """None: there is no whole answer."""
    parallel: int = 1
    """Questions asked at the same time."""


class Answers:
    """A teacher's answers in a file of a run, one a line, so that none is asked for twice."""

    def __init__(self, folder: Path, teacher: str) -> None:
        self.path = folder / "teacher" / f"answers-{fingerprint(teacher)}.jsonl"
        self.known = dict(self._read())

    def _read(self) -> Iterator[tuple[str, str | None]]:
        """Yield what is kept; the last line may be half a line after a kill."""
        if not self.path.exists():
            return
        lines = self.path.read_bytes().split(b"\n")
        if lines[-1]:
            with self.path.open("r+b") as file:
                file.truncate(self.path.stat().st_size - len(lines[-1]))
        for number, line in enumerate(lines[:-1], 1):
            try:
                row = json.loads(line)
                yield str(row["question"]), row["answer"]
            except (ValueError, KeyError, TypeError) as error:
                raise VerificationError(
                    f"Line {number} of {self.path} is damaged.",
                    f"{type(error).__name__}: {error}.",
                    "Take the line out: its question is asked again.",
                ) from error

    def of(self, example: Example) -> Example | None:
        """Return an example with the teacher's last answer; None if the teacher had none."""
        answer = self.known.get(fingerprint(question(example)))
        if not answer:
            return None
        last = Turn(example.turns[-1].prompt, answer)
        return replace(example, turns=(*example.turns[:-1], last))

    def gather(self, asked: Iterable[Example], teacher: Teacher, progress: Progress) -> None:
        """Ask for every answer that is not there, keeping each as it comes.

        Raises:
            ExpertError: the teacher gives no answer; those before are kept.
            ResourceError: the file cannot be written.
        """
        wanted = {fingerprint(question(e)): question(e) for e in asked}
        missing = [(key, text) for key, text in wanted.items() if key not in self.known]
        progress(len(wanted) - len(missing), len(wanted))
        with self._appending() as keep, ThreadPoolExecutor(teacher.parallel) as pool:
            try:
                for key, answer in answered(missing, teacher, pool):
                    self.known[key] = answer
                    keep(json.dumps({"question": key, "answer": answer}) + "\n")
                    progress(sum(k in self.known for k in wanted), len(wanted))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    @contextmanager
    def _appending(self) -> Iterator[Callable[[str], object]]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", buffering=1) as file:
                yield file.write
        except OSError as error:
            raise ResourceError(
                f"The teacher's answers cannot be kept in {self.path}.",
                f"{error.strerror or error}.",
                "Free some disk space and run the same command again to go on.",
            ) from error


def answered(
    questions: list[tuple[str, tuple[Message, ...]]], teacher: Teacher, pool: ThreadPoolExecutor
) -> Iterator[tuple[str, str | None]]:
    """Yield the answers as they come, with no more questions under way than need be."""
    waiting = iter(questions)
    step = AHEAD * teacher.parallel
    while batch := list(islice(waiting, step)):
        futures = {pool.submit(teacher.answer, text): key for key, text in batch}
        for future in as_completed(futures):
            yield futures[future], future.result()


def question(example: Example) -> tuple[Message, ...]:
    """Return a conversation up to its last question."""
    made = [Message("system", example.system)] if example.system else []
    for turn in example.turns[:-1]:
        made += [Message("user", turn.prompt.strip()), Message("assistant", turn.answer.strip())]
    return (*made, Message("user", example.turns[-1].prompt.strip()))


def fingerprint(value: object) -> str:
    """Return a short hash of something by its representation."""
    return sha256(repr(value).encode()).hexdigest()[:24]


def questions(recipe: Recipe, data: TaskData) -> Iterator[Example]:
    """Yield the conversations of a recipe's tasks that may be learnt from."""
    for task, settings in recipe.tasks.items():
        drawn = data.examples(task, range(settings.variants))
        yield from islice((e for e in drawn if not held_out(e)), recipe.data.limit or None)


def load_answered(
    recipe: Recipe, base: Base, data: TaskData, run: Path, progress: Progress, teacher: Teacher
) -> Dataset:
    """Return the sequences of a recipe with the teacher's answers, asking for them first.

    Raises:
        ExpertError: as for `load_dataset`, or the teacher gives no answer.
    """
    answers = Answers(run, teacher.name)
    answers.gather(questions(recipe, data), teacher, progress)
    kept = fingerprint(sorted(answers.known.items()))
    return load_dataset(recipe, base, data, run, progress, (answers.of, kept))


def sequence_level(teacher: Teacher) -> Method:
    """Return the method that learns from a teacher's answers."""
    return Method("distillation of answers", partial(load_answered, teacher=teacher))
