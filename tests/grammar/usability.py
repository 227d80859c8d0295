"""Measures how often answers under a schema come to a valid end within a limit of tokens."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from expert.errors import ExpertError
from expert.grammar.schema import verify
from expert.grammar.schema.reader import read_schema

Generate: TypeAlias = Callable[[Any, int, int], str | None]
"""Given a schema, a seed and a limit of tokens, returns a whole answer; None if it was cut."""
LIMIT = 512  # tokens
NEEDED = 0.95  # of the seeds, for a schema to be usable


@dataclass(frozen=True, slots=True)
class Usability:
    """How the answers under one schema ended."""

    name: str
    valid: int
    ends: Counter[str]
    """By what became of it: valid, cut, or the error's own words."""

    @property
    def usable(self) -> bool:
        """Whether enough answers are valid."""
        return self.valid >= NEEDED * self.ends.total()


def measure(
    rows: Iterable[dict[str, Any]], generate: Generate, seeds: Iterable[int], limit: int = LIMIT
) -> list[Usability]:
    """Generate an answer for each schema and seed, and judge each that is whole once more.

    Raises:
        ContractError: an answer that was called whole breaks its schema.
    """
    found = []
    for row in rows:
        document, ends = read_schema(row["schema"]), Counter[str]()
        for seed in seeds:
            try:
                text = generate(row["schema"], seed, limit)
            except ExpertError as error:
                ends[error.what] += 1
                continue
            if text is not None:
                verify(document, text)
            ends["cut" if text is None else "valid"] += 1
        found.append(Usability(row["name"], ends["valid"], ends))
    return found
