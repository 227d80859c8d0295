"""Prints any grammar as GBNF that llama.cpp reads.

Format: llama.cpp's `grammars/README.md`. A repeated group becomes a rule of its own, because
llama.cpp counts what a repetition would copy. A JSON Schema inside a grammar has no exact GBNF: it
is printed as any JSON value, with the schema in a comment.
"""

import re

from expert.errors import UsageError
from expert.grammar import chars
from expert.grammar.chars import Ranges
from expert.grammar.form import (
    Chars,
    Choice,
    Grammar,
    Node,
    Reference,
    Repeat,
    Schema,
    Sequence,
    Text,
    Token,
)
from expert.grammar.normal import normalise

_MOST = 2000  # MAX_REPETITION_THRESHOLD of llama.cpp
_WIDTH = 100
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_IN_SETS = {"]": "\\]", "[": "\\[", "-": "\\-", "^": "\\x5E", '"': '"'}
_JSON = r"""json-value ::= json-object | json-array | json-string | json-number | json-constant
json-constant ::= "true" | "false" | "null"
json-object ::= "{" json-space (json-member ("," json-space json-member)*)? "}" json-space
json-member ::= json-string json-space ":" json-space json-value json-space
json-array ::= "[" json-space (json-value json-space ("," json-space json-value json-space)*)? "]"
json-string ::= "\"" ([^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""
json-number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
json-space ::= [ \t\n\r]{0,20}
"""


def to_gbnf(grammar: Grammar) -> str:
    """Return *grammar* as GBNF, the rule to match first and called `root`.

    Raises:
        UsageError: nothing matches it, or it repeats something more than 2,000 times at least.
    """
    return _Writer(normalise(grammar)).text()


class _Writer:
    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._names = {grammar.root: "root"}
        self._lines: list[str] = []
        self._has_json = False
        for name in grammar.rules:
            self._name(name)

    def text(self) -> str:
        order = [self._grammar.root, *(n for n in self._grammar.rules if n != self._grammar.root)]
        for name in order:
            self._rule(self._names[name], self._grammar.rules[name])
        return "\n".join(self._lines) + "\n" + (_JSON if self._has_json else "")

    def _name(self, wanted: str) -> str:
        """Return the name of a rule in GBNF, which knows letters, digits and `-`."""
        if wanted not in self._names:
            plain = re.sub(r"[^A-Za-z0-9]+", "-", wanted).strip("-")
            plain = base = re.sub("^(json-)+", "", plain) or "rule"  # which are those of _JSON
            count = 1
            while plain in self._names.values():
                count += 1
                plain = f"{base}-{count}"
            self._names[wanted] = plain
        return self._names[wanted]

    def _rule(self, name: str, node: Node) -> None:
        place = len(self._lines)
        options = node.options if isinstance(node, Choice) else (node,)
        rows = [f"{name} ::="]
        for index, option in enumerate(options):
            shown = self._node(option, name) + (" |" if index < len(options) - 1 else "")
            if index and len(rows[-1]) + len(shown) >= _WIDTH:
                rows.append(" ")
            rows[-1] += f" {shown}"
        self._lines[place:place] = rows

    def _node(self, node: Node, rule: str) -> str:
        match node:
            case Text(text):
                return '"' + "".join(_ESCAPES.get(char) or _plain(char) for char in text) + '"'
            case Chars(ranges):
                return _set(ranges)
            case Sequence(parts):
                return " ".join(self._grouped(part, rule, Choice) for part in parts)
            case Choice(options):
                return " | ".join(self._node(option, rule) for option in options)
            case Repeat():
                return self._repeat(node, rule)
            case Reference(name):
                return self._names[name]
            case Token(token, other):
                return ("!" if other else "") + (
                    f"<[{token}]>" if isinstance(token, int) else token
                )
            case Schema(text):
                return self._schema(text)
        raise AssertionError(f"the engine's own: {node}")

    def _grouped(self, node: Node, rule: str, *kinds: type) -> str:
        shown = self._node(node, rule)
        return f"({shown})" if isinstance(node, kinds) else shown

    def _repeat(self, node: Repeat, rule: str) -> str:
        least, most = node.least, node.most
        if least > _MOST:
            raise UsageError(
                f"The rule `{rule}` has no GBNF.",
                f"It repeats something at least {least:,} times; llama.cpp knows {_MOST:,}.",
                "Lower the number.",
            )
        if (least, most) == (0, 1):
            return self._grouped(node.item, rule, Choice, Sequence, Repeat) + "?"
        item = node.item
        single = isinstance(item, Chars | Reference | Token | Text)
        shown = self._node(item, rule) if single else self._part(item, rule)
        if most is None or most > _MOST:
            return shown + {0: "*", 1: "+"}.get(least, f"{{{least},}}")
        return shown + (f"{{{least}}}" if least == most else f"{{{least},{most}}}")

    def _part(self, node: Node, rule: str) -> str:
        """Make *node* a rule of its own."""
        name = self._name(f"{rule} part {len(self._names)}")
        self._rule(name, node)
        return name

    def _schema(self, text: str) -> str:
        self._has_json = True
        self._lines.append(f"# json-value keeps this JSON Schema as well: {text}")
        return "json-value"


def _plain(char: str) -> str:
    point = ord(char)
    if 32 <= point < 127 or (point > 160 and char.isprintable()):
        return char
    return f"\\x{point:02X}" if point < 256 else _long(point)


def _long(point: int) -> str:
    return f"\\u{point:04X}" if point < 65536 else f"\\U{point:08X}"


def _set(members: Ranges) -> str:
    if members == chars.ANY:
        return "."
    inverse = bool(members) and members[-1][1] == 0x10FFFF and members[0][0] == 1
    shown = chars.complement(members) if inverse else members
    pairs = (_member(low) + (f"-{_member(high)}" if high > low else "") for low, high in shown)
    return ("[^" if inverse else "[") + "".join(pairs) + "]"


def _member(point: int) -> str:
    char = chr(point)
    return _IN_SETS.get(char) or _ESCAPES.get(char) or _plain(char)
