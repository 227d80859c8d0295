"""What can stand at the same place of a text: the rows of a grammar of lexemes."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from expert.grammar.form import Lexeme, Node, Reference
from expert.grammar.positions import Part, Positions, TooLarge, bits

_LEAVES = 40_000
_PAIRS = 500_000  # lexemes compared at one place


@dataclass(frozen=True)
class Rows:
    """Leaves of all rules, and sets of them as bits: an over-estimate of what follows what."""

    leaves: list[Node]
    start: int
    """The leaves an answer can begin with."""
    after: list[int]
    """By leaf: the leaves that can come next."""

    def lexemes(self, row: int) -> list[tuple[int, str]]:
        """Return the lexemes in *row*, each with its leaf."""
        leaves = ((index, self.leaves[index]) for index in bits(row))
        return [(index, leaf.expression) for index, leaf in leaves if isinstance(leaf, Lexeme)]


def rows_of(
    rules: dict[str, Node],
    root: str,
    empty_rules: Collection[str],
    meet: Callable[[str, str], bool],
) -> Rows:
    """Return the rows of a grammar whose leaves are lexemes, tokens and references.

    *meet* tells whether a text matches two lexemes.

    Raises:
        TooLarge: the grammar has more leaves than are worth analysing.
    """
    positions = Positions(lambda leaf: _is_empty(leaf, empty_rules), limit=_LEAVES)
    parts = {name: positions.build(node) for name, node in rules.items()}
    calls = _Calls(positions, parts)
    return _unite(positions.leaves, calls.expand(parts[root].first), calls.after(), meet)


def _is_empty(leaf: Node, empty_rules: Collection[str]) -> bool:
    return isinstance(leaf, Reference) and leaf.name in empty_rules


class _Calls:
    """Replaces references by what the rules they call begin with, and returns to every caller."""

    def __init__(self, positions: Positions, parts: dict[str, Part]) -> None:
        self._positions = positions
        self._parts = parts
        self._callers: dict[str, list[int]] = {name: [] for name in parts}
        for index, leaf in enumerate(positions.leaves):
            if isinstance(leaf, Reference):
                self._callers[leaf.name].append(index)
        self._references = sum(1 << index for calls in self._callers.values() for index in calls)
        self._firsts = self._all_firsts()
        self._expanded: dict[int, int] = {}

    def expand(self, members: int) -> int:
        """Replace the references in a set by the leaves their rules begin with."""
        found = self._expanded.get(members)
        if found is None:
            found = members & ~self._references
            for index in bits(members & self._references):
                found |= self._firsts[self._name(index)]
            self._expanded[members] = found
        return found

    def _name(self, index: int) -> str:
        leaf = self._positions.leaves[index]
        assert isinstance(leaf, Reference)
        return leaf.name

    def _all_firsts(self) -> dict[str, int]:
        firsts = {name: part.first & ~self._references for name, part in self._parts.items()}
        users: dict[str, set[str]] = {name: set() for name in self._parts}
        for name, part in self._parts.items():
            for index in bits(part.first & self._references):
                users[self._name(index)].add(name)
        pending = list(self._parts)
        while pending:
            name = pending.pop()
            for user in users[name]:
                if firsts[user] | firsts[name] != firsts[user]:
                    firsts[user] |= firsts[name]
                    pending.append(user)
        return firsts

    def after(self) -> list[int]:
        """Return by leaf what can come next, in its rule or in the callers of its rule."""
        following = [self.expand(members) for members in self._positions.follow]
        ends: dict[str, int] = dict.fromkeys(self._parts, 0)
        pending = list(self._parts)
        while pending:
            name = pending.pop()
            new = 0
            for index in self._callers[name]:
                new |= following[index]
            if new | ends[name] == ends[name]:
                continue
            ends[name] |= new
            for index in bits(self._parts[name].last):
                following[index] |= ends[name]
                if self._references >> index & 1:
                    pending.append(self._name(index))
        return following


def _unite(
    leaves: list[Node], start: int, after: list[int], meet: Callable[[str, str], bool]
) -> Rows:
    """Give leaves that the same text can match at the same place the same row after them."""
    groups = list(range(len(leaves)))

    def group(index: int) -> int:
        while groups[index] != index:
            groups[index] = index = groups[groups[index]]
        return index

    meetings = _Meetings(leaves, meet)
    seen = set[int]()
    first = len(leaves)
    pending = deque([first, *range(len(leaves))])
    while pending:
        place = pending.popleft()
        row = start if place == first else after[group(place)]
        if row in seen:
            continue
        seen.add(row)
        for left, right in meetings.pairs(row):
            one, other = group(left), group(right)
            if one != other:
                groups[other] = one
                after[one] |= after[other]
                pending.append(one)
    return Rows(leaves, start, [after[group(index)] for index in range(len(leaves))])


class _Meetings:
    """Which leaves a text can match both; lexemes are numbered, sets of them are bits."""

    def __init__(self, leaves: list[Node], meet: Callable[[str, str], bool]) -> None:
        self._meet = meet
        self._numbers: dict[str, int] = {}
        self._lexemes: list[str] = []
        self._of: list[int] = [self._number(leaf) for leaf in leaves]
        """By leaf: the number of its lexeme; -1 if it is none."""
        self._compared = [0] * len(self._lexemes)
        self._met = [0] * len(self._lexemes)

    def _number(self, leaf: Node) -> int:
        if not isinstance(leaf, Lexeme):
            return -1
        number = self._numbers.setdefault(leaf.expression, len(self._lexemes))
        if number == len(self._lexemes):
            self._lexemes.append(leaf.expression)
        return number

    def pairs(self, row: int) -> list[tuple[int, int]]:
        """Return pairs of leaves in *row* that a text can match both, enough to connect all such.

        Raises:
            TooLarge: there are more pairs than are worth comparing.
        """
        first_of: dict[int, int] = {}
        pairs = []
        seen = 0
        for index in bits(row):
            lexeme = self._of[index]
            if lexeme < 0:
                continue
            if lexeme in first_of:
                pairs.append((first_of[lexeme], index))
                continue
            pairs += [(first_of[other], index) for other in bits(self._meeting(lexeme, seen))]
            first_of[lexeme] = index
            seen |= 1 << lexeme
            if len(first_of) * (len(first_of) - 1) // 2 > _PAIRS:
                raise TooLarge
        return pairs

    def _meeting(self, lexeme: int, others: int) -> int:
        """Return which of the *others* a text can match together with *lexeme*."""
        for other in bits(others & ~self._compared[lexeme]):
            if self._meet(self._lexemes[other], self._lexemes[lexeme]):
                self._met[lexeme] |= 1 << other
                self._met[other] |= 1 << lexeme
            self._compared[other] |= 1 << lexeme
        self._compared[lexeme] |= others
        return self._met[lexeme] & others
