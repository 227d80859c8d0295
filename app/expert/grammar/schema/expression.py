"""Reads regular expressions of ECMA-262 into the common form, as far as they are regular.

Anchors may stand at the ends of the whole expression or of its alternatives; look-around,
back references, word boundaries and Unicode properties are not read.
"""

import re
from functools import cache

from expert.grammar import chars
from expert.grammar.automata import Automaton, determinise
from expert.grammar.chars import Ranges
from expert.grammar.form import Chars, Node, Repeat, choice, sequence

_ANYTHING = Repeat(Chars(chars.ANY), 0, None)
_LINE_ENDS = chars.of("\n\r\u2028\u2029")
_DIGITS = chars.ranges([(0x30, 0x39)])
_WORD = chars.ranges([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
_SPACE = chars.ranges(
    [(9, 13), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)]
    + [(0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)]
)
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_DEEPEST = 40
_HEX = re.compile("[0-9A-Fa-f]{1,6}")


class NotRegularError(Exception):
    """The expression has something that the common form cannot say."""


@cache
def automaton(pattern: str) -> Automaton | None:
    """Return the automaton of the texts in which *pattern* matches somewhere, if it has one."""
    try:
        return determinise(parse_expression(pattern))
    except NotRegularError:
        return None


def parse_expression(pattern: str) -> Node:
    """Return the node of all texts in which *pattern* matches somewhere.

    Raises:
        NotRegularError: it has look-around, back references or the like.
    """
    reader = _Reader(pattern)
    node = reader.options(depth=0)
    if reader.place < len(pattern):
        raise NotRegularError
    return node


def class_members(written: str) -> Ranges | None:
    """Return the characters of a class in brackets; None if it has what is not read."""
    reader = _Reader(written)
    reader.place = 1
    try:
        return reader.set()
    except NotRegularError:
        return None


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.place = 0

    def options(self, depth: int) -> Node:
        """Read alternatives up to a closing parenthesis or the end."""
        if depth > _DEEPEST:
            raise NotRegularError
        options = [self._sequence(depth)]
        while self._peek() == "|":
            self.place += 1
            options.append(self._sequence(depth))
        return choice(*options)

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        starts = ends = depth > 0
        while (char := self._peek()) and char not in "|)":
            if char in "^$":
                self.place += 1
                if depth or ends or (char == "^" and parts):
                    raise NotRegularError
                starts, ends = starts or char == "^", char == "$"
                continue
            if ends and not depth:
                raise NotRegularError
            parts.append(self._quantified(depth))
        if not depth:
            parts = [*([] if starts else [_ANYTHING]), *parts, *([] if ends else [_ANYTHING])]
        return sequence(*parts)

    def _quantified(self, depth: int) -> Node:
        if self.pattern.startswith("(^", self.place) or self.pattern.startswith("(?:^", self.place):
            raise NotRegularError
        node = self._item(depth)
        while (bounds := self._bounds()) is not None:
            least, most = bounds
            if most is not None and most < least:
                raise NotRegularError
            node = Repeat(node, least, most)
            if self._peek() == "?":
                self.place += 1
        return node

    def _bounds(self) -> tuple[int, int | None] | None:
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        char = self._peek()
        if char in simple:
            self.place += 1
            return simple[char]
        if char != "{":
            return None
        end = self.pattern.find("}", self.place)
        low, comma, high = self.pattern[self.place + 1 : end].partition(",")
        if end < 0 or not low.isdecimal() or (high and not high.isdecimal()):
            raise NotRegularError
        self.place = end + 1
        return int(low), (int(high) if high else None) if comma else int(low)

    def _item(self, depth: int) -> Node:
        char = self._peek()
        self.place += 1
        if char == "(":
            return self._group(depth)
        if char == "[":
            return Chars(self.set())
        if char == ".":
            return Chars(chars.complement(_LINE_ENDS))
        if char == "\\":
            return Chars(_ranges(self._escape()))
        if char in "*+?{":
            raise NotRegularError
        return Chars(chars.of(char))

    def _group(self, depth: int) -> Node:
        if self._peek() == "?":
            if self._peek(1) == ":":
                self.place += 2
            elif self._peek(1) == "<" and self._peek(2) not in "=!":
                self.place = self._find(">") + 1
            else:
                raise NotRegularError
        node = self.options(depth + 1)
        if self._peek() != ")":
            raise NotRegularError
        self.place += 1
        return node

    def set(self) -> Ranges:
        """Read the members of a class, whose bracket is open, up to its end."""
        inverse = self._peek() == "^"
        self.place += inverse
        members: list[Ranges] = []
        while self._peek() != "]":
            low = self._member()
            if isinstance(low, int) and self._peek() == "-" and self._peek(1) not in ("]", ""):
                self.place += 1
                high = self._member()
                if not isinstance(high, int):
                    raise NotRegularError
                members.append(chars.ranges([(low, high)]))
            else:
                members.append(_ranges(low))
        self.place += 1
        found = chars.union(members)
        return chars.complement(found) if inverse else found

    def _member(self) -> int | Ranges:
        char = self._peek()
        if not char:
            raise NotRegularError
        self.place += 1
        if char != "\\":
            return ord(char)
        if self._peek() == "b":
            self.place += 1
            return ord("\b")
        return self._escape()

    def _escape(self) -> int | Ranges:
        """Return the character that an escape stands for, or the class."""
        kind = self._peek()
        self.place += 1
        if kind.lower() in _CLASSES:
            members = _CLASSES[kind.lower()]
            return chars.complement(members) if kind.isupper() else members
        if kind in _CONTROLS:
            return _CONTROLS[kind]
        if kind in ("x", "u"):
            return self._hex(kind)
        if not kind or kind.isalnum():
            raise NotRegularError
        return ord(kind)

    def _hex(self, kind: str) -> int:
        braces = self._peek() == "{"
        size = 2 if kind == "x" else 4
        start = self.place + braces
        end = self._find("}") if braces else start + size
        digits = self.pattern[start:end]
        self.place = end + braces
        if not _HEX.fullmatch(digits) or not (braces or len(digits) == size):
            raise NotRegularError
        return int(digits, 16)

    def _find(self, closer: str) -> int:
        place = self.pattern.find(closer, self.place)
        if place < 0:
            raise NotRegularError
        return place

    def _peek(self, ahead: int = 0) -> str:
        return self.pattern[self.place + ahead : self.place + ahead + 1]


def _ranges(found: int | Ranges) -> Ranges:
    return chars.ranges([(found, found)]) if isinstance(found, int) else found
