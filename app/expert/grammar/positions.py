"""Glushkov's positions: which leaf of an expression can come first, last, and after which.

Source: Glushkov 1961, "The abstract theory of automata"; sets of positions are bits of an int.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from expert.grammar import chars, form
from expert.grammar.form import Chars, Choice, Node, Repeat, Text


class TooLarge(Exception):
    """The expression has more positions than are worth analysing."""


@dataclass(frozen=True, slots=True)
class Part:
    """The positions a part can start and end with, and whether it can be empty."""

    first: int
    last: int
    empty: bool


NOTHING = Part(0, 0, True)


def bits(members: int) -> Iterator[int]:
    """Yield the positions of a set, ascending."""
    while members:
        lowest = members & -members
        yield lowest.bit_length() - 1
        members ^= lowest


class Positions:
    """The positions of one or more expressions, numbered in one row.

    Repetitions keep their count while they have at most *unrolled* positions in all; above,
    they become loops, and the expression matches more.
    """

    def __init__(
        self, empty_leaf: Callable[[Node], bool], *, unrolled: int = 0, limit: int
    ) -> None:
        self.leaves: list[Node] = []
        self.follow: list[int] = []
        self._empty_leaf = empty_leaf
        self._unrolled = unrolled
        self._limit = limit

    def build(self, node: Node) -> Part:
        """Add the positions of *node*.

        Raises:
            TooLarge: there are more positions than the limit.
        """
        match node:
            case Text(text):
                return self._row([Chars(chars.of(char)) for char in text])
            case form.Sequence(parts):
                return self._row(parts)
            case Choice(options):
                return _either([self.build(option) for option in options])
            case Repeat(item, least, most):
                return self._repeat(item, least, most)
            case _:
                return self._leaf(node)

    def after(self, members: int) -> int:
        """Return the positions that can follow one of a set."""
        found = 0
        for position in bits(members):
            found |= self.follow[position]
        return found

    def _leaf(self, node: Node) -> Part:
        if len(self.leaves) >= self._limit:
            raise TooLarge
        bit = 1 << len(self.leaves)
        self.leaves.append(node)
        self.follow.append(0)
        return Part(bit, bit, self._empty_leaf(node))

    def _row(self, nodes: Sequence[Node]) -> Part:
        whole = NOTHING
        for node in nodes:
            whole = self._join(whole, self.build(node))
        return whole

    def _join(self, left: Part, right: Part) -> Part:
        self._link(left.last, right.first)
        return Part(
            left.first | (right.first if left.empty else 0),
            right.last | (left.last if right.empty else 0),
            left.empty and right.empty,
        )

    def _link(self, last: int, first: int) -> None:
        for position in bits(last):
            self.follow[position] |= first

    def _repeat(self, item: Node, least: int, most: int | None) -> Part:
        start = len(self.leaves)
        whole = last_copy = self.build(item)
        copies = least if most is None else most
        if copies > 1 and copies * (len(self.leaves) - start) > self._unrolled:
            least, most, copies = min(least, 1), None, 1
        if least == 0:
            whole = last_copy = Part(whole.first, whole.last, True)
        for index in range(1, copies):
            last_copy = self.build(item)
            empty = last_copy.empty or index >= least
            last_copy = Part(last_copy.first, last_copy.last, empty)
            whole = self._join(whole, last_copy)
        if most is None:
            self._link(last_copy.last, last_copy.first)
        return NOTHING if most == 0 else whole


def _either(parts: list[Part]) -> Part:
    first = last = 0
    for part in parts:
        first |= part.first
        last |= part.last
    return Part(first, last, any(part.empty for part in parts))
