"""Python patterns as languages: which lines `re.search` finds something in.

Lookaheads become intersections and complements of what follows, so the patterns written for NL-RX
(`&` and `~` there) are compared exactly. A placeholder of the data set is one character of its own:
the word that stands for it in a prompt is put back before the comparison.
"""

from __future__ import annotations

import re
import string
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any

from expert.metrics.language import (
    ALL,
    EMPTY,
    NOTHING,
    Chars,
    Term,
    accepts_empty,
    both,
    cat,
    either,
    equal,
    forget,
    many,
    other,
)

PARSER: Any = import_module("re._parser")  # CPython's own reading of a pattern
PLACEHOLDERS = "".join(map(chr, range(0xE000, 0xE008)))
ORDINARY = " \t" + string.ascii_letters + string.digits + string.punctuation + "é°"
MOST_COPIES = 64
"""Repetitions that are written out; NL-RX has at most a few dozen."""
START, WORD, NO_WORD = "start", "word", "no word"
"""What stands before a position, which `^` and `\\b` look at."""
Then = Callable[[str], Term]


class Unsupported(ValueError):
    """A pattern that is no regular language, or uses what this reader does not know."""


def same_lines(answer: str, reference: str, words: tuple[str, ...] = ()) -> bool:
    """Tell whether two patterns find the same lines; *words* stand for placeholders.

    A pattern that does not compile, is not regular, or cannot be decided is equal to none but
    itself.
    """
    if answer == reference:
        return True
    first, second = (with_placeholders(pattern, words) for pattern in (answer, reference))
    if not compiles(answer):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alphabet = Alphabet(first + second, _boundaries(first) | _boundaries(second))
            return equal(alphabet.found(first), alphabet.found(second), len(alphabet)) is True
    except (Unsupported, re.error, RecursionError, OverflowError):
        return False
    finally:
        forget()


def compiles(pattern: str) -> bool:
    """Tell whether Python's `re` takes a pattern, whatever it would warn of."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def with_placeholders(pattern: str, words: tuple[str, ...]) -> str:
    """Return a pattern with one private character for each of the words it was filled with.

    Classes and counts keep their characters: the word 9 is not the end of [0-9].
    """
    named = list(zip(words, PLACEHOLDERS, strict=False))
    for word, symbol in sorted(named, key=lambda pair: -len(pair[0])):
        bare = re.escape(re.escape(word))
        whole = rf"(?<![A-Za-z0-9\\])(?P<word>{bare})(?![A-Za-z0-9])|(?<=\\b)(?P<next>{bare})"
        kept = rf"\[[^\]]*\]|\{{[^}}]*\}}|{whole}"
        pattern = re.sub(kept, partial(_symbol, symbol), pattern)
    return pattern


def _symbol(symbol: str, found: re.Match[str]) -> str:
    return symbol if found["word"] or found["next"] else found[0]


class Alphabet:
    """The characters that two patterns are compared over: ordinary ones, and those they name."""

    def __init__(self, patterns: str, more: Iterable[str] = ()) -> None:
        named = "".join(sorted({*patterns, *more} - set(ORDINARY) - set("\n")))
        self.characters = ORDINARY + named
        self.all = (1 << len(self.characters)) - 1
        self.words = self.mask(lambda c: c.isalnum() or c == "_" or c in PLACEHOLDERS)

    def __len__(self) -> int:
        return len(self.characters)

    def mask(self, wanted: Callable[[str], bool]) -> int:
        """Return the set of characters for which a condition holds."""
        return sum(1 << place for place, c in enumerate(self.characters) if wanted(c))

    def bits(self, text: str) -> list[int]:
        """Return the bit of each character of a text."""
        return [1 << self.characters.index(c) for c in text]

    def found(self, pattern: str) -> Term:
        """Return the lines in which `re.search` finds *pattern*.

        Raises:
            Unsupported: it is not a regular language, or too large.
            re.error: it is not a pattern.
        """
        parsed = PARSER.parse(pattern)
        if parsed.state.flags & (re.IGNORECASE | re.ASCII | re.LOCALE):
            raise Unsupported("flags of a pattern")
        items = list(parsed)
        first, later, rest = (
            self._match(items, before, lambda _: ALL) for before in (START, WORD, NO_WORD)
        )
        if first == later == rest:
            return cat(ALL, first)
        after_word = cat(ALL, Chars(self.words), later)
        return either(first, after_word, cat(ALL, Chars(self.all & ~self.words), rest))

    def _match(self, items: list[Any], before: str, then: Then) -> Term:
        """Return what follows a position if *items*, then the rest, match there."""
        for item in reversed(items):
            then = self._step(item, _remembering(then))
        return then(before)

    def _step(self, item: Any, rest: Then) -> Then:
        return lambda before: self._item(item, before, rest)

    def _item(self, item: Any, before: str, rest: Then) -> Term:
        """Return what follows a position if one item, then the rest, match there."""
        operator, value = item
        match str(operator):
            case "BRANCH":
                return either(*(self._match(list(part), before, rest) for part in value[1]))
            case "SUBPATTERN":
                if value[1] or value[2]:
                    raise Unsupported("flags inside a pattern")
                return self._match(list(value[3]), before, rest)
            case "ASSERT" | "ASSERT_NOT":
                return self._look(str(operator), value, before, rest)
            case "AT":
                return self._at(str(value), before, rest)
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeat(value, before, rest)
        mask = self._set(item)
        in_words, others = mask & self.words, mask & ~self.words
        if rest(WORD) == rest(NO_WORD):
            return cat(Chars(mask), rest(WORD))
        return either(cat(Chars(in_words), rest(WORD)), cat(Chars(others), rest(NO_WORD)))

    def _look(self, operator: str, value: Any, before: str, rest: Then) -> Term:
        direction, inner = value
        if direction < 0:
            raise Unsupported("a lookbehind")
        ahead = self._match(list(inner), before, lambda _: ALL)
        return both(ahead if operator == "ASSERT" else other(ahead), rest(before))

    def _at(self, place: str, before: str, rest: Then) -> Term:
        if place in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            return rest(before) if before == START else NOTHING
        if place in ("AT_END", "AT_END_STRING"):
            return both(EMPTY, rest(before))
        if place not in ("AT_BOUNDARY", "AT_NON_BOUNDARY"):
            raise Unsupported(place)
        word_follows = cat(Chars(self.words), ALL)
        if (place == "AT_BOUNDARY") == (before == WORD):
            word_follows = other(word_follows)
        if place == "AT_NON_BOUNDARY" and before == START and sys.version_info < (3, 14):
            word_follows = both(word_follows, cat(Chars(self.all), ALL))
        return both(word_follows, rest(before))

    def _repeat(self, value: Any, before: str, rest: Then) -> Term:
        low, high, inner = int(value[0]), value[1], list(value[2])
        endless = str(high) == "MAXREPEAT"
        most = low if endless else int(high)
        if most > MOST_COPIES:
            raise Unsupported(f"{most} repetitions")
        if not _plain(inner):
            if endless:
                raise Unsupported("an endless repetition of assertions")
            return self._unrolled(inner, low, most, before, rest)
        one = self._match(inner, START, lambda _: EMPTY)
        tail = self._endless(one) if endless else _optional(one, most - low)
        body = cat(*[one] * low, tail)
        follow = {now: rest(now) for now in (before, WORD, NO_WORD)}
        if len(set(follow.values())) == 1:
            return cat(body, follow[before])
        ends = {
            WORD: both(body, cat(ALL, Chars(self.words))),
            NO_WORD: both(body, cat(ALL, Chars(self.all & ~self.words))),
        }
        made = either(*(cat(end, follow[now]) for now, end in ends.items()))
        return either(made, follow[before]) if accepts_empty(body) else made

    def _endless(self, one: Term) -> Term:
        return ALL if one == Chars(self.all) else many(one)

    def _unrolled(self, inner: list[Any], low: int, most: int, before: str, rest: Then) -> Term:
        if most == 0:
            return rest(before)
        onward = self._match(
            inner, before, lambda now: self._unrolled(inner, max(0, low - 1), most - 1, now, rest)
        )
        return onward if low else either(onward, rest(before))

    def _set(self, item: Any) -> int:
        """Return the characters that an item for one character accepts."""
        operator, value = item
        match str(operator):
            case "ANY":
                return self.all
            case "LITERAL":
                return self.mask(lambda c: ord(c) == value)
            case "NOT_LITERAL":
                return self.mask(lambda c: ord(c) != value)
            case "RANGE":
                return self.mask(lambda c: value[0] <= ord(c) <= value[1])
            case "CATEGORY":
                return self._category(str(value))
            case "IN":
                found = 0
                for part in value:
                    if str(part[0]) != "NEGATE":
                        found |= self._set(part)
                return self.all & ~found if str(value[0][0]) == "NEGATE" else found
        raise Unsupported(str(operator))

    def _category(self, name: str) -> int:
        kind = name.removeprefix("CATEGORY_").removeprefix("NOT_")
        tests: dict[str, Callable[[str], bool]] = {
            "DIGIT": str.isdecimal,
            "SPACE": str.isspace,
            "WORD": lambda c: bool(self.words & self.bits(c)[0]),
        }
        if kind not in tests:
            raise Unsupported(name)
        found = self.mask(tests[kind])
        return self.all & ~found if "_NOT_" in name else found


def _boundaries(pattern: str) -> set[str]:
    """Return one character of each class that a pattern's literals and ranges make of Unicode."""
    starts: set[int] = set()
    waiting: list[Any] = [PARSER.parse(pattern)]
    while waiting:
        item = waiting.pop()
        name = str(item[0]) if isinstance(item, tuple) and item else ""
        if name in ("LITERAL", "NOT_LITERAL"):
            starts |= {item[1], item[1] + 1}
        elif name == "RANGE":
            starts |= {item[1][0], item[1][1] + 1}
        elif isinstance(item, list | tuple | PARSER.SubPattern):
            waiting.extend(item)
    return {chr(start) for start in starts if start <= sys.maxunicode}


def _remembering(then: Then) -> Then:
    """Return the same function, computed once for each of the three things before a position."""
    known: dict[str, Term] = {}

    def remembered(before: str) -> Term:
        if before not in known:
            known[before] = then(before)
        return known[before]

    return remembered


def _optional(part: Term, times: int) -> Term:
    made: Term = EMPTY
    for _ in range(times):
        made = either(EMPTY, cat(part, made))
    return made


def _plain(items: list[Any]) -> bool:
    """Tell whether items look neither ahead nor at what is around them."""
    for operator, value in items:
        name = str(operator)
        if name in ("AT", "ASSERT", "ASSERT_NOT"):
            return False
        inner: list[Any] = []
        if name == "BRANCH":
            inner = [part for branch in value[1] for part in branch]
        elif name == "SUBPATTERN":
            inner = list(value[3])
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            inner = list(value[2])
        if not _plain(inner):
            return False
    return True
