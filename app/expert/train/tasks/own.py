"""A person's own rows as a task: files that `expert dataset` writes, or any form that it reads.

Held-out rows are a file of their own, cut by `expert dataset split`; a question that is in both
files would make every figure too good, so it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from expert.dataset.formats import text_of
from expert.dataset.reading import Place, places
from expert.dataset.reading import Source as File
from expert.dataset.rows import Row, digest
from expert.errors import VerificationError
from expert.train.examples import Example, Source, Turn

KINDS = {"text": "it is plain text", "preference": "it holds two answers, for `expert train dpo`"}
"""What rows are that no single answer can be learnt from."""


@dataclass(frozen=True)
class OwnRows:
    """Builds the examples of one task; each file is read once, whole."""

    task: str
    training: Path
    heldout: Path | None = None
    form: str = ""
    """The option of a request that a row's `schema` becomes; empty: none."""
    problem: Callable[[Row], str] = lambda row: ""
    """Tells why a row's answer cannot be judged; empty where it can."""

    def __call__(self, source: Source) -> Iterator[Example]:
        """Yield the training rows, then the held-out ones.

        Raises:
            NotFoundError: a file is missing, or empty.
            VerificationError: a row cannot be used, or is in both files.
        """
        training, heldout = self.rows
        yield from (self._example(row, held_out=False) for row in training)
        yield from (self._example(row, held_out=True) for row in heldout)

    @property
    def fingerprint(self) -> str:
        """A hash of the rows."""
        total = sha256()
        for part in self.rows:
            for row in part:
                total.update(row.line())
            total.update(b"\n")
        return total.hexdigest()

    @cached_property
    def rows(self) -> tuple[list[Row], list[Row]]:
        """The training rows and the held-out ones."""
        asked: dict[str, int] = {}
        training, heldout = [], []
        for number, row in self._read(self.training):
            asked.setdefault(digest(row.asked), number)
            training.append(row)
        for number, row in self._read(self.heldout) if self.heldout else ():
            if (first := asked.get(digest(row.asked))) is not None:
                raise VerificationError(
                    f"Line {number} of {self.heldout} is trained on as well.",
                    f"Line {first} of {self.training} asks the same: {row.prompt[:60]!r}.",
                    "Cut the rows with `expert dataset split`, which keeps equal ones together.",
                )
            heldout.append(row)
        return training, heldout

    def _read(self, path: Path) -> Iterator[tuple[int, Row]]:
        for place in places(File(path)):
            problem = self._problem(place)
            if place.row is None or problem:
                raise VerificationError(
                    f"Line {place.number} of {path} is no row that can be learnt from.",
                    f"{problem[:1].upper()}{problem[1:]}.".replace("..", "."),
                    "Correct it; `expert dataset validate` lists all that are none, and `expert "
                    "dataset convert --skip-bad` leaves them out.",
                )
            yield place.number, place.row

    def _problem(self, place: Place) -> str:
        if place.row is None:
            return place.problem
        return KINDS.get(place.row.kind, "") or self.problem(place.row)

    def _example(self, row: Row, *, held_out: bool) -> Example:
        schema = text_of(row.extra.get("schema"), "schema") if self.form else ""
        turns = (*(Turn(*turn) for turn in row.history), Turn(row.prompt, row.answer))
        return Example(
            self.task, row.key, turns, row.system,
            judged=len(row.history), held_out=held_out,
            form=(self.form, schema) if schema else None,
        )  # fmt: skip
