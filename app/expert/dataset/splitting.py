"""Parts of a data set, whole groups in one part, decided by hash as in `expert.train.split`.

A group's part depends on its name and the seed alone: adding rows moves no other, and a row can be
asked about on another machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

from expert.dataset.formats import text_of
from expert.dataset.reading import Skipped, Source, read_rows
from expert.dataset.rows import Row
from expert.dataset.writing import row_file
from expert.errors import NotFoundError, UsageError
from expert.package.output import new_folder

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Parts:
    """Names of parts with their shares of the groups."""

    shares: Mapping[str, float]
    by: str = ""
    """The field that names a row's group; empty: `group`, else what the row asks."""
    seed: str = ""

    def group(self, row: Row) -> str:
        """Return the group of a row.

        Raises:
            UsageError: it lacks the field.
        """
        if not self.by:
            return row.key
        value = row.fields().get(self.by)
        if value is None:
            raise UsageError(
                f"A row has no field {self.by!r}.",
                f"It has {', '.join(row.fields())}.",
                "Name a field that every row has with --by.",
            )
        return text_of(value, self.by)

    def part(self, group: str) -> str:
        """Return the part of a group."""
        names, ends = list(self.shares), list(accumulate(self.shares.values()))
        place = int(sha256(f"{self.seed}\0{group}".encode()).hexdigest()[:13], 16) / 16**13
        return names[bisect_right(ends, place * ends[-1])]


@dataclass
class Split:
    """What went where."""

    rows: dict[str, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    skipped: int = 0


def split(
    source: Source,
    target: Path,
    parts: Parts,
    skipped: Skipped | None = None,
    progress: Progress = lambda done, total: None,
) -> Split:
    """Write a folder with one `PART.jsonl.zst` for each part.

    Raises:
        UsageError: the folder exists, or a row lacks the field of the groups.
        NotFoundError: a part would have no row.
        ResourceError: the folder cannot be written.
        ExpertError: as `read_rows` does.
    """
    done = Split(dict.fromkeys(parts.shares, 0), dict.fromkeys(parts.shares, 0))
    seen: set[bytes] = set()
    with new_folder(target) as folder, ExitStack() as stack:
        writers = {
            name: stack.enter_context(row_file(folder / f"{name}.jsonl.zst"))
            for name in parts.shares
        }
        for number, row in enumerate(read_rows(source, skipped)):
            group = parts.group(row)
            part = parts.part(group)
            mark = sha256(group.encode()).digest()[:8]
            done.groups[part] += mark not in seen
            seen.add(mark)
            done.rows[part] += 1
            writers[part](row)
            progress(number + 1, 0)
        stack.close()
        if empty := [name for name, count in done.rows.items() if not count]:
            raise NotFoundError(
                f"There would be no row in {', '.join(empty)}.",
                f"All rows are of {sum(done.groups.values())} groups.",
                "Give more groups, larger shares, or another field with --by.",
            )
    done.skipped = skipped.count if skipped else 0
    return done
