"""Regular parts with the rules they refer to written in place."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from expert.grammar.form import (
    Chars,
    Choice,
    Node,
    Reference,
    Repeat,
    Sequence,
    Text,
    children,
    choice,
    sequence,
)
from expert.grammar.normal import straight_rules

_WEIGHT = 500_000  # characters of an expression with its repetitions written out
_REPEATED = 20_000  # the same for a repetition, each of which costs the engine a state
_DEPTH = 60  # nodes inside each other
_WORK = 1_000_000  # nodes copied for one grammar; beyond, rules stay rules


@dataclass(frozen=True, slots=True)
class _Sized:
    node: Node
    weight: int
    depth: int


class Inliner:
    """Turns nodes that refer to no recursive rule into nodes without references."""

    def __init__(self, rules: dict[str, Node]) -> None:
        self._rules: dict[str, _Sized | None] = {}
        self._known: dict[int, tuple[Node, _Sized | None]] = {}
        """By identity, each beside its node, so that no other node gets that identity."""
        self._work = 0
        for name in straight_rules(rules):
            self._rules[name] = self._inline(rules[name])

    def __call__(self, node: Node) -> Node | None:
        """Return *node* without references, or None if it is not regular, or too large."""
        sized = self._inline(node)
        return sized.node if sized else None

    def _inline(self, node: Node) -> _Sized | None:
        if id(node) not in self._known:
            sized = self._compute(node)
            fits = sized and sized.weight <= _WEIGHT and sized.depth <= _DEPTH
            self._known[id(node)] = node, sized if fits else None
        return self._known[id(node)][1]

    def _compute(self, node: Node) -> _Sized | None:
        match node:
            case Text(text):
                return _Sized(node, len(text), 1)
            case Chars():
                return _Sized(node, 1, 1)
            case Sequence(parts):
                return self._several(parts, sequence)
            case Choice(options):
                return self._several(options, choice)
            case Repeat(item, least, most):
                sized = self._inline(item)
                if sized is None:
                    return None
                weight = sized.weight * max(1, least if most is None else most)
                if weight > _REPEATED:
                    return None
                return _Sized(replace(node, item=sized.node), weight, sized.depth + 1)
            case Reference(name):
                return self._rules.get(name)
            case _:
                return None

    def _several(self, nodes: tuple[Node, ...], build: Callable[..., Node]) -> _Sized | None:
        made, weight, depth = [], 0, 0
        for node in nodes:
            sized = self._inline(node)
            if sized is None or weight + sized.weight > _WEIGHT:
                return None
            made.append(sized.node)
            weight += sized.weight
            depth = max(depth, sized.depth)
        if self._work > _WORK:
            return None
        whole = build(*made)
        flat = len(children(whole))
        self._work += flat
        return _Sized(whole, weight, depth + (flat == len(nodes)))
