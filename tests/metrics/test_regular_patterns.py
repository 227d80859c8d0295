"""Languages of patterns agree with `re` itself on every short string, and comparisons are exact."""

import itertools
import re

import pytest

from expert.metrics.language import (
    ALL,
    EMPTY,
    NOTHING,
    Chars,
    accepts,
    cat,
    equal,
    many,
    other,
)
from expert.metrics.patterns import Alphabet, same_lines

LETTERS = "ab 1"
PATTERNS = [
    "^(?=.*[AEIOUaeiou])(?=.*ab)", "^(?!.*ab)", r"\ba", r"a\b", "^(?:ab){2,}", "[a-c]+$", "^.*a$",
    "a.*b.*a", "^(?=(?:.*a){2})(?!.*b$)", "^(?!(?=.*a)(?=.*b))", "(?:a|b)*$", "^$", "a?b{1,2}$",
    r"\b\w{2}\b", "^(?:a|bb)*$", r"\Ba", "(?:(?=a)a|b){1,2}$", r"(?:ab|a)\b.*b", "^[^ab]", r"^\s*a",
    "^a|b$", r"(a|\d)\1?$".replace(r"\1?", ""), "a{0}b$", r"^\W|\D$", "^(?:(?!ab)(?=.a).){1,3}$",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_what_re_finds(pattern: str) -> None:
    """Every string of up to five characters is found by the language if `re.search` finds it."""
    alphabet = Alphabet(pattern)
    term = alphabet.found(pattern)
    for length in range(6):
        for letters in itertools.product(LETTERS, repeat=length):
            text = "".join(letters)
            assert accepts(term, alphabet.bits(text)) == bool(re.search(pattern, text)), text


@pytest.mark.parametrize(("one", "two"), list(itertools.combinations(PATTERNS[:9], 2)))
def test_a_comparison_agrees_with_every_short_string(one: str, two: str) -> None:
    """Patterns that some short string tells apart are not equal."""
    texts = ["".join(p) for n in range(5) for p in itertools.product(LETTERS, repeat=n)]
    apart = any(bool(re.search(one, text)) != bool(re.search(two, text)) for text in texts)
    assert not (apart and same_lines(one, two))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("^(?=.*a)(?=.*b)", "a.*b|b.*a"),
        ("[0-9]", r"^.*[0-9].*$"),
        ("^(?!(?!.*a))", "a"),
        ("^(?:ab)+$", "^ab(?:ab)*$"),
        (r"\bab\b", r"(?:^|[^\w])ab(?:$|[^\w])"),
        ("^(?=.*[a-z])(?=.*[A-Z])", "(?:[a-z].*[A-Z]|[A-Z].*[a-z])"),
        ("a{2,}", "aa"),
        ("(?:a|b){3}", "[ab][ab][ab]"),
    ],
)
def test_equivalent_patterns_are_equal(one: str, two: str) -> None:
    """Patterns written differently for the same lines are recognised, both ways round."""
    assert same_lines(one, two) and same_lines(two, one)


@pytest.mark.parametrize(
    ("one", "two"),
    [("a", "b"), ("^a", "a"), ("a+$", "a*$"), (r"\bab", "ab"), ("[a-y]", "[a-z]"), ("a{3}", "aa")],
)
def test_different_patterns_are_not(one: str, two: str) -> None:
    """One line that only one of them finds is enough."""
    assert not same_lines(one, two)


def test_placeholders_are_atoms() -> None:
    """The word a prompt names counts as one symbol: other words do not equal it, and neither does a
    class of its letters.
    """
    words = ("lamp", "lamp_post")
    assert same_lines("^(?=.*lamp)(?=.*x)", "lamp.*x|x.*lamp", words)
    assert not same_lines("lam", "lamp", words)
    assert not same_lines("[a-z].*lamp", "lamp", words)
    assert same_lines(r".*lamp_post", "lamp_post", words)
    assert not same_lines("lamp_post", "lamp", words)
    assert same_lines("^.*9.*[0-9]{9,}", "9.*[0-9]{9}", ("9",))
    assert same_lines(r"\blamp\b.*", r"^.*\blamp\b", words)


@pytest.mark.parametrize(
    "answer", ["(", "a)", "[", "(?<=a)b", r"(a)\1", "a{99999}", "(?i)a", "((" * 99]
)
def test_what_is_no_regular_language_equals_only_itself(answer: str) -> None:
    """Broken, irregular and huge answers are wrong, not errors."""
    assert not same_lines(answer, "a.*b")


def test_undecided_within_the_limit_is_said() -> None:
    """A comparison that would take too long says so instead of guessing."""
    alphabet = Alphabet("ab")
    one = alphabet.found("a.{18}$")
    assert equal(one, alphabet.found("a.{17}a?.$"), len(alphabet), limit=200) is None


def test_terms_simplify() -> None:
    """What changes nothing leaves no trace, so that equal states are recognised."""
    a = Chars(1)
    assert cat(EMPTY, a, EMPTY) == a and cat(a, NOTHING) == NOTHING
    assert many(many(a)) == many(a) and other(other(a)) == a and cat(ALL, ALL) == ALL
