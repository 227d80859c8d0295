"""What has been asked and what came of it, on disk at once: a killed run goes on from there.

One JSON object a line. A request is written before it is sent, so that what was under way at a kill
counts as spent; the last line may be torn, any other is whole.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from expert.closing import Closing
from expert.dataset.formats import to_row
from expert.dataset.generate.budget import Usage
from expert.dataset.rows import Row
from expert.errors import ResourceError, UsageError, VerificationError


@dataclass
class Done:
    """What a journal holds."""

    rows: dict[int, list[Row]] = field(default_factory=dict)
    """Kept rows by the number of their request."""
    used: Usage = Usage()
    refused: Counter[str] = field(default_factory=Counter)
    begun: set[int] = field(default_factory=set)
    """Requests without a reply."""
    next: int = 0
    """The first number that was never used."""

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.rows.values()))

    def ordered(self) -> list[Row]:
        """Return the rows in the order of their requests."""
        return [row for number in sorted(self.rows) for row in self.rows[number]]


def journal_of(target: Path) -> Path:
    """Return where the journal of a data set is while it is being made."""
    return target.with_name(f"{target.name}.partial")


class Journal(Closing):
    """The journal of one run, open for writing. Close it, or use it with `with`.

    Raises:
        UsageError: it is another plan's.
        VerificationError: it is damaged.
        ResourceError: it cannot be written.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.done = Done()
        try:
            end = self._read(identity)
            self._file: BinaryIO = path.open("r+b" if path.exists() else "x+b")
            self._file.truncate(end)
            self._file.seek(end)
        except OSError as error:
            raise self._cannot_write(error) from error
        if end == 0:
            self._write({"plan": identity})

    def _read(self, identity: str) -> int:
        """Read what is there, and return where the last whole line ends."""
        if not self.path.exists():
            return 0
        end = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break  # torn by a kill or a full disk
                try:
                    self._take(json.loads(line), identity)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise VerificationError(
                        f"Line {number} of {self.path} is damaged.",
                        f"{error}.",
                        "Move the file away to begin anew.",
                    ) from error
                end += len(line)
        return end

    def _take(self, record: dict[str, Any], identity: str) -> None:
        done = self.done
        if "plan" in record:
            if record["plan"] != identity:
                raise UsageError(
                    f"{self.path} belongs to another plan.",
                    "The plan, its seeds or its schema have changed since.",
                    "Choose another output, or move that file away.",
                )
        elif "begun" in record:
            done.begun.add(int(record["begun"]))
            done.next = max(done.next, int(record["begun"]) + 1)
        else:
            number = int(record["done"])
            done.begun.discard(number)
            done.rows[number] = [to_row("rows", fields) for fields in record["rows"]]
            done.used += Usage(*map(int, record["used"]))
            done.refused.update(record["refused"])

    def begin(self, number: int) -> None:
        """Write that a request is about to be sent."""
        self._write({"begun": number})

    def end(self, number: int, rows: list[Row], used: Usage, refused: Counter[str]) -> None:
        """Write what came of a request."""
        self.done.rows[number] = rows
        self.done.used += used
        self.done.refused.update(refused)
        fields = [row.fields() for row in rows]
        usage = [used.sent, used.received]
        self._write({"done": number, "used": usage, "refused": refused, "rows": fields})

    def _write(self, record: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> ResourceError:
        return ResourceError(
            f"Cannot write {self.path}.",
            f"{error.strerror or error}.",
            "Free some disk space, and run the same command again to go on.",
        )

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:  # what was buffered of a line that failed
            raise self._cannot_write(error) from error

    def remove(self) -> None:
        """Remove the file, once the data set is written."""
        self.close()
        self.path.unlink(missing_ok=True)
