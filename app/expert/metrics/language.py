"""Regular languages as terms with union, intersection and complement, compared by derivatives.

A term's derivative by a character is the language of what may follow it; two terms are equal if
all their derivatives agree on whether they accept nothing more. No automaton is built: its states
are the derivatives, made as they are reached.

Sources: Brzozowski 1964, "Derivatives of regular expressions"; Owens, Reppy and Turon 2009.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property

LIMIT = 5_000
"""Derivatives a comparison computes before it gives up; NL-RX needs a few hundred."""


@dataclass(frozen=True, slots=True)
class Empty:
    """The language of the empty string alone."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set; `mask` has a bit for each character of the alphabet."""

    mask: int


@dataclass(frozen=True)
class Cat:
    """What `first` accepts, followed by what `rest` does."""

    first: Term
    rest: Term

    @cached_property
    def hashed(self) -> int:
        """The hash, which a long chain would otherwise compute anew each time."""
        return hash(("cat", self.first, self.rest))

    def __hash__(self) -> int:
        return self.hashed


@dataclass(frozen=True)
class Many:
    """Any number of times what `part` accepts."""

    part: Term


@dataclass(frozen=True)
class Either:
    """Union."""

    parts: frozenset[Term]


@dataclass(frozen=True)
class Both:
    """Intersection."""

    parts: frozenset[Term]


@dataclass(frozen=True)
class Other:
    """Complement."""

    part: Term


Term = Empty | Chars | Cat | Many | Either | Both | Other
EMPTY, NOTHING = Empty(), Chars(0)
ALL: Term = Other(NOTHING)


def cat(*parts: Term) -> Term:
    """Concatenate, leaving out what changes nothing."""
    made: Term = EMPTY
    for part in reversed(parts):
        if part == NOTHING or made == NOTHING:
            return NOTHING
        if made == EMPTY:
            made = part
        elif isinstance(part, Cat):
            made = cat(part.first, cat(part.rest, made))
        elif part != EMPTY and not (part == ALL == (made.first if isinstance(made, Cat) else made)):
            made = _joined(part, made)
    return made


@cache
def _joined(first: Term, rest: Term) -> Cat:
    """Return one object for equal parts, so that comparing long terms stays quick."""
    return Cat(first, rest)


@cache
def _gathered(kind: type[Either] | type[Both], parts: frozenset[Term]) -> Either | Both:
    return kind(parts)


def forget() -> None:
    """Drop what was remembered of earlier terms."""
    for remembered in (_joined, _gathered, accepts_empty):
        remembered.cache_clear()


def many(part: Term) -> Term:
    """Repeat any number of times."""
    if part in (EMPTY, NOTHING):
        return EMPTY
    return part if isinstance(part, Many) or part == ALL else Many(part)


def either(*parts: Term) -> Term:
    """Unite, in a form that does not depend on order or repetition."""
    found: set[Term] = set()
    mask = 0
    for part in _flat(parts, Either):
        if isinstance(part, Chars):
            mask |= part.mask
        else:
            found.add(part)
    if ALL in found:
        return ALL
    if mask:
        found.add(Chars(mask))
    if not found:
        return NOTHING
    return found.pop() if len(found) == 1 else _gathered(Either, frozenset(found))


def both(*parts: Term) -> Term:
    """Intersect, in a form that does not depend on order or repetition."""
    found = set(_flat(parts, Both)) - {ALL}
    if NOTHING in found:
        return NOTHING
    if not found:
        return ALL
    if EMPTY in found:
        return EMPTY if all(map(accepts_empty, found)) else NOTHING
    return found.pop() if len(found) == 1 else _gathered(Both, frozenset(found))


def other(part: Term) -> Term:
    """Complement."""
    return part.part if isinstance(part, Other) else Other(part)


def _flat(parts: Iterable[Term], kind: type[Either] | type[Both]) -> Iterator[Term]:
    for part in parts:
        if isinstance(part, kind):
            yield from part.parts
        else:
            yield part


@cache
def accepts_empty(term: Term) -> bool:
    """Tell whether the empty string belongs to a language."""
    match term:
        case Empty() | Many():
            return True
        case Chars():
            return False
        case Cat(first, rest):
            return accepts_empty(first) and accepts_empty(rest)
        case Either(parts):
            return any(map(accepts_empty, parts))
        case Both(parts):
            return all(map(accepts_empty, parts))
        case Other(part):
            return not accepts_empty(part)


class Derivatives:
    """Derivatives by one alphabet's characters, remembered."""

    def __init__(self) -> None:
        self._known: dict[tuple[Term, int], Term] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, term: Term, bit: int) -> Term:
        """Return what may follow the character of this bit."""
        key = (term, bit)
        if key not in self._known:
            self._known[key] = self._derive(term, bit)
        return self._known[key]

    def _derive(self, term: Term, bit: int) -> Term:
        match term:
            case Empty():
                return NOTHING
            case Chars(mask):
                return EMPTY if mask & bit else NOTHING
            case Cat(first, rest):
                after = cat(self.of(first, bit), rest)
                return either(after, self.of(rest, bit)) if accepts_empty(first) else after
            case Many(part):
                return cat(self.of(part, bit), term)
            case Either(parts):
                return either(*(self.of(part, bit) for part in parts))
            case Both(parts):
                return both(*(self.of(part, bit) for part in parts))
            case Other(part):
                return other(self.of(part, bit))


def masks(term: Term) -> set[int]:
    """Return the character sets a term is made of."""
    found: set[int] = set()
    waiting, seen = [term], {term}
    while waiting:
        part = waiting.pop()
        match part:
            case Chars(mask):
                found.add(mask)
                inner: tuple[Term, ...] = ()
            case Cat(first, rest):
                inner = (first, rest)
            case Either(parts) | Both(parts):
                inner = tuple(parts)
            case Many(one) | Other(one):
                inner = (one,)
            case _:
                inner = ()
        for child in inner:
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return found


def representatives(size: int, sets: set[int]) -> list[int]:
    """Return the bit of one character of each class that the sets cannot tell apart."""
    classes: dict[tuple[bool, ...], int] = {}
    ordered = sorted(sets)
    for place in range(size):
        bit = 1 << place
        classes.setdefault(tuple(bool(mask & bit) for mask in ordered), bit)
    return list(classes.values())


def equal(first: Term, second: Term, size: int, limit: int = LIMIT) -> bool | None:
    """Tell whether two terms over an alphabet of *size* characters describe the same strings;
    None: undecided after *limit* derivatives.
    """
    bits = representatives(size, masks(first) | masks(second))
    derivatives = Derivatives()
    waiting, seen = [(first, second)], {(first, second)}
    while waiting:
        one, two = waiting.pop()
        if accepts_empty(one) != accepts_empty(two):
            return False
        for bit in bits:
            pair = (derivatives.of(one, bit), derivatives.of(two, bit))
            if pair[0] != pair[1] and pair not in seen:
                if len(derivatives) >= limit:
                    return None
                seen.add(pair)
                waiting.append(pair)
    return True


def accepts(term: Term, bits: Iterable[int]) -> bool:
    """Tell whether a string, given as the bits of its characters, belongs to a language."""
    derivatives = Derivatives()
    for bit in bits:
        term = derivatives.of(term, bit)
    return accepts_empty(term)
