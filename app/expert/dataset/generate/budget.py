"""Tokens and money: what was spent, what is under way, and what the limits leave."""

from __future__ import annotations

from dataclasses import dataclass

from expert.dataset.generate.plan import Price


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens sent and received."""

    sent: int = 0
    received: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.sent + other.sent, self.received + other.received)

    @property
    def total(self) -> int:
        return self.sent + self.received


@dataclass(frozen=True)
class Limits:
    """The most that may be spent; None: no limit."""

    money: float | None = None
    tokens: int | None = None


class Meter:
    """Counts, and lets a request begin only if even its most would stay within the limits."""

    def __init__(self, price: Price, limits: Limits) -> None:
        self._price, self._limits = price, limits
        self.spent = Usage()
        self._open: dict[int, Usage] = {}

    @property
    def cost(self) -> float:
        """Money spent."""
        return self._price.of(self.spent.sent, self.spent.received)

    def begin(self, number: int, most: Usage) -> bool:
        """Reserve what a request may use at most; False if the limits do not leave so much."""
        planned = sum(self._open.values(), self.spent + most)
        money = self._price.of(planned.sent, planned.received)
        if self._limits.money is not None and money > self._limits.money:
            return False
        if self._limits.tokens is not None and planned.total > self._limits.tokens:
            return False
        self._open[number] = most
        return True

    def end(self, number: int, used: Usage | None) -> Usage:
        """Count what a request used; where nobody said, the most it can have."""
        most = self._open.pop(number)
        counted = most if used is None else used
        self.spent += counted
        return counted
