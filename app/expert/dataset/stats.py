"""What is in a data set, counted in one reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from expert.dataset.dedupe import fingerprint
from expert.dataset.rows import Row

Progress = Callable[[int, int], None]
CountTokens = Callable[[str], int]


@dataclass
class Lengths:
    """How long texts are: the number of texts by length."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, length: int) -> None:
        """Count one text."""
        self.counts[length] += 1

    def at(self, share: float) -> int:
        """Return the length that *share* of the texts do not exceed."""
        wanted, seen = share * self.counts.total(), 0
        for length in sorted(self.counts):
            seen += self.counts[length]
            if seen >= wanted:
                return length
        return 0

    def summary(self) -> dict[str, float]:
        """Return the mean and the percentiles."""
        total = self.counts.total() or 1
        mean = sum(length * count for length, count in self.counts.items()) / total
        shares = {"least": 0.0, "median": 0.5, "p95": 0.95, "most": 1.0}
        return {"mean": round(mean, 1), **{name: self.at(share) for name, share in shares.items()}}


@dataclass
class Stats:
    """The counts of a data set."""

    rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    turns: Counter[int] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    groups: int = 0
    prompts: int = 0
    """Different ones, whatever their case and spacing; so are the answers."""
    answers: int = 0
    duplicates: int = 0
    lengths: dict[str, dict[str, float]] = field(default_factory=dict)
    """In characters, and of whole rows in tokens if they were counted."""
    skipped: int = 0


def stats(
    rows: Iterable[Row],
    count_tokens: CountTokens | None = None,
    progress: Progress = lambda done, total: None,
) -> Stats:
    """Count rows; memory grows by a few bytes a different row."""
    found = Stats()
    lengths = {"prompt": Lengths(), "answer": Lengths(), "text": Lengths(), "tokens": Lengths()}
    seen: dict[str, set[bytes]] = {name: set() for name in ("prompt", "answer", "all", "group")}
    for row in rows:
        found.rows += 1
        found.kinds[row.kind] += 1
        found.fields.update(row.fields().keys())
        found.turns[0 if row.text is not None else 1 + len(row.history)] += 1
        if row.text is None:
            lengths["prompt"].add(len(row.prompt))
            lengths["answer"].add(len(row.answer))
            seen["prompt"].add(fingerprint(row.asked))
            seen["answer"].add(fingerprint(row.answer))
        else:
            lengths["text"].add(len(row.text))
        if count_tokens is not None:
            lengths["tokens"].add(count_tokens(row.content))
        seen["all"].add(fingerprint(row.content))
        if row.group:
            seen["group"].add(fingerprint(row.group))
        progress(found.rows, 0)
    found.duplicates = found.rows - len(seen["all"])
    found.prompts, found.answers = len(seen["prompt"]), len(seen["answer"])
    found.groups = len(seen["group"])
    found.lengths = {name: one.summary() for name, one in lengths.items() if one.counts}
    return found
