"""Everything that is wrong with a data set, row by row, each with its line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from expert.dataset.dedupe import fingerprint
from expert.dataset.files import plain_suffix
from expert.dataset.reading import Place, Source, places
from expert.dataset.rows import Row
from expert.dataset.tasks import Checker
from expert.dataset.writing import row_file

Progress = Callable[[int, int], None]
LISTED = 20
"""Errors, and as many warnings, that are named one by one."""
ERRORS = ("row", "task", "length")
"""Kinds that make a row unusable; of others a person should know."""
_GARBLED = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€|Â[\u00a0-\u00bf]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection)."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    line: int
    kind: str
    text: str

    @property
    def error(self) -> bool:
        """Whether the row cannot be used."""
        return self.kind in ERRORS


@dataclass
class Checked:
    """What was found."""

    rows: int = 0
    good: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    errors: list[Problem] = field(default_factory=list)
    """The first of them; so are the warnings."""
    warnings: list[Problem] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        """Count a problem."""
        self.kinds[problem.kind] += 1
        named = self.errors if problem.error else self.warnings
        if len(named) < LISTED:
            named.append(problem)


@dataclass(frozen=True)
class Rules:
    """What is checked beside the form of a row."""

    task: Checker | None = None
    longest: int = 0
    """Characters of a row; 0: any number."""


def check(
    source: Source,
    rules: Rules,
    target: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> Checked:
    """Check every row; with *target*, write those that can be used.

    Raises:
        ResourceError: the target cannot be written.
        ExpertError: as `places` does, for a file that is damaged as a whole.
    """
    found = Checked()
    notice = _Notices(is_table=plain_suffix(source.path) in (".csv", ".tsv"))
    with ExitStack() as stack:
        write = stack.enter_context(row_file(target)) if target else None
        for place in places(source):
            found.rows += 1
            problems = [*_errors(place, rules)]
            if place.row is not None and not problems:
                found.good += 1
                problems = notice(place.number, place.row)
                if write is not None:
                    write(place.row)
            for problem in problems:
                found.add(problem)
            progress(found.rows, 0)
    return found


def _errors(place: Place, rules: Rules) -> list[Problem]:
    if place.row is None:
        return [Problem(place.number, "row", place.problem)]
    length = len(place.row.content)
    if rules.longest and length > rules.longest:
        return [Problem(place.number, "length", f"it has {length:,} characters")]
    if rules.task is not None and (why := rules.task(place.row)):
        return [Problem(place.number, "task", why)]
    return []


class _Notices:
    """Finds what a person should know of, over all rows."""

    def __init__(self, *, is_table: bool) -> None:
        self._is_table = is_table
        self._answers: dict[bytes, tuple[int, bytes]] = {}

    def __call__(self, line: int, row: Row) -> list[Problem]:
        found = []
        if _GARBLED.search(row.content):
            found.append(Problem(line, "garbled", "its text looks as if wrongly decoded"))
        if self._is_table and (cell := _formula(row)):
            found.append(Problem(line, "formula", f"a spreadsheet would run the cell {cell!r}"))
        asked, answer = fingerprint(row.text or row.asked), fingerprint(row.answer)
        first, earlier = self._answers.setdefault(asked, (line, answer))
        if first != line:
            kind = "duplicate" if earlier == answer else "contradiction"
            what = "says the same" if earlier == answer else "asks the same, answered otherwise,"
            found.append(Problem(line, kind, f"it {what} as line {first}"))
        return found


def _formula(row: Row) -> str:
    values = [str(value) for value in row.fields().values()]
    return next((value[:40] for value in values if value.startswith(_FORMULA)), "")
