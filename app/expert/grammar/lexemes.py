"""Cuts a grammar into lexemes, as large as provably changes nothing.

The mask engine matches lexemes greedily: once a lexeme that is possible here can go on with the
next byte, no shorter one ends before it. GBNF knows no lexemes, so `a b` with `a ::= [a-z]+` and
`b ::= "x"` matches "abx", which greedy lexemes lose. One lexeme per character is exact but slow
(4 ms a mask against 0.1 on a JSON grammar).

So every regular part starts as one lexeme, and is split again where greed could be seen: where,
after a match of a lexeme, some lexeme possible at the same place could go on with a byte that may
also begin what follows. If that happens nowhere, every text has just one cut into lexemes, and
both readings agree. What is possible at the same place is over-estimated, never missed: a
*row* is everything that may follow one lexeme, rows reached by the same text are united, and
calls return to every caller (LR(0) items without their stack).
"""

from dataclasses import replace
from functools import cache

from expert.errors import UsageError
from expert.grammar import chars
from expert.grammar.automata import Automaton, compare, determinise
from expert.grammar.form import (
    EMPTY,
    Chars,
    Choice,
    Grammar,
    Lexeme,
    Node,
    Repeat,
    Sequence,
    Text,
    choice,
    references,
    sequence,
)
from expert.grammar.inline import Inliner
from expert.grammar.normal import closure, nullable
from expert.grammar.positions import TooLarge
from expert.grammar.regex import regex
from expert.grammar.rows import Rows, rows_of


def cut(grammar: Grammar) -> Grammar:
    """Return an equal grammar whose characters are in lexemes.

    Raises:
        UsageError: the grammar is too large to be analysed.
    """
    cutter = _Cutter(grammar)
    try:
        while True:
            rules = cutter.lower_rules()
            if not cutter.split_conflicts(rules):
                return Grammar(rules, grammar.root)
    except TooLarge as error:
        raise UsageError(
            "This grammar is too large.",
            "It has more than 40,000 places where text can stand, or a thousand different ways on "
            "at one of them.",
            "Put alternatives that begin alike together, and lower the counts of repetitions.",
        ) from error


class _Cutter:
    """The search for the coarsest safe cut of one grammar."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._inline = Inliner(grammar.rules)
        self._empty_rules = closure(grammar.rules, nullable)
        self._split: set[int] = set()
        """Nodes, by identity, that must not be lexemes."""
        self._loose: set[int] = set()
        """Sequences, by identity, whose neighbouring parts must not be joined."""
        self._origins: dict[str, list[tuple[set[int], int]]] = {}
        """By lexeme: the set to put a node of it into, to have it split."""
        self._greed = _Greed()

    def lower_rules(self) -> dict[str, Node]:
        """Return the rules that are still referred to when all lexemes are in place."""
        rules: dict[str, Node] = {}
        pending = [self._grammar.root]
        while pending:
            name = pending.pop()
            if name not in rules:
                rules[name] = self.lower(self._grammar.rules[name])
                pending += references(rules[name])
        return rules

    def lower(self, node: Node) -> Node:
        """Return *node* with its characters in lexemes, split as found necessary so far."""
        if id(node) not in self._split:
            lexeme = self._lexeme(self._inline(node), self._split, id(node))
            if lexeme is not None:
                return lexeme
        match node:
            case Text(text):
                return sequence(*(self.lower(_character(char)) for char in text))
            case Sequence():
                return self._lower_sequence(node)
            case Choice(options):
                return choice(*map(self.lower, options))
            case Repeat(item, least, most):
                return Repeat(self.lower(item), least, most)
            case _:
                return node

    def _lower_sequence(self, node: Sequence) -> Node:
        """Lower the parts, neighbouring regular ones joined unless that was found unsafe."""
        lowered: list[Node] = []
        run: list[Node] = []
        for part in (*node.parts, None):
            if (
                part
                and self._inline(part)
                and not {id(part), id(node)} & (self._split | self._loose)
            ):
                run.append(part)
                continue
            lowered += self._lower_run(run, node)
            run = []
            if part:
                lowered.append(self.lower(part))
        return sequence(*lowered)

    def _lower_run(self, run: list[Node], node: Sequence) -> list[Node]:
        if len(run) > 1:
            bodies = [self._inline(part) for part in run]
            body = sequence(*(body for body in bodies if body is not None))
            lexeme = self._lexeme(body, self._loose, id(node))
            if lexeme is not None:
                return [lexeme]
        return [self.lower(part) for part in run]

    def _lexeme(self, body: Node | None, splits: set[int], key: int) -> Node | None:
        """Return the lexeme of a regular *body*; one that may be empty becomes optional."""
        if body is None or body is EMPTY:
            return body
        empty = nullable(body, ())
        expression = _expression(body, empty)
        if not self._greed.knows(expression, body):
            return None
        self._origins.setdefault(expression, []).append((splits, key))
        return Repeat(Lexeme(expression), 0, 1) if empty else Lexeme(expression)

    def split_conflicts(self, rules: dict[str, Node]) -> bool:
        """Note which lexemes must be split; tell whether there were any."""
        rows = rows_of(rules, self._grammar.root, self._empty_rules, self._greed.meet)
        conflicts = self._greed.conflicts(rows)
        for lexeme in conflicts:
            for splits, key in self._origins[lexeme]:
                splits.add(key)
        self._origins.clear()
        return bool(conflicts)


class _Greed:
    """What greedy matching does with each pair of lexemes, which are told by their expressions."""

    def __init__(self) -> None:
        self._automata: dict[str, Automaton | None] = {}
        self._pairs: dict[tuple[str, str], tuple[int, bool]] = {}

    def knows(self, lexeme: str, body: Node) -> bool:
        """Tell whether *lexeme*, made of *body*, is small enough to be analysed."""
        if lexeme not in self._automata:
            self._automata[lexeme] = determinise(body)
        return self._automata[lexeme] is not None

    def meet(self, left: str, right: str) -> bool:
        """Tell whether a text may match both lexemes."""
        return self._pair(left, right)[1]

    def _pair(self, left: str, right: str) -> tuple[int, bool]:
        """Return the bytes with which *right* may go on after a match of *left*, and `meet`."""
        found = self._pairs.get((left, right))
        if found is None:
            onward, meeting = compare(self._automaton(left), self._automaton(right))
            found = self._pairs[left, right] = chars.lead_bytes(onward), meeting
        return found

    def _automaton(self, lexeme: str) -> Automaton:
        automaton = self._automata[lexeme]
        assert automaton is not None
        return automaton

    def conflicts(self, rows: Rows) -> set[str]:
        """Return the lexemes that could swallow the beginning of what follows another."""
        found: set[str] = set()
        lead = {row: self._lead(rows.lexemes(row)) for row in {rows.start, *rows.after}}
        for row in lead:
            follow: dict[str, int] = {}
            for index, lexeme in rows.lexemes(row):
                follow[lexeme] = follow.get(lexeme, 0) | lead[rows.after[index]]
            for one, after in follow.items():
                found.update(other for other in follow if self._pair(one, other)[0] & after)
        return found

    def _lead(self, lexemes: list[tuple[int, str]]) -> int:
        found = 0
        for lexeme in {lexeme for _, lexeme in lexemes}:
            found |= chars.lead_bytes(self._automaton(lexeme).firsts)
        return found


def _expression(body: Node, empty: bool) -> str:
    """Return the engine's expression for what a regular *body* matches besides the empty text."""
    if not empty:
        return f"/{regex(body)}/"
    if isinstance(body, Repeat) and not nullable(body.item, ()):
        return f"/{regex(replace(body, least=1))}/"
    return f"/{regex(body)}/ & /(?s:.+)/"


@cache
def _character(char: str) -> Node:
    """Return one node for each character, so that its identity stays."""
    return Chars(chars.of(char))
