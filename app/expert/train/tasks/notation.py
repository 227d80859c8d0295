"""Two research notations read into pattern trees: NL-RX tokens and StructuredRegex terms.

Sources: Locascio et al. 2016 and Kushman & Barzilay 2013 (NL-RX, KB13); Ye et al. 2020
(StructuredRegex).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from expert.train.tasks.pattern import (
    ANYTHING,
    And,
    Atom,
    Concat,
    Node,
    Not,
    Or,
    Repeat,
    contains,
    source,
)

NLRX_CLASSES = {
    "<LET>": "A-Za-z",
    "<NUM>": "0-9",
    "<VOW>": "AEIOUaeiou",
    "<CAP>": "A-Z",
    "<LOW>": "a-z",
}
TERM_CLASSES = {
    "<num>": "[0-9]",
    "<let>": "[A-Za-z]",
    "<low>": "[a-z]",
    "<cap>": "[A-Z]",
    "<any>": ".",
    "<spec>": r"[^A-Za-z0-9\s]",
    "<vow>": "[AEIOUaeiou]",
}


class NotationError(ValueError):
    """A pattern that is not in the notation, or that Python cannot express."""


class Tokens:
    """A cursor over the tokens of a pattern."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def next(self) -> str:
        """The next token, or an empty string at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, expected: str = "") -> str:
        """Consume the next token.

        Raises:
            NotationError: at the end, or when another token was expected.
        """
        token = self.next
        if not token or (expected and token != expected):
            raise NotationError(f"expected {expected or 'a token'!r}, found {token!r}")
        self._at += 1
        return token


def read_nlrx(notation: str) -> Node:
    """Read NL-RX: `&` binds loosest, then `|`, concatenation and the postfix operators.

    Raises:
        NotationError: for anything else.
    """
    tokens = Tokens(notation.split())
    node = _intersection(tokens)
    if tokens.next:
        raise NotationError(f"unexpected {tokens.next!r}")
    if isinstance(node, And) and _open(node.parts[0], 0) and _open(node.parts[-1], -1):
        # `.*(A)&(B).*` is that data set's way to write "contains A and contains B".
        return And(tuple(_containing(part) for part in node.parts))
    return node


def _open(node: Node, end: int) -> bool:
    return isinstance(node, Concat) and node.parts[end] == ANYTHING


def _containing(node: Node) -> Node:
    parts = node.parts if isinstance(node, Concat) else (node,)
    inner = tuple(part for part in parts if part != ANYTHING)
    return contains(_joined(Concat, inner)) if inner else node


def _joined(kind: type[Concat] | type[Or] | type[And], parts: tuple[Node, ...]) -> Node:
    return parts[0] if len(parts) == 1 else kind(parts)


def _intersection(tokens: Tokens) -> Node:
    parts = [_union(tokens)]
    while tokens.next == "&":
        tokens.take()
        parts.append(_union(tokens))
    return _joined(And, tuple(parts))


def _union(tokens: Tokens) -> Node:
    parts = [_sequence(tokens)]
    while tokens.next == "|":
        tokens.take()
        parts.append(_sequence(tokens))
    return _joined(Or, tuple(parts))


def _sequence(tokens: Tokens) -> Node:
    parts: list[Node] = []
    while tokens.next not in ("", ")", "|", "&"):
        node = _postfixed(tokens)
        for part in node.parts if isinstance(node, Concat) else (node,):
            if not (part == ANYTHING and parts[-1:] == [ANYTHING]):
                parts.append(part)
    if not parts:
        raise NotationError("an empty alternative")
    return _joined(Concat, tuple(parts))


def _postfixed(tokens: Tokens) -> Node:
    node = _primary(tokens)
    while tokens.next in ("*", "+", "?", "{"):
        suffix = tokens.take()
        while suffix[0] == "{" and suffix[-1] != "}":
            suffix += tokens.take()
        node = Repeat(node, suffix)
    return node


def _primary(tokens: Tokens) -> Node:
    token = tokens.take()
    if token == "~":
        refused = _primary(tokens)
        # "lines without X" is written both `~(X)` and `~(.*X.*)`.
        return Not(refused if _open(refused, 0) else contains(refused))
    if token == "(":
        node = _intersection(tokens)
        tokens.take(")")
        return node
    if token == "[":
        inside = ""
        while tokens.next != "]":
            inside += NLRX_CLASSES.get(tokens.next, tokens.next)
            tokens.take()
        tokens.take("]")
        return Atom(f"[{inside}]")
    if token == "\\":
        escaped = tokens.take()
        return Atom("\\b" if escaped == "b" else escaped)
    if token in ")]{}*+?|&":
        raise NotationError(f"unexpected {token!r}")
    return Atom(token)


def read_term(term: str) -> Node:
    """Read a StructuredRegex term such as `concat(<num>,repeat(<cap>,3))`.

    Raises:
                NotationError: for anything else, and for intersections below the top, which Python
            cannot write.
    """
    tokens = Tokens(re.findall(r"<[^>]+>|[a-z]+(?=\()|\d+|[(),]", term))
    node = _term(tokens)
    if tokens.next:
        raise NotationError(f"unexpected {tokens.next!r}")
    _refuse_nested(node)
    return node


def _refuse_nested(node: Node) -> None:
    match node:
        case And(parts):
            for part in parts:
                _refuse_nested(part)
        case Not(part):
            _refuse_nested(part)
        case _ if "(?=" in source(node) or "(?!" in source(node):
            raise NotationError("an intersection inside a sequence")


def _term(tokens: Tokens) -> Node:
    name = tokens.take()
    if name.startswith("<"):
        return Atom(TERM_CLASSES.get(name, re.escape(name[1:-1])))
    tokens.take("(")
    arguments: list[Node] = []
    numbers: list[str] = []
    while tokens.next != ")":
        if tokens.next.isdigit():
            numbers.append(tokens.take())
        elif tokens.next == ",":
            tokens.take()
        else:
            arguments.append(_term(tokens))
    tokens.take(")")
    build = TERMS.get(name)
    if build is None or not arguments or len(numbers) < NUMBERS.get(name, 0):
        raise NotationError(f"unknown term {name!r}")
    return build(arguments, numbers)


def _concat(arguments: list[Node], numbers: list[str]) -> Node:
    parts: list[Node] = []
    for node in arguments:
        parts.extend(node.parts if isinstance(node, Concat) else (node,))
    return Concat(tuple(parts))


def _negated_class(arguments: list[Node], numbers: list[str]) -> Node:
    text = getattr(arguments[0], "source", "")
    if text.startswith("[^") or text in ("", "."):
        raise NotationError("a complement of a complement")
    return Atom(f"[^{text[1:-1] if text.startswith('[') else text}]")


def _either(arguments: list[Node], numbers: list[str]) -> Node:
    parts: list[Node] = []
    for node in arguments:
        parts.extend(node.parts if isinstance(node, Or) else (node,))
    return Or(tuple(parts))


NUMBERS = {"repeat": 1, "repeatatleast": 1, "repeatrange": 2}
"""How many numbers a term needs."""
TERMS: dict[str, Callable[[list[Node], list[str]], Node]] = {
    "concat": _concat,
    "or": _either,
    "and": lambda a, n: And(tuple(a)),
    "not": lambda a, n: Not(a[0]),
    "notcc": _negated_class,
    "contain": lambda a, n: _concat([ANYTHING, *a, ANYTHING], n),
    "startwith": lambda a, n: _concat([*a, ANYTHING], n),
    "endwith": lambda a, n: _concat([ANYTHING, *a], n),
    "optional": lambda a, n: Repeat(a[0], "?"),
    "star": lambda a, n: Repeat(a[0], "*"),
    "repeat": lambda a, n: Repeat(a[0], f"{{{n[0]}}}"),
    "repeatatleast": lambda a, n: Repeat(a[0], "+" if n[0] == "1" else f"{{{n[0]},}}"),
    "repeatrange": lambda a, n: Repeat(a[0], f"{{{n[0]},{n[1]}}}"),
}
