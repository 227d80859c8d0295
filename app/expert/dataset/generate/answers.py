"""From the text of a reply to rows worth keeping: found, checked, and unlike all before."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from expert.dataset.dedupe import fingerprint
from expert.dataset.formats import to_row
from expert.dataset.generate.plan import Wanted
from expert.dataset.minhash import NearIndex
from expert.dataset.rows import Row
from expert.dataset.tasks import Checker

MISTAKES = 200
"""Places where no object begins, after which the rest of a reply is given up."""
NAMES = ("prompt", "answer", "rejected")
_DECODER = json.JSONDecoder(strict=False)
"""Models write line breaks inside strings as they are."""


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a text, whatever is around them; lists of objects are opened."""
    start, mistakes = 0, 0
    while mistakes < MISTAKES and (start := text.find("{", start)) >= 0:
        try:
            value, start = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            mistakes += 1
            start += 1
            continue
        inner = [item for item in value.values() if isinstance(item, list)]
        if "prompt" not in value and inner:
            yield from (item for item in inner[0] if isinstance(item, dict))
        else:
            yield value


@dataclass
class Sieve:
    """Lets rows through that are sound, right for their task, and new."""

    wanted: Wanted
    check: Checker | None
    refused: Counter[str] = field(default_factory=Counter)
    """How many were not let through, by reason."""

    def __post_init__(self) -> None:
        self._index = NearIndex(self.wanted.near)
        self._seen: set[bytes] = set()

    def remember(self, rows: Iterable[Row]) -> None:
        """Count rows as seen: those shown to the model, and those kept before."""
        for row in rows:
            self._seen.add(fingerprint(row.asked))
            self._index.add(row.asked)

    def __call__(self, fields: dict[str, Any]) -> Row | None:
        """Return the row, or None, having counted why not."""
        try:
            return self._judged(fields)
        except ValueError as error:
            self.refused[str(error)] += 1
            return None

    def _judged(self, fields: dict[str, Any]) -> Row:
        """Return the row.

        Raises:
            ValueError: it is not let through; in a few words why.
        """
        row = to_row("rows", {name: fields[name] for name in NAMES if name in fields})
        if (row.rejected is not None) != (self.wanted.kind == "preference"):
            raise ValueError("it is no row of this kind")
        if len(row.content) > self.wanted.longest:
            raise ValueError("it is too long")
        mark = fingerprint(row.asked)
        if mark in self._seen:
            raise ValueError("its prompt was there before")
        if self.check is not None and self.check(row):
            raise ValueError(f"its answer is not right for {self.wanted.task}")
        if self._index.add(row.asked) is not None:
            raise ValueError("its prompt is nearly one that was there before")
        self._seen.add(mark)
        return row
