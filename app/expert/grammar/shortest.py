"""Finds the shortest text that completes an answer under a grammar, wherever the answer stands.

The text so far is read by Earley's algorithm (Earley 1970). Its items are partial derivatives of
the rules (Antimirov 1996), that is, what is left of a rule, each with the call of that rule it
belongs to. A call knows what waits for its end, so calls form a graph-structured stack; the
shortest completion is a shortest path through it (Dijkstra 1959), since what each remainder needs
at least is known beforehand.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

from expert.grammar import chars, form
from expert.grammar.chars import Ranges
from expert.grammar.form import (
    Chars,
    Choice,
    Fold,
    Grammar,
    Node,
    Reference,
    Repeat,
    Schema,
    Text,
    Token,
    walk,
)
from expert.grammar.normal import closure, matching, nullable

_PLAIN = "a0 A1"  # characters to fill sets with, the preferred first
_EMPTY = 64  # repetitions of what may be empty; above, they are followed as if without a limit


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """What is left of a rule: *node*, of which *done* parts are behind, and what comes *after*."""

    node: Node
    done: int
    after: "Rest | None"
    need: int
    """Characters of the shortest text for it."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What a remainder begins with: characters, calls of rules, or its end."""

    chars: tuple[tuple[Ranges, Rest | None], ...]
    calls: tuple[tuple[str, Rest | None], ...]
    ends: bool


class Remainders:
    """The remainders of a grammar's rules, each kept once, so that equal ones are the same."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._empty_rules = closure(grammar.rules, nullable)
        self._texts = _shortest_texts(grammar.rules)
        self._whole: dict[int, str] = {}
        self._kept: dict[tuple[int, int, Rest | None], Rest] = {}
        self._steps: dict[Rest | None, Steps] = {}

    @cached_property
    def root(self) -> Rest:
        """The whole rule that an answer must match."""
        return self.rule(self._grammar.root)

    def rule(self, name: str) -> Rest:
        """Return the whole of a rule."""
        return self._rest(self._grammar.rules[name], 0, None)

    def text(self, rest: Rest | None) -> str:
        """Return the shortest text for *rest*."""
        pieces = []
        while rest is not None:
            pieces.append(self._text(rest.node, rest.done))
            rest = rest.after
        return "".join(pieces)

    def steps(self, rest: Rest | None) -> Steps:
        """Return what *rest* begins with."""
        if rest not in self._steps:
            self._steps[rest] = self._find_steps(rest)
        return self._steps[rest]

    def _rest(self, node: Node, done: int, after: Rest | None) -> Rest:
        key = id(node), done, after
        if key not in self._kept:
            need = len(self._text(node, done)) + (after.need if after else 0)
            self._kept[key] = Rest(node, done, after, need)
        return self._kept[key]

    def _text(self, node: Node, done: int) -> str:
        match node:
            case Text(text):
                return text[done:]
            case form.Sequence(parts):
                return "".join(map(self._shortest, parts[done:]))
            case Repeat(item, least) if done:
                return self._shortest(item) * max(0, least - done)
            case _:
                return self._shortest(node)

    def _shortest(self, node: Node) -> str:
        if id(node) not in self._whole:
            self._whole[id(node)] = _shortest_text(node, self._texts) or ""
        return self._whole[id(node)]

    def _find_steps(self, rest: Rest | None) -> Steps:
        found: list[tuple[Ranges, Rest | None]] = []
        calls: list[tuple[str, Rest | None]] = []
        pending, seen = [rest], set[Rest | None]()
        while pending:
            one = pending.pop()
            if one in seen:
                continue
            seen.add(one)
            match one:
                case Rest(Text(text), done, after) if text[done:]:
                    more = after if done + 1 == len(text) else self._rest(one.node, done + 1, after)
                    found.append((chars.of(text[done]), more))
                case Rest(Chars(members), _, after):
                    found.append((members, after))
                case Rest(Reference(name), _, after):
                    calls.append((name, after))
                case Rest():
                    pending += self._inside(one)
        return Steps(tuple(found), tuple(calls), None in seen)

    def _inside(self, rest: Rest) -> Iterator[Rest | None]:
        """Yield the remainders that begin where *rest* does, one node deeper."""
        node, done, after = rest.node, rest.done, rest.after
        match node:
            case form.Sequence(parts):
                last = done + 1 == len(parts)
                yield self._rest(
                    parts[done], 0, after if last else self._rest(node, done + 1, after)
                )
            case Choice(options):
                yield from (self._rest(option, 0, after) for option in options)
            case Repeat(item, least, most):
                if nullable(item, self._empty_rules):
                    least, most = 0, most if (most or 0) <= _EMPTY else None
                if done >= least:
                    yield after
                if most is None:
                    yield self._rest(item, 0, self._rest(node, min(done + 1, least), after))
                elif done < most:
                    yield self._rest(item, 0, self._rest(node, done + 1, after))
            case _:
                yield after


@dataclass(slots=True, eq=False)
class Call:
    """A rule called at one place of the text, and the remainders that wait for its end."""

    waiting: "list[tuple[Rest | None, Call]]" = field(default_factory=list)
    empty: bool = False
    """Whether it can end where it begins."""


Seed: TypeAlias = tuple[Rest | None, Call]
"""What is left of a rule, and the call of that rule."""


@dataclass(frozen=True, slots=True)
class Completer:
    """The state of a text under a grammar, immutable; implements `Guide`."""

    rules: Remainders
    root: Call
    items: tuple[tuple[Ranges, Rest | None, Call], ...]
    """The characters that may come next, and what is left after each."""
    done: bool
    """Whether the text may end here."""
    cut: bytes = b""
    """The beginning of a character."""

    def push(self, data: bytes) -> "Completer | None":
        """Return the state after *data* follows, or None when nothing matches."""
        state: Completer | None = self
        for byte in data:
            state = state._push(byte) if state else None
        return state

    def suggestions(self) -> Iterator[bytes]:
        """Yield the shortest text to the end, if there is one."""
        found = self._shortest()
        if found is not None:
            yield found.encode()[len(self.cut) :]

    def _push(self, byte: int) -> "Completer | None":
        data = self.cut + bytes((byte,))
        try:
            point = ord(data.decode())
        except UnicodeDecodeError:
            known = self.items if len(data) < _length(data[0]) else ()
            return Completer(self.rules, self.root, known, False, data) if known else None
        seeds = [
            (rest, call)
            for members, rest, call in self.items
            if any(low <= point <= high for low, high in members)
        ]
        return _read(self.rules, self.root, seeds) if seeds else None

    def _shortest(self) -> str | None:
        if self.done:
            return ""
        order, met = count(), set[Call]()
        heap: list[tuple[int, int, Call, tuple[str, Rest | None, object]]] = []
        within = _beginning_with(self.cut) if self.cut else None
        for members, rest, call in self.items:
            fitting = chars.intersect(members, within) if within else members
            if fitting:
                need = 1 + (rest.need if rest else 0)
                heappush(heap, (need, next(order), call, (_plain(fitting), rest, None)))
        while heap:
            need, _, call, way = heappop(heap)
            if call is self.root:
                return self._spell(way)
            if call not in met:
                met.add(call)
                for rest, caller in call.waiting:
                    further = need + (rest.need if rest else 0)
                    heappush(heap, (further, next(order), caller, ("", rest, way)))
        return None

    def _spell(self, way: object) -> str:
        pieces: list[str] = []
        while isinstance(way, tuple):
            char, rest, way = way
            pieces.append(char + self.rules.text(rest))
        return "".join(reversed(pieces))


def opening(grammar: Grammar) -> Completer | None:
    """Return the state before an answer under a normal *grammar*.

    None: it has tokens or schemas, of which this knows nothing.
    """
    nodes = (one for node in grammar.rules.values() for one in walk(node))
    if any(isinstance(one, Token | Schema) for one in nodes):
        return None
    rules, root = Remainders(grammar), Call()
    return _read(rules, root, [(rules.root, root)])


def _read(rules: Remainders, root: Call, seeds: Iterable[Seed]) -> Completer:
    """Return the state at a place that *seeds* have reached."""
    items: list[tuple[Ranges, Rest | None, Call]] = []
    called: dict[str, Call] = {}
    here: set[Call] = set()
    pending, seen, done = list(seeds), set[Seed](), False
    while pending:
        seed = pending.pop()
        if seed in seen:
            continue
        seen.add(seed)
        rest, call = seed
        steps = rules.steps(rest)
        items += ((members, after, call) for members, after in steps.chars)
        for name, after in steps.calls:
            callee = called.get(name)
            if callee is None:
                callee = called[name] = Call()
                here.add(callee)
                pending.append((rules.rule(name), callee))
            callee.waiting.append((after, call))
            if callee.empty:
                pending.append((after, call))
        if steps.ends:
            done = done or call is root
            call.empty = call.empty or call in here
            pending += call.waiting
    return Completer(rules, root, tuple(items), done)


def _shortest_texts(rules: dict[str, Node]) -> dict[str, str]:
    """Return a shortest text of each rule."""
    texts: dict[str, str] = {}
    shorter = True
    while shorter:
        shorter = False
        for name in matching(rules):
            text = _shortest_text(rules[name], texts)
            if text is not None and (name not in texts or len(text) < len(texts[name])):
                texts[name], shorter = text, True
    return texts


def _shortest_text(node: Node, texts: dict[str, str]) -> str | None:
    """Return a shortest text of *node*, given those of the rules known so far."""

    def leaf(one: Node) -> str | None:
        match one:
            case Text(text):
                return text
            case Chars(members):
                return _plain(members)
            case Reference(name):
                return texts.get(name)
            case _:
                return None

    def in_row(parts: Iterable[str | None]) -> str | None:
        found = [*parts]
        known = [part for part in found if part is not None]
        return "".join(known) if len(known) == len(found) else None

    def either(options: Iterable[str | None]) -> str | None:
        return min((option for option in options if option is not None), key=len, default=None)

    def again(repeat: Repeat, item: Callable[[], str | None]) -> str | None:
        text = item() if repeat.least else ""
        return None if text is None else text * repeat.least

    return Fold(leaf, in_row, either, again)(node)


def _plain(members: Ranges) -> str:
    """Return a character of a set that is not empty, a common one if it has any."""
    for char in _PLAIN:
        if any(low <= ord(char) <= high for low, high in members):
            return char
    visible = chars.intersect(members, ((33, 126),))
    return chr((visible or members)[0][0])


def _length(lead: int) -> int:
    """Return how many bytes a character has that begins with *lead*, 0 if none does."""
    lengths = ((0xC2, 0xDF, 2), (0xE0, 0xEF, 3), (0xF0, 0xF4, 4))
    return next((length for low, high, length in lengths if low <= lead <= high), 0)


def _beginning_with(cut: bytes) -> Ranges:
    """Return the characters whose UTF-8 begins with *cut*, which is no whole character."""
    length = _length(cut[0])
    point = cut[0] & (0x7F >> length)
    for byte in cut[1:]:
        point = point << 6 | byte & 0x3F
    missing = 6 * (length - len(cut))
    least = (0x80, 0x800, 0x10000)[length - 2]
    return chars.ranges([(max(point << missing, least), (point + 1 << missing) - 1)])
