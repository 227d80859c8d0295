"""The KV ledger: for every sequence, which tokens are in the cache and what computed them.

llama.cpp invalidates nothing when adapters change: KV made under one set and read under another is
silently wrong. So a position may be reused only for the same token under the same set.
"""

from collections.abc import Sequence
from itertools import groupby

from expert.engine.adapter_set import BASE, AdapterSet, Run, run_end, set_at


class Ledger:
    """What one sequence of a context holds, position by position."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._sets: list[AdapterSet] = []

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The positions grouped by what computed them."""
        runs = []
        start = 0
        for adapters, positions in groupby(self._sets):
            runs.append(Run(start, adapters))
            start += sum(1 for _ in positions)
        return tuple(runs)

    def shared(self, tokens: Sequence[int], runs: Sequence[Run]) -> int:
        """Return how many leading positions hold *tokens* computed under *runs*."""
        position = 0
        limit = min(len(self.tokens), len(tokens))
        while position < limit:
            wanted = set_at(runs, position)
            end = min(run_end(runs, position) or limit, limit)
            while position < end:
                if self.tokens[position] != tokens[position] or self._sets[position] != wanted:
                    return position
                position += 1
        return position

    def append(self, tokens: Sequence[int], adapters: AdapterSet) -> None:
        """Record that *tokens* were computed under *adapters*, after what is there."""
        self.tokens += tokens
        self._sets += [adapters] * len(tokens)

    def truncate(self, size: int) -> None:
        """Keep the first *size* positions."""
        del self.tokens[size:]
        del self._sets[size:]

    def drop(self, start: int, end: int) -> None:
        """Remove the positions from *start* up to *end*; what follows moves down."""
        del self.tokens[start:end]
        del self._sets[start:end]

    def base_prefix(self) -> int:
        """Return how many leading positions the base itself computed."""
        for position, adapters in enumerate(self._sets):
            if adapters != BASE:
                return position
        return len(self._sets)
