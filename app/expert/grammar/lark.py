"""Writes a grammar of lexemes in the mask engine's dialect of Lark.

Format: llguidance's `docs/syntax.md`. Rules become `r0`, `r1`, ..., lexemes `L0`, `L1`, ...
"""

import re
from collections.abc import Callable

from expert.errors import UsageError
from expert.grammar.form import (
    Choice,
    Grammar,
    Lexeme,
    Node,
    Reference,
    Repeat,
    Schema,
    Sequence,
    Token,
    children,
)
from expert.grammar.regex import count

_DEEPEST = 1000  # the engine compiles recursively, 3 kB of stack for each level
_EMPTY = '""'


def to_lark(grammar: Grammar) -> str:
    """Return the engine's text of a grammar whose characters are in lexemes.

    Raises:
        UsageError: its rules lead into each other too deeply for the engine.
    """
    return _Writer(grammar).text()


class _Writer:
    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._names = {name: f"r{index}" for index, name in enumerate(grammar.rules)}
        self._lexemes: dict[str, str] = {}

    def text(self) -> str:
        _require_shallow(self._grammar)
        lines = [f"start: {self._names[self._grammar.root]}"]
        for name, node in self._grammar.rules.items():
            lines.append(f"{self._names[name]}: {self._node(node)}")
        lines += [f"{name}: {expression}" for expression, name in self._lexemes.items()]
        return "\n".join(lines) + "\n"

    def _node(self, node: Node) -> str:
        match node:
            case Lexeme(expression):
                return self._lexemes.setdefault(expression, f"L{len(self._lexemes)}")
            case Reference(name):
                return self._names[name]
            case Token(token, other):
                name = f"@{token.encode().hex()}" if isinstance(token, str) else str(token)
                return f"<[{'^' if other else ''}{name}]>"
            case Schema(text):
                return f"%json {text}"
            case Sequence(parts):
                return " ".join(map(self._grouped, parts))
            case Choice(options):
                return " | ".join(map(self._node, options))
            case Repeat(item, least, most):
                return self._grouped(item) + count(least, most)
            case _:
                return _EMPTY

    def _grouped(self, node: Node) -> str:
        single = isinstance(node, Lexeme | Reference | Token)
        return self._node(node) if single else f"({self._node(node)})"


def bind_tokens(text: str, named: Callable[[str], int | None]) -> str:
    """Replace the names of tokens in the engine's text by their numbers in a vocabulary.

    Raises:
        UsageError: the vocabulary has no token of such a name.
    """

    def number(found: re.Match[str]) -> str:
        name = bytes.fromhex(found[2]).decode()
        token = named(name)
        if token is None:
            raise UsageError(
                f"The model has no single token {name}.",
                "The grammar asks for it by this name.",
                "Write it as text in quotes, or use a model that has it.",
            )
        return f"<[{found[1]}{token}]>"

    return re.sub(r"<\[(\^?)@([0-9a-f]+)\]>", number, text)


def _require_shallow(grammar: Grammar) -> None:
    """Walk the rules as the engine's compiler does, each on first sight, and measure the depth."""
    seen = {grammar.root}
    pending = [(grammar.rules[grammar.root], 1)]
    while pending:
        node, depth = pending.pop()
        if depth > _DEEPEST:
            raise UsageError(
                "The rules of this grammar lead into each other too deeply.",
                f"More than {_DEEPEST} of them can be open at once on the first way through.",
                "Write long chains of rules as one rule with a repetition.",
            )
        inside = children(node)
        if isinstance(node, Reference) and node.name not in seen:
            seen.add(node.name)
            inside = (grammar.rules[node.name],)
        pending += [(one, depth + 1) for one in reversed(inside)]
