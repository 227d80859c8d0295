"""Regular expressions as a tree, written out as Python source for `re.search`.

The trees describe whole lines. Written out, a leading or trailing `.*` is dropped and its absence
becomes `^` or `$`; intersection and complement, which Python lacks, become lookaheads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Atom:
    """Source that binds as one unit: a class, a dot, a boundary, or a literal of any length."""

    source: str


@dataclass(frozen=True)
class Concat:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    part: Node


@dataclass(frozen=True)
class Repeat:
    part: Node
    suffix: str


Node = Atom | Concat | Or | And | Not | Repeat
ANYTHING = Repeat(Atom("."), "*")


def contains(node: Node) -> Concat:
    """Return the lines that have `node` somewhere."""
    return Concat((ANYTHING, node, ANYTHING))


def source(node: Node) -> str:
    """Return Python source for a node inside a larger pattern."""
    match node:
        case Atom(text):
            return text
        case Concat(parts):
            return "".join(f"(?:{source(p)})" if isinstance(p, Or) else source(p) for p in parts)
        case Or(parts):
            return "|".join(source(part) for part in parts)
        case Repeat(part, suffix):
            text = source(part)
            one = isinstance(part, Atom) and re.fullmatch(r"\\?.|\[[^\]]*\]", text, re.S)
            return (text if one else f"(?:{text})") + suffix
        case Not(part):
            return f"(?!{source(part)})"
        case And(parts):
            *ahead, last = parts
            return "".join(f"(?={source(part)})" for part in ahead) + _grouped(last)


def _grouped(node: Node) -> str:
    return f"(?:{source(node)})" if isinstance(node, Or) else source(node)


def _to_the_end(node: Node) -> str:
    text = _grouped(node)
    return text.removesuffix(".*") if text.endswith(".*") else text + "$"


def searched(node: Node) -> str:
    """Return the pattern with which `re.search` finds exactly the lines a tree describes."""
    match node:
        case And(parts):
            return "^" + "".join(_ahead(part) for part in parts)
        case Not():
            return "^" + _ahead(node)
    text = _to_the_end(node)
    return (text.removeprefix(".*") if text.startswith(".*") else "^" + text) or ".*"


def _ahead(node: Node) -> str:
    match node:
        case Not(And(parts)):
            return f"(?!{''.join(_ahead(part) for part in parts)})"
        case Not(part):
            return f"(?!{_to_the_end(part)})"
        case And(parts):
            return "".join(_ahead(part) for part in parts)
    return f"(?={_to_the_end(node)})"
