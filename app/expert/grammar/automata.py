"""Finite automata of regular nodes: what two of them have in common decides where text is cut."""

import bisect
from collections import deque
from dataclasses import dataclass
from functools import cached_property

from expert.grammar import chars
from expert.grammar.chars import Ranges
from expert.grammar.form import Chars, Choice, Node, Repeat, Sequence, Text, walk
from expert.grammar.normal import nullable
from expert.grammar.positions import Part, Positions, TooLarge

_POSITIONS = 4000
_WORK = 40_000  # positions met while determinising: about 10 ms
_UNROLLED = 64  # positions up to which a counted repetition is kept exact


@dataclass(frozen=True)
class Automaton:
    """A deterministic automaton without dead states; state 0 is the start."""

    moves: tuple[tuple[tuple[int, int, int], ...], ...]
    """By state: (first character, last character, next state), ascending."""
    accepting: tuple[bool, ...]

    @cached_property
    def firsts(self) -> Ranges:
        """The characters a match may start with."""
        return self.next_chars(0)

    def completion(self, text: str) -> str | None:
        """Return the shortest text that makes *text* a match, or None if nothing does."""
        state = self._after(text)
        if state is None:
            return None
        ways = {state: ""}
        pending = deque(ways)
        while pending:
            state = pending.popleft()
            if self.accepting[state]:
                return ways[state]
            for low, high, move in self.moves[state]:
                if move not in ways:
                    ways[move] = ways[state] + chr(min(max(low, ord("a")), high))
                    pending.append(move)
        return None

    def matches(self, text: str) -> bool:
        """Tell whether *text* is a match."""
        state = self._after(text)
        return state is not None and self.accepting[state]

    def _after(self, text: str) -> int | None:
        state = 0
        for char in text:
            point = ord(char)
            found = [move for low, high, move in self.moves[state] if low <= point <= high]
            if not found:
                return None
            state = found[0]
        return state

    def next_chars(self, state: int) -> Ranges:
        """Return the characters that lead on from *state*."""
        return chars.ranges((low, high) for low, high, _ in self.moves[state])


def compare(left: Automaton, right: Automaton) -> tuple[Ranges, bool]:
    """Return the characters with which *right* can go on after a match of *left*, and whether
    a text matches both."""
    if not chars.overlap(left.firsts, right.firsts):
        return chars.NONE, False
    seen = {(0, 0)}
    pending = deque(seen)
    onward: list[Ranges] = []
    meet = False
    while pending:
        p, q = pending.popleft()
        if left.accepting[p]:
            onward.append(right.next_chars(q))
            meet = meet or right.accepting[q]
        for pair in _common_moves(left.moves[p], right.moves[q]):
            if pair not in seen:
                seen.add(pair)
                pending.append(pair)
    return chars.union(onward), meet


def _common_moves(
    left: tuple[tuple[int, int, int], ...], right: tuple[tuple[int, int, int], ...]
) -> list[tuple[int, int]]:
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if left[i][0] <= right[j][1] and right[j][0] <= left[i][1]:
            pairs.append((left[i][2], right[j][2]))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return pairs


def determinise(node: Node) -> Automaton | None:
    """Return the automaton of what a regular *node* matches besides the empty text.

    None stands for one of too many states. It may match more: counted repetitions of larger
    parts lose their count, and of a very long expression (a list of words) only the characters
    and those at the start are kept.
    Source: Rabin and Scott 1959, "Finite automata and their decision problems".
    """
    positions = Positions(lambda _: False, unrolled=_UNROLLED, limit=_POSITIONS)
    try:
        whole = positions.build(node)
    except TooLarge:
        return _coarse(node)
    try:
        return _subsets(positions, whole)
    except TooLarge:
        return None


def _coarse(node: Node) -> Automaton:
    anywhere = chars.union(
        chars.of(one.text) if isinstance(one, Text) else one.ranges
        for one in walk(node)
        if isinstance(one, Text | Chars)
    )
    first = tuple((low, high, 1) for low, high in first_chars(node))
    return Automaton((first, tuple((low, high, 1) for low, high in anywhere)), (False, True))


def first_chars(node: Node) -> Ranges:
    """Return the characters a match of a regular *node* can start with."""
    match node:
        case Text(text):
            return chars.of(text[:1])
        case Chars(members):
            return members
        case Sequence(parts):
            found: list[Ranges] = []
            for part in parts:
                found.append(first_chars(part))
                if not nullable(part, ()):
                    break
            return chars.union(found)
        case Choice(options):
            return chars.union(map(first_chars, options))
        case Repeat(item):
            return first_chars(item)
        case _:
            return chars.NONE


def _subsets(positions: Positions, whole: Part) -> Automaton:
    symbols, where = _symbols(positions)
    start = whole.first, False
    numbers, order = {start: 0}, [start]
    moves: list[tuple[tuple[int, int, int], ...]] = []
    reached: dict[int, tuple[int, bool]] = {}
    work = 0
    for following, _ in order:  # grows while it is read
        row: list[tuple[int, int, int]] = []
        for (low, high), holders in zip(symbols, where, strict=True):
            members = following & holders
            if not members:
                continue
            work += members.bit_count()
            if members not in reached:
                reached[members] = positions.after(members), bool(members & whole.last)
            key = reached[members]
            if key not in numbers:
                numbers[key] = len(order)
                order.append(key)
            if row and row[-1][1] + 1 == low and row[-1][2] == numbers[key]:
                low = row.pop()[0]
            row.append((low, high, numbers[key]))
        if work > _WORK:
            raise TooLarge
        moves.append(tuple(row))
    return Automaton(tuple(moves), tuple(accepts for _, accepts in order))


def _symbols(positions: Positions) -> tuple[list[tuple[int, int]], list[int]]:
    """Return ranges that no position tells apart, and the positions that match each."""
    holders: dict[Ranges, int] = {}
    for index, leaf in enumerate(positions.leaves):
        if isinstance(leaf, Chars):
            holders[leaf.ranges] = holders.get(leaf.ranges, 0) | 1 << index
    symbols = chars.partition(holders)
    where = [0] * len(symbols)
    for members, indexes in holders.items():
        for low, high in members:
            start = bisect.bisect_left(symbols, (low, low))
            for place in range(start, bisect.bisect_left(symbols, (high + 1, 0), start)):
                where[place] |= indexes
    return symbols, where
