"""Brings answers to their end within a limit of tokens.

An ending is looked for on a copy of the answer's constraint, so its length is known before it is
needed. Until the limit comes near an answer goes on as it likes; then it takes the ending.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from expert.grammar.tokens import TokenTable

_WORK = 2000  # ways on that are tried for one ending, with each number of guesses
_LONGEST = 1000  # tokens of an ending
_MISSES = 6  # searches in vain after which an answer returns to its last known ending
_LOST = 12  # dead ends in a row after which the first ending found is taken
_RESERVE = 24  # tokens by which one token may make the way to the end longer
_PART = 4  # of the tokens to spare, one part passes before the next look
_FIRST = 8  # of the limit, one part passes before the first look where nothing can go wrong
_GUESSES = (1, 8, _LONGEST)  # characters that may be guessed on the way, tried one after another
_CLOSING = "\"'`)]}>\n,:;"
_NESTED = b")]}>"
_TWICE = 2  # the same character that closes nothing nested, in a row
_DIGITS, _LETTERS = "0123456789", "abcdefghijklmnopqrstuvwxyz"
_OTHERS = _DIGITS + _LETTERS + _LETTERS.upper() + " .-+_=/\\({[<|&*?!@#$%^~"


class Guide(Protocol):
    """Follows a text, to know what brings it to its end; an immutable state of it."""

    def push(self, data: bytes) -> "Guide | None":
        """Return the state after *data* follows, or None where it cannot follow that."""

    def suggestions(self) -> Iterator[bytes]:
        """Yield texts that bring the answer nearer to its end, the best first."""


class Trial(Protocol):
    """A copy of an answer on which ways are tried out."""

    tokens: list[int]

    def allows(self, token: int) -> bool:
        """Tell whether *token* may come next."""

    def accept(self, token: int) -> None:
        """Go on with *token*."""

    def forced(self) -> list[int]:
        """Return the tokens that must come next, empty where there is a choice."""

    def rollback(self, count: int) -> None:
        """Take the last *count* tokens back."""

    def can_end(self) -> bool:
        """Tell whether the answer may end here."""

    def suggestions(self) -> Iterator[bytes]:
        """Yield texts that bring the answer nearer to its end, the best first."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Tokens that end an answer, the end token the last, from the token *start* of it on."""

    start: int
    tokens: tuple[int, ...]

    def after(self, written: Sequence[int]) -> int | None:
        """Return what follows *written* on this way to the end; None: it has left the way."""
        done = tuple(written[self.start :])
        on_it = len(written) >= self.start and done == self.tokens[: len(done)]
        return self.tokens[len(done)] if on_it and len(done) < len(self.tokens) else None


class Landing:
    """Knows endings of one answer, and when one must be taken."""

    def __init__(self, limit: int | None, end: int, *, exact: bool) -> None:
        self._limit = limit
        self._reserve = min(_RESERVE, (limit or 0) // _PART)
        self._end = end
        self._look = limit // _FIRST if limit and exact else 0
        """Before which token to look for an ending."""
        self._lost = _LOST
        """Before how many dead ends to look no more, after looking in vain."""
        self._misses = 0
        self._known: list[Ending] = []
        """Of the answer as it is now, by where they begin."""
        self._taken: Ending | None = None
        self.stranded = False
        """Whether time is up, and an ending is known only from an earlier place."""

    def token(
        self,
        written: Sequence[int],
        dead_ends: int,
        search: Callable[[], list[int] | None],
    ) -> int | None:
        """Return the token that must be taken after those *written*, or None where any may be.

        *search* looks for an ending there. Dead end after dead end, the first one found is taken.
        """
        if self._taken and (token := self._taken.after(written)) is not None:
            return token
        lost = dead_ends >= self._lost
        due = self._limit is not None and len(written) >= self._look
        if not (lost or due or self._taken):
            return None
        found = search()
        room = 0 if self._limit is None else self._limit - len(written)
        if found is None or 0 < room <= len(found):  # one that does not fit helps nobody
            self._miss(len(written), dead_ends)
        else:
            self._find(Ending(len(written), (*found, self._end)), lost=lost)
        return self._taken.tokens[0] if self._taken else None

    def _find(self, ending: Ending, *, lost: bool) -> None:
        self._known.append(ending)
        spare = (self._limit or 0) - ending.start - len(ending.tokens) - self._reserve
        late = self._limit is not None and spare <= 0
        self._taken = ending if lost or late else None
        self._look = ending.start + max(1, spare // _PART)

    def _miss(self, place: int, dead_ends: int) -> None:
        left = (self._limit or 0) - place
        self._taken = None
        self._misses += 1
        tired = self._misses >= _MISSES
        self.stranded = bool(self._known) and left > 0 and (tired or left <= self._reserve)
        self._look = place + (left if tired else max(1, left // _FIRST))
        if dead_ends >= self._lost:
            self._lost = dead_ends + dead_ends // 2

    def rollback(self, place: int) -> None:
        """Forget endings from after the token *place*, where the answer is now."""
        while self._known and self._known[-1].start > place:
            self._known.pop()
        self._look = min(self._look, place + 1)

    def return_to(self) -> int | None:
        """Take the last ending known; return the place where it begins, or None without one."""
        if not self._known:
            return None
        self._taken, self.stranded, self._misses = self._known[-1], False, 0
        return self._taken.start

    def copy(self) -> "Landing":
        """Return an independent one that knows the same."""
        twin = Landing(self._limit, self._end, exact=True)
        twin._look, twin._known = self._look, self._known.copy()
        twin._taken, twin.stranded = self._taken, self.stranded
        twin._lost, twin._misses = self._lost, self._misses
        return twin


def find_ending(trial: Trial, table: TokenTable) -> list[int] | None:
    """Return tokens that bring *trial* to where it can end, or None if none are soon found.

    Ways that take few guesses are tried first, with more and more of them allowed, as in
    limited discrepancy search (Harvey and Ginsberg 1995). *trial* is moved by it.
    """
    start = len(trial.tokens)
    for guesses in _GUESSES:
        if _search(trial, table, guesses):
            return trial.tokens[start:]
        trial.rollback(len(trial.tokens) - start)
    return None


def _search(trial: Trial, table: TokenTable, guesses: int) -> bool:
    """Bring *trial* to its end, depth first, and tell whether that was done."""
    if trial.can_end():
        return True
    start, tried = len(trial.tokens), 0
    levels = [(start, guesses, _ways(trial))]
    taken: list[bytes | list[int]] = []
    while levels and tried < _WORK:
        size, left, ways = levels[-1]
        del taken[len(levels) - 1 :]
        trial.rollback(len(trial.tokens) - size)
        tried += 1
        way, guess = next(ways, (b"", False))
        if not way or guess > left:
            levels.pop()
        elif (
            (guess or not _idle(way, taken))
            and _take(trial, table, way)
            and len(trial.tokens) - start < _LONGEST
        ):
            if trial.can_end():
                return True
            taken.append(way)
            levels.append((len(trial.tokens), left - guess, _ways(trial)))
    return False


def _idle(way: bytes | list[int], taken: Sequence[bytes | list[int]]) -> bool:
    """Tell whether *way* only repeats itself: a quote inside a text in the other quotes."""
    nested = isinstance(way, list) or len(way) > 1 or way in _NESTED
    return not nested and list(taken[-_TWICE:]) == [way] * _TWICE


def _ways(trial: Trial) -> Iterator[tuple[bytes | list[int], bool]]:
    """Yield the ways on, the best first, and whether each is a guess."""
    if forced := trial.forced():
        yield forced, False
        return
    yield from ((text, False) for text in trial.suggestions() if text)
    yield from ((char.encode(), False) for char in _CLOSING)
    yield from ((char.encode(), True) for char in _OTHERS)


def _take(trial: Trial, table: TokenTable, way: bytes | list[int]) -> bool:
    """Go on with all of *way*, or not at all."""
    size = len(trial.tokens)
    if isinstance(way, list):
        for token in way:
            trial.accept(token)
        return bool(way)
    while way:
        fitting = next((one for one in table.prefixes(way) if trial.allows(one)), None)
        if fitting is None:
            trial.rollback(len(trial.tokens) - size)
            return False
        trial.accept(fitting)
        way = way[len(table.piece(fitting)) :]
    return len(trial.tokens) > size
