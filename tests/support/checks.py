"""A check beside a grammar, for tests of whatever takes one."""

from collections.abc import Iterator
from dataclasses import dataclass

from expert.grammar.constraint import Check


@dataclass(frozen=True)
class Sum:
    """Digits whose sum must be *total*: what no small grammar says."""

    total: int
    used: int = 0

    def push(self, data: bytes) -> Check | None:
        used = self.used + sum(byte - ord("0") for byte in data)
        return Sum(self.total, used) if used <= self.total else None

    def complete(self) -> bool:
        return self.used == self.total

    def suggestions(self) -> Iterator[bytes]:
        return iter(())

    def anchors(self) -> tuple[int, ...]:
        return ()
