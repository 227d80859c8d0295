"""The algebra of regular languages, held against sets of strings that are written out."""

import itertools
import random
from collections.abc import Iterator

import pytest

from expert.metrics import language
from expert.metrics.language import (
    ALL,
    EMPTY,
    NOTHING,
    Both,
    Cat,
    Chars,
    Derivatives,
    Either,
    Many,
    Other,
    Term,
    accepts,
    accepts_empty,
    both,
    cat,
    either,
    equal,
    forget,
    many,
    masks,
    other,
    representatives,
)

SIZE = 2
LONGEST = 4
WORDS = [w for n in range(LONGEST + 1) for w in itertools.product((1, 2), repeat=n)]
"""Every string of up to four characters over an alphabet of two, as bits."""
EVERY = frozenset(WORDS)
A, B = Chars(1), Chars(2)


def words_of(term: Term) -> frozenset[tuple[int, ...]]:
    """Return the short strings of a term by its structure, with sets alone."""
    match term:
        case language.Empty():
            return frozenset({()})
        case Chars(mask):
            return frozenset((bit,) for bit in (1, 2) if mask & bit)
        case Cat(first, rest):
            pairs = itertools.product(words_of(first), words_of(rest))
            return frozenset(a + b for a, b in pairs if len(a + b) <= LONGEST)
        case Many(part):
            found: frozenset[tuple[int, ...]] = frozenset({()})
            grown = words_of(part)
            for _ in range(LONGEST):
                pairs = itertools.product(found, grown)
                found |= {a + b for a, b in pairs if len(a + b) <= LONGEST}
            return found
        case Either(parts):
            return frozenset().union(*map(words_of, parts))
        case Both(parts):
            return EVERY.intersection(*map(words_of, parts))
        case Other(part):
            return EVERY - words_of(part)


def drawn(draw: random.Random, depth: int) -> Term:
    """Return a random term made with the constructors."""
    if depth == 0:
        return draw.choice((A, B, Chars(3), EMPTY, NOTHING, ALL))
    parts = [drawn(draw, depth - 1) for _ in range(draw.randint(1, 3))]
    kind = draw.choice((cat, either, both, many, other))
    return kind(parts[0]) if kind in (many, other) else kind(*parts)


def terms(seed: int, count: int) -> Iterator[Term]:
    """Yield random terms."""
    draw = random.Random(seed)
    for _ in range(count):
        yield drawn(draw, 3)


@pytest.mark.parametrize("seed", range(4))
def test_derivatives_accept_what_the_structure_says(seed: int) -> None:
    """A string belongs to a term by derivatives exactly if it does by its sets."""
    for term in terms(seed, 40):
        wanted = words_of(term)
        found = {word for word in WORDS if accepts(term, word)}
        assert found == wanted, term
        assert accepts_empty(term) == (() in wanted)


@pytest.mark.parametrize("seed", range(3))
def test_equal_terms_have_the_same_strings(seed: int) -> None:
    """Equality is symmetric, holds for a term and itself, and no short string refutes it."""
    made = list(terms(10 + seed, 16))
    for one, two in itertools.combinations(made, 2):
        found = equal(one, two, SIZE)
        assert found is not None and found == equal(two, one, SIZE)
        if found:
            assert words_of(one) == words_of(two)
        elif words_of(one) == words_of(two):
            assert not equal(cat(one, EMPTY), two, SIZE), "they differ in longer strings only"
    assert all(equal(term, term, SIZE) for term in made)


@pytest.mark.parametrize("seed", range(3))
def test_the_laws_of_a_boolean_algebra_hold(seed: int) -> None:
    """De Morgan, distribution, absorption, and the two constants."""
    made = list(terms(20 + seed, 9))
    for x, y, z in zip(made[::3], made[1::3], made[2::3], strict=True):
        assert equal(other(both(x, y)), either(other(x), other(y)), SIZE)
        assert equal(both(x, either(y, z)), either(both(x, y), both(x, z)), SIZE)
        assert equal(either(x, both(x, y)), x, SIZE)
        assert equal(either(x, other(x)), ALL, SIZE) and equal(both(x, other(x)), NOTHING, SIZE)
        assert equal(cat(x, cat(y, z)), cat(cat(x, y), z), SIZE)
        assert equal(cat(either(x, y), z), either(cat(x, z), cat(y, z)), SIZE)
        assert equal(many(many(x)), many(x), SIZE)
        assert equal(many(x), either(EMPTY, cat(x, many(x))), SIZE)


@pytest.mark.parametrize(
    ("made", "simple"),
    [
        (cat(), EMPTY),
        (cat(A), A),
        (cat(A, NOTHING, B), NOTHING),
        (cat(NOTHING, A), NOTHING),
        (cat(cat(A, B), A), cat(A, cat(B, A))),
        (cat(ALL, ALL, A), cat(ALL, A)),
        (either(), NOTHING),
        (either(A, B), Chars(3)),
        (either(A, A), A),
        (either(A, NOTHING), A),
        (either(A, ALL), ALL),
        (either(either(A, EMPTY), B), either(EMPTY, Chars(3))),
        (both(), ALL),
        (both(A, A), A),
        (both(A, ALL), A),
        (both(A, NOTHING), NOTHING),
        (both(EMPTY, many(A)), EMPTY),
        (both(EMPTY, A), NOTHING),
        (both(both(A, many(B)), other(A)), both(A, both(other(A), many(B)))),
        (many(EMPTY), EMPTY),
        (many(NOTHING), EMPTY),
        (many(ALL), ALL),
        (other(other(A)), A),
        (other(NOTHING), ALL),
    ],
)
def test_constructors_leave_one_form(made: Term, simple: Term) -> None:
    """Terms that are the same by a simple law are the same object's equal."""
    assert made == simple and hash(made) == hash(simple)


def test_order_and_repetition_leave_no_trace() -> None:
    """A union or intersection is one term, however its parts are given."""
    parts = [cat(A, B), many(A), cat(B, B)]
    for kind in (either, both):
        forms = {kind(*order, parts[0]) for order in itertools.permutations(parts)}
        assert len(forms) == 1


def test_equal_chains_are_one_object() -> None:
    """Long concatenations are compared by identity, until they are forgotten."""
    one, two = (cat(*[A, B] * 40) for _ in "ab")
    assert one is two
    forget()
    three = cat(*[A, B] * 40)
    assert three is not one and three == one


def test_a_comparison_stops_at_its_limit() -> None:
    """Undecided is None, which is neither equal nor different; with more it is decided."""
    tail = [Chars(3)] * 8
    one, two = cat(ALL, A, *tail), cat(ALL, A, *tail, either(EMPTY, NOTHING))
    longer = cat(ALL, A, *tail, Chars(3))
    assert equal(one, two, SIZE, limit=1) is True, "equal terms need no derivative"
    assert equal(one, longer, SIZE, limit=3) is None
    assert equal(one, longer, SIZE) is False


def test_derivatives_are_computed_once() -> None:
    """The same question again costs nothing."""
    derivatives = Derivatives()
    assert len(derivatives) == 0
    first = derivatives.of(cat(A, B), 1)
    known = len(derivatives)
    assert first == B and derivatives.of(cat(A, B), 1) is first and len(derivatives) == known
    assert derivatives.of(cat(A, B), 2) == NOTHING and len(derivatives) > known


def test_characters_that_no_set_tells_apart_share_a_representative() -> None:
    """Of a hundred characters, three classes need three derivatives."""
    sets = masks(either(cat(Chars(0b0011), many(Chars(0b0110))), other(cat(Chars(0b0011), A))))
    assert sets == {0b0011, 0b0110, 0b0001}
    kept = representatives(100, {0b0011, 0b0110})
    assert kept == [0b0001, 0b0010, 0b0100, 0b1000]
    assert representatives(100, set()) == [1]
    assert representatives(0, {1}) == []
