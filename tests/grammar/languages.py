"""All short texts of a grammar, found without any parsing: the peer for what changes grammars."""

import random
from itertools import product

from expert.grammar import chars, form
from expert.grammar.form import Chars, Choice, Grammar, Node, Reference, Repeat, Sequence, Text

LETTERS = "ab"


def words(longest: int, letters: str = LETTERS) -> list[str]:
    """Return every text of *letters* with at most *longest* characters, the short ones first."""
    return ["".join(one) for size in range(longest + 1) for one in product(letters, repeat=size)]


def language(grammar: Grammar, longest: int) -> set[str]:
    """Return the texts of at most *longest* characters that *grammar* matches."""
    return languages(grammar.rules, longest)[grammar.root]


def languages(rules: dict[str, Node], longest: int) -> dict[str, set[str]]:
    """Return the same for every rule: the least sets of texts that satisfy all rules at once."""
    known: dict[str, set[str]] = {name: set() for name in rules}
    while True:
        grown = {name: texts_of(node, known, longest) for name, node in rules.items()}
        if grown == known:
            return known
        known = grown


def possible(rules: dict[str, Node]) -> set[str]:
    """Return the rules that any text matches, however long: with every character made empty."""
    silent = {name: _silent(node) for name, node in rules.items()}
    return {name for name, found in languages(silent, 0).items() if found}


def _silent(node: Node) -> Node:
    match node:
        case Text():
            return Text("")
        case Chars(ranges):
            return Text("") if ranges else node
        case Sequence(parts):
            return Sequence(tuple(map(_silent, parts)))
        case Choice(options):
            return Choice(tuple(map(_silent, options)))
        case Repeat(item, least, most):
            return Repeat(_silent(item), least, most)
        case _:
            return node


def texts_of(node: Node, known: dict[str, set[str]], longest: int) -> set[str]:
    """Return the texts of one node, given those known of each rule."""
    match node:
        case Text(text):
            return {text} if len(text) <= longest else set()
        case Chars(ranges):
            points = (point for low, high in ranges for point in range(low, high + 1))
            return set(map(chr, points)) if longest else set()
        case Sequence(parts):
            whole = {""}
            for part in parts:
                whole = _joined(whole, texts_of(part, known, longest), longest)
            return whole
        case Choice(options):
            return set().union(*(texts_of(option, known, longest) for option in options))
        case Reference(name):
            return known[name]
        case Repeat(item, least, most):
            return _repeated(texts_of(item, known, longest), least, most, longest)
    raise AssertionError(f"no text: {node}")


def _joined(left: set[str], right: set[str], longest: int) -> set[str]:
    return {one + other for one in left for other in right if len(one) + len(other) <= longest}


def _repeated(item: set[str], least: int, most: int | None, longest: int) -> set[str]:
    row = {""}
    for _ in range(least):
        row = _joined(row, item, longest)
    whole, count = set(row), least
    while most is None or count < most:
        row = _joined(row, item, longest)
        if row <= whole:
            break
        whole, count = whole | row, count + 1
    return whole


def random_node(draw: random.Random, depth: int, rules: list[str]) -> Node:
    """Return a small node over *LETTERS*; it refers to *rules* wherever it likes."""
    kind = draw.randrange(7 if depth else 3)
    if kind == 0:
        return Text("".join(draw.choices(LETTERS, k=draw.choice([0, 1, 1, 2]))))
    if kind == 1:
        return Chars(chars.of(draw.choice(["a", "b", "ab", "ab", ""])))
    if kind == 2:
        return Reference(draw.choice(rules)) if rules else Chars(chars.of("b"))
    parts = [random_node(draw, depth - 1, rules) for _ in range(draw.randint(1, 3))]
    if kind <= 4:
        return form.sequence(*parts)
    if kind == 5:
        return form.choice(*parts)
    least = draw.randint(0, 2)
    return Repeat(parts[0], least, draw.choice([None, least, least + 1, least + 2]))


def random_grammar(seed: int) -> Grammar:
    """Return a small grammar with every kind of recursion, and with rules that nothing matches."""
    draw = random.Random(seed)
    names = ["root", "r1", "r2"][: draw.randint(1, 3)]
    return Grammar({name: random_node(draw, 2, names) for name in names})
