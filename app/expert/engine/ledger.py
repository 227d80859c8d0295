"""The KV ledger: for every sequence, which tokens are in the cache and what computed them.

llama.cpp invalidates nothing when adapters change: KV made under one set and read under another is
silently wrong. So a position may be reused only for the same token under the same set.
"""

from collections.abc import Sequence

from expert.engine.adapter_set import BASE, AdapterSet, Run, run_end, set_at


class Ledger:
    """What one sequence of a context holds: its tokens, and runs of them under one adapter set."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._runs: list[Run] = []  # neighbours differ, none is empty

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The positions grouped by what computed them."""
        return tuple(self._runs)

    def shared(self, tokens: Sequence[int], runs: Sequence[Run]) -> int:
        """Return how many leading positions hold *tokens* computed under *runs*."""
        same = _common_prefix(self.tokens, tokens)
        position = 0
        while position < same:
            if set_at(self._runs, position) != set_at(runs, position):
                return position
            position = min(run_end(self._runs, position) or same, run_end(runs, position) or same)
        return same

    def append(self, tokens: Sequence[int], adapters: AdapterSet) -> None:
        """Record that *tokens* were computed under *adapters*, after what is there."""
        if not tokens:
            return
        if not self._runs or self._runs[-1].adapters != adapters:
            self._runs.append(Run(len(self.tokens), adapters))
        self.tokens += tokens

    def truncate(self, size: int) -> None:
        """Keep the first *size* positions."""
        del self.tokens[size:]
        while self._runs and self._runs[-1].start >= size:
            self._runs.pop()

    def drop(self, start: int, end: int) -> None:
        """Remove the positions from *start* up to *end*; what follows moves down."""
        rest, runs = self.tokens[end:], self._runs[:]
        self.truncate(start)
        position = 0
        while position < len(rest):
            stop = (run_end(runs, end + position) or end + len(rest)) - end
            self.append(rest[position:stop], set_at(runs, end + position))
            position = stop

    def base_prefix(self) -> int:
        """Return how many leading positions the base itself computed."""
        return next((run.start for run in self._runs if run.adapters != BASE), len(self.tokens))


def _common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many leading tokens are equal."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
