"""Makes a grammar fit for the engine: only rules that can match, and loops instead of recursion.

A rule that can never be completed would trap a generation in it; a rule that ends with itself
costs an Earley parser a row that grows with every repetition.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TypeAlias, TypeGuard

from expert.errors import UsageError
from expert.grammar.form import (
    EMPTY,
    Chars,
    Choice,
    Fold,
    Grammar,
    Node,
    Reference,
    Repeat,
    Sequence,
    Text,
    choice,
    references,
    sequence,
    walk,
)

_LONGEST = 100_000
_UNKNOWN = 1 << 60
_ROUNDS = 20  # of lowering the lengths; few are needed, because rules come after those they use


def normalise(grammar: Grammar) -> Grammar:
    """Return an equal grammar of reachable rules that can match and do not end with themselves.

    Raises:
        UsageError: nothing matches the grammar, or only what no answer has room for.
    """
    rules = reachable(grammar.rules, grammar.root)
    can_match = matching(rules)
    if grammar.root not in can_match:
        raise UsageError(
            f"No text matches the rule `{grammar.root}`.",
            "Every way through it comes back to a rule that is not finished yet, or to an empty "
            f"character set. Rules without an end: {_some(set(rules) - set(can_match))}.",
            "Give each of them an option that does not refer back.",
        )
    rules = {name: _prune(node, can_match) for name, node in rules.items() if name in can_match}
    _require_short(rules)
    rules = {name: _unroll(name, node) for name, node in rules.items()}
    return Grammar(reachable(rules, grammar.root), grammar.root)


def closure(
    rules: dict[str, Node], holds: Callable[[Node, Collection[str]], bool]
) -> dict[str, None]:
    """Return the rules of which *holds* is true, given those before them in the result."""
    users: dict[str, list[str]] = defaultdict(list)
    for name, node in rules.items():
        for used in set(references(node)):
            users[used].append(name)
    known: dict[str, None] = {}
    pending = list(rules)
    while pending:
        name = pending.pop()
        if name not in known and holds(rules[name], known):
            known[name] = None
            pending += users[name]
    return known


def nullable(node: Node, empty_rules: Collection[str]) -> bool:
    """Tell whether *node* matches the empty text, given the rules that do."""

    def leaf(one: Node) -> bool:
        match one:
            case Text(text):
                return not text
            case Reference(name):
                return name in empty_rules
            case _:
                return False

    return Fold(leaf, all, any, _none_or_item)(node)


def _none_or_item(repeat: Repeat, item: Callable[[], bool]) -> bool:
    return repeat.least == 0 or item()


def straight_rules(rules: dict[str, Node]) -> dict[str, None]:
    """Return the rules that never come back to a rule, each after those it refers to."""
    return closure(rules, lambda node, known: all(name in known for name in references(node)))


def matching(rules: dict[str, Node]) -> dict[str, None]:
    """Return the rules that some text matches, each after some that are enough for that."""
    return closure(rules, _matches)


def reachable(rules: dict[str, Node], root: str) -> dict[str, Node]:
    """Return the rules that *root* leads to."""
    found, pending = {root}, [root]
    while pending:
        for name in references(rules[pending.pop()]):
            if name not in found:
                found.add(name)
                pending.append(name)
    return {name: node for name, node in rules.items() if name in found}


def left_recursive(rules: dict[str, Node]) -> set[str]:
    """Return the rules that can come back to themselves before any character was matched."""
    empty_rules = closure(rules, nullable)
    heads = {name: _heads(node, empty_rules) for name, node in rules.items()}
    grounded: set[str] = set()
    while ready := {name for name in heads if name not in grounded and heads[name] <= grounded}:
        grounded |= ready
    return {name for name in heads if name not in grounded and _comes_back(name, heads)}


def has_empty_loop(rules: dict[str, Node]) -> bool:
    """Tell whether something that can be empty repeats without end: left recursion to llama.cpp."""
    empty_rules = closure(rules, nullable)
    return any(
        isinstance(one, Repeat) and one.most is None and nullable(one.item, empty_rules)
        for node in rules.values()
        for one in walk(node)
    )


def _comes_back(name: str, heads: dict[str, set[str]]) -> bool:
    seen, pending = set[str](), [name]
    while pending:
        new = heads[pending.pop()] - seen
        if name in new:
            return True
        seen |= new
        pending += new
    return False


def _heads(node: Node, empty_rules: Collection[str]) -> set[str]:
    """Return the rules that *node* can begin with."""
    Heads: TypeAlias = tuple[set[str], bool]  # and whether more may come before any character

    def leaf(one: Node) -> Heads:
        return {one.name} if isinstance(one, Reference) else set(), nullable(one, empty_rules)

    def in_row(parts: Iterable[Heads]) -> Heads:
        found: set[str] = set()
        for names, empty in parts:
            found |= names
            if not empty:
                return found, False
        return found, True

    def either(options: Iterable[Heads]) -> Heads:
        names, empty = zip(*options, strict=True)
        return set().union(*names), any(empty)

    def again(repeat: Repeat, item: Callable[[], Heads]) -> Heads:
        names, empty = item() if repeat.most != 0 else (set[str](), True)
        return names, empty or repeat.least == 0

    return Fold(leaf, in_row, either, again)(node)[0]


def _matches(node: Node, known: Collection[str]) -> bool:
    def leaf(one: Node) -> bool:
        match one:
            case Chars(ranges):
                return bool(ranges)
            case Reference(name):
                return name in known
            case _:
                return True

    return Fold(leaf, all, any, _none_or_item)(node)


def _prune(node: Node, can_match: Collection[str]) -> Node:
    match node:
        case Sequence(parts):
            return sequence(*(_prune(part, can_match) for part in parts))
        case Choice(options):
            alive = [option for option in options if _matches(option, can_match)]
            return choice(*(_prune(option, can_match) for option in alive))
        case Repeat(item, _, most) if most != 0 and _matches(item, can_match):
            pruned = _prune(item, can_match)
            empty = isinstance(pruned, Text) and not pruned.text
            return EMPTY if empty else replace(node, item=pruned)
        case Repeat():
            return EMPTY
        case _:
            return node


def _require_short(rules: dict[str, Node]) -> None:
    """Refuse rules without a short match: the engine writes out all of a text that is forced."""
    order = list(matching(rules))
    shortest = dict.fromkeys(order, _UNKNOWN)
    for _ in range(_ROUNDS):
        before = list(shortest.values())
        for name in order:
            shortest[name] = _length(rules[name], shortest)
        if before == list(shortest.values()):
            break
    for name, node in rules.items():
        if max(_length(part, shortest) for part in walk(node)) > _LONGEST:
            raise UsageError(
                f"No text of a usable length matches the rule `{name}`.",
                f"Its repetitions add up to more than {_LONGEST:,} characters.",
                "Lower the numbers of its repetitions, and of the rules it refers to.",
            )


def _length(node: Node, shortest: dict[str, int]) -> int:
    """Return the length of the shortest match, given that of each rule."""

    def leaf(one: Node) -> int:
        match one:
            case Text(text):
                return len(text)
            case Reference(name):
                return shortest[name]
            case _:
                return 1

    def again(repeat: Repeat, item: Callable[[], int]) -> int:
        return repeat.least * item() if repeat.least else 0

    length: Fold[int] = Fold(leaf, sum, min, again)
    return length(node)


def _unroll(name: str, node: Node) -> Node:
    """Turn `name ::= a name | b` into `name ::= a* b`."""
    options = node.options if isinstance(node, Choice) else (node,)
    loops = [option.parts[:-1] for option in options if _ends_with(option, name)]
    stops = [option for option in options if not _ends_with(option, name)]
    if not loops:
        return node
    again = Repeat(choice(*(sequence(*parts) for parts in loops)), 0, None)
    return sequence(again, choice(*stops))


def _ends_with(option: Node, name: str) -> TypeGuard[Sequence]:
    if not isinstance(option, Sequence):
        return False
    last = option.parts[-1]
    return isinstance(last, Reference) and last.name == name


def _some(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
