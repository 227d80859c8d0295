"""Regular nodes as regular expressions in the syntax of Rust's `regex` crate."""

from expert.grammar import chars
from expert.grammar.chars import Ranges
from expert.grammar.form import Chars, Choice, Node, Repeat, Sequence, Text


def regex(node: Node) -> str:
    """Return the expression of a regular *node*, for use between slashes in the engine's Lark."""
    match node:
        case Text(text):
            return "".join(map(_char, text))
        case Chars(ranges):
            return _set(ranges)
        case Sequence(parts):
            return "".join(
                _grouped(part) if isinstance(part, Choice) else regex(part) for part in parts
            )
        case Choice(options):
            return "|".join(map(regex, options))
        case Repeat(item, least, most):
            return _grouped(item) + count(least, most)
    raise AssertionError(f"not regular: {node}")


def count(least: int, most: int | None) -> str:
    """Return the repetition operator; Lark and Rust agree on it."""
    match least, most:
        case 0, None:
            return "*"
        case 1, None:
            return "+"
        case 0, 1:
            return "?"
        case _, None:
            return f"{{{least},}}"
        case _:
            return f"{{{least}}}" if least == most else f"{{{least},{most}}}"


def _grouped(node: Node) -> str:
    single = isinstance(node, Chars) or (isinstance(node, Text) and len(node.text) == 1)
    return regex(node) if single else f"(?:{regex(node)})"


def _set(members: Ranges) -> str:
    if members == chars.ANY or members == ((1, 0x10FFFF),):
        return r"[^\x00]"
    if len(members) == 1 and members[0][0] == members[0][1]:
        return _char(chr(members[0][0]))
    inverse = members[-1][1] == 0x10FFFF and members[0][0] == 1
    shown = chars.complement(members) if inverse else members
    pairs = (
        _char(chr(low)) + ("-" + _char(chr(high)) if high > low else "") for low, high in shown
    )
    return ("[^\\x00" if inverse else "[") + "".join(pairs) + "]"


def _char(char: str) -> str:
    return char if char.isascii() and char.isalnum() else f"\\x{{{ord(char):X}}}"
