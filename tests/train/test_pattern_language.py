"""Pattern trees against their meaning, by brute force: what a tree describes is what is found.

The meaning is computed apart from `re`, on every short line over a small alphabet.
"""

from __future__ import annotations

import itertools
import random
import re
from functools import cache

import pytest

from expert.train.tasks.notation import (
    NLRX_CLASSES,
    TERM_CLASSES,
    NotationError,
    read_nlrx,
    read_term,
)
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
    searched,
    source,
)

LETTERS = "aB7"
LINES = ["".join(parts) for size in range(6) for parts in itertools.product(LETTERS, repeat=size)]
ATOMS = {"a": "a", "B": "B", "7": "7", "[0-9]": "7", ".": LETTERS, "[A-Za-z]": "aB", "[A-Z]": "B"}
Line = str


@cache
def ends(node: Node, line: Line, start: int) -> frozenset[int]:
    """Return where a match of *node* that begins at *start* may end."""
    match node:
        case Atom(text):
            if len(text) == 2 and text.isalpha():
                return frozenset({start + 2} if line.startswith(text, start) else ())
            fits = start < len(line) and line[start] in ATOMS[text]
            return frozenset({start + 1} if fits else ())
        case Concat(parts):
            reached = frozenset({start})
            for part in parts:
                reached = frozenset(e for place in reached for e in ends(part, line, place))
            return reached
        case Or(parts):
            return frozenset(end for part in parts for end in ends(part, line, start))
        case Repeat(part, suffix):
            low, high = bounds(suffix, len(line))
            reached, found = frozenset({start}), set[int]()
            for count in range(high + 1):
                if count >= low:
                    found |= reached
                reached = frozenset(e for place in reached for e in ends(part, line, place))
            return frozenset(found)
    raise AssertionError(node)


def bounds(suffix: str, longest: int) -> tuple[int, int]:
    """Return the least and the most of a repetition."""
    fixed = {"*": (0, longest), "+": (1, longest + 1), "?": (0, 1)}
    if suffix in fixed:
        return fixed[suffix]
    low, comma, high = suffix[1:-1].partition(",")
    return int(low), int(high) if high else longest + int(low) if comma else int(low)


def described(node: Node, line: Line) -> bool:
    """Tell whether a tree describes a whole line."""
    match node:
        case And(parts):
            return all(described(part, line) for part in parts)
        case Not(part):
            return not described(part, line)
    return len(line) in ends(node, line, 0)


def drawn_part(rng: random.Random, depth: int) -> Node:
    """Return a random tree without intersections and complements."""
    kind = rng.choice(("atom", "atom", "word", "concat", "or", "repeat")) if depth else "atom"
    if kind == "atom":
        return Atom(rng.choice(list(ATOMS)))
    if kind == "word":
        return Atom(rng.choice(("aB", "Ba", "aa")))
    if kind == "repeat":
        suffix = rng.choice(("*", "+", "?", "{2}", "{1,2}", "{2,}"))
        return Repeat(drawn_part(rng, depth - 1), suffix)
    parts = tuple(drawn_part(rng, depth - 1) for _ in range(rng.randint(2, 3)))
    if kind == "or":
        return Or(parts)
    flat = [p for part in parts for p in (part.parts if isinstance(part, Concat) else (part,))]
    return Concat(tuple(flat))


def drawn_tree(rng: random.Random) -> Node:
    """Return a random tree as the readers make them: intersections and complements on top."""
    part = drawn_part(rng, 2)
    kind = rng.choice(("plain", "contains", "starts", "ends", "not", "and"))
    match kind:
        case "contains":
            return contains(part)
        case "starts":
            return Concat((part, ANYTHING))
        case "ends":
            return Concat((ANYTHING, part))
        case "not":
            return Not(contains(part))
        case "and":
            other = drawn_part(rng, 1)
            second = rng.choice((contains(other), Not(contains(other)), other))
            return And((contains(part), second))
    return part


@pytest.mark.parametrize("seed", range(10))
def test_the_pattern_finds_exactly_the_lines_that_a_tree_describes(seed: int) -> None:
    """For random trees, on every line of up to five letters."""
    rng = random.Random(seed)
    for _ in range(15):
        node = drawn_tree(rng)
        pattern = re.compile(searched(node))
        for line in LINES:
            assert bool(pattern.search(line)) is described(node, line), (node, searched(node), line)


@pytest.mark.parametrize("seed", range(4))
def test_the_source_inside_a_pattern_binds_as_one(seed: int) -> None:
    """A tree in the middle of a sequence and under a repetition means what it means alone."""
    rng = random.Random(f"inside {seed}")
    for _ in range(25):
        node = drawn_part(rng, 2)
        inside = Concat((Atom("a"), Repeat(node, "{1,2}"), Atom("7")))
        pattern = re.compile(source(inside))
        for line in LINES:
            assert bool(pattern.fullmatch(line)) is described(inside, line), source(inside)


def written(node: Node) -> str:
    """Write a tree in NL-RX, with brackets wherever one may be needed."""
    match node:
        case Atom(text):
            names = {f"[{held}]": f"[ {name} ]" for name, held in NLRX_CLASSES.items()}
            return names.get(text, text)
        case Concat(parts):
            return " ".join(f"( {written(part)} )" for part in parts)
        case Or(parts):
            return " | ".join(f"( {written(part)} )" for part in parts)
        case Repeat(part, suffix):
            return f"( {written(part)} ) {' '.join(re.findall(r'[0-9]+|[^0-9]', suffix))}"
    raise AssertionError(node)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_in_nlrx_is_read_back(seed: int) -> None:
    """Brackets, classes and repetitions: the pattern that is read describes the same lines."""
    rng = random.Random(f"nlrx {seed}")
    for _ in range(10):
        node = drawn_part(rng, 2)
        pattern = re.compile(searched(read_nlrx(written(node))))
        for line in LINES:
            assert bool(pattern.search(line)) is described(node, line), written(node)


TERMS = {"[0-9]": "<num>", ".": "<any>", "[A-Za-z]": "<let>", "[A-Z]": "<cap>"}


def as_term(node: Node) -> str:
    """Write a tree as a term of StructuredRegex."""
    match node:
        case Atom(text) if len(text) == 2:
            return f"<{text}>"
        case Atom(text):
            return TERMS.get(text, f"<{text}>")
        case Concat(parts):
            return f"concat({','.join(map(as_term, parts))})"
        case Or(parts):
            return f"or({','.join(map(as_term, parts))})"
        case Repeat(part, suffix):
            names = {"*": "star", "?": "optional", "+": "repeatatleast"}
            if suffix in names:
                more = ",1" if suffix == "+" else ""
                return f"{names[suffix]}({as_term(part)}{more})"
            low, comma, high = suffix[1:-1].partition(",")
            name = "repeatrange" if high else "repeatatleast" if comma else "repeat"
            return f"{name}({as_term(part)},{low}{f',{high}' if high else ''})"
    raise AssertionError(node)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_as_a_term_is_read_back(seed: int) -> None:
    """Whatever its arguments, also under `and`, `not`, `contain`, `startwith` and `endwith`."""
    rng = random.Random(f"term {seed}")
    for _ in range(10):
        node = drawn_part(rng, 2)
        meant: list[tuple[str, Node]] = [
            (as_term(node), node),
            (f"contain({as_term(node)})", contains(node)),
            (f"startwith({as_term(node)})", Concat((node, ANYTHING))),
            (f"endwith({as_term(node)})", Concat((ANYTHING, node))),
            (f"not(contain({as_term(node)}))", Not(contains(node))),
            (f"and({as_term(node)},not(<a>))", And((node, Not(Atom("a"))))),
        ]
        for term, wanted in meant:
            pattern = re.compile(searched(read_term(term)))
            for line in LINES:
                assert bool(pattern.search(line)) is described(wanted, line), (term, line)


@pytest.mark.parametrize("name", [name for name in TERM_CLASSES if name != "<any>"])
def test_a_complement_is_every_other_character(name: str) -> None:
    """`notcc` of a class accepts exactly the characters that the class refuses."""
    plain = re.compile(TERM_CLASSES[name])
    if TERM_CLASSES[name].startswith("[^"):
        with pytest.raises(NotationError):
            read_term(f"notcc({name})")
        return
    other = re.compile(source(read_term(f"notcc({name})")))
    for code in range(32, 127):
        assert bool(plain.fullmatch(chr(code))) is not bool(other.fullmatch(chr(code)))


@pytest.mark.parametrize("sign", list(".^$*+?{}[]\\|()-/,;:'\"# &~"))
def test_a_literal_of_a_term_is_itself(sign: str) -> None:
    """Signs that mean something to `re` are escaped; two of them too."""
    for text in (sign, sign + "a", "a" + sign):
        pattern = re.compile(source(read_term(f"<{text}>")))
        assert pattern.fullmatch(text) and not pattern.fullmatch(text + "x")
        twice = re.compile(source(read_term(f"repeat(<{text}>,2)")))
        assert twice.fullmatch(text * 2) and not twice.fullmatch(text)


BROKEN = [
    "<num>", "<let>", "and(", "or(", "concat(", "(", ")", ",", "1", "2", "not(", "star(",
    "repeat(", "repeatrange(", "a", "|", "&", "*", "{", "}", "~", "[", "]", "\\", "b",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_nonsense_is_refused_or_is_a_tree(seed: int) -> None:
    """Random tokens in either notation end in one kind of error, never another."""
    rng = random.Random(f"nonsense {seed}")
    for _ in range(300):
        tokens = rng.choices(BROKEN, k=rng.randint(0, 8))
        for reader, text in ((read_nlrx, " ".join(tokens)), (read_term, "".join(tokens))):
            try:
                assert isinstance(searched(reader(text)), str)
            except NotationError:
                continue
