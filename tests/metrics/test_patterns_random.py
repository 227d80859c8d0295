"""Random patterns: their languages are what `re` finds, and a comparison never calls them equal
when some short line tells them apart.
"""

import itertools
import random
import re

import pytest

from expert.metrics.language import accepts
from expert.metrics.patterns import (
    MOST_COPIES,
    PLACEHOLDERS,
    Alphabet,
    Unsupported,
    same_lines,
    with_placeholders,
)

LETTERS = "ab 1"
CHARACTERS = ("a", "b", "1", " ", ".", "[ab]", "[^a]", r"\w", r"\d", r"\W", r"\s", "[a-c1]")
TIMES = ("*", "+", "?", "{2}", "{1,2}", "{0,1}", "*?", "{2,}")
LINES = ["".join(p) for n in range(5) for p in itertools.product(LETTERS, repeat=n)]


class Patterns:
    """Draws patterns of every construct that is a regular language."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)

    def pattern(self, depth: int = 2) -> str:
        """Return a pattern, now and then with an alternative."""
        made = "".join(self._item(depth) for _ in range(self._draw.randint(1, 3)))
        if self._draw.random() < 0.25:
            made += "|" + "".join(self._item(depth) for _ in range(self._draw.randint(0, 2)))
        return made

    def _item(self, depth: int) -> str:
        share = self._draw.random()
        if depth == 0 or share < 0.5:
            made = self._draw.choice(CHARACTERS)
        elif share < 0.6:
            return self._draw.choice(("^", "$", r"\b", r"\B"))
        else:
            opened = self._draw.choice(("(?:", "(", "(?=", "(?!"))
            made = f"{opened}{self.pattern(depth - 1)})"
        return made + (self._draw.choice(TIMES) if self._draw.random() < 0.35 else "")


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@pytest.mark.parametrize("seed", range(6))
def test_random_patterns_find_what_re_finds(seed: int) -> None:
    """Lookaheads, boundaries, repetitions and alternatives nested in each other."""
    patterns, draw, read = Patterns(seed), random.Random(seed), 0
    for _ in range(40):
        pattern = patterns.pattern()
        alphabet = Alphabet(pattern)
        try:
            term = alphabet.found(pattern)
        except Unsupported:
            continue
        read += 1
        for text in draw.sample(LINES, 25):
            found = accepts(term, alphabet.bits(text))
            assert found == bool(re.search(pattern, text)), (pattern, text)
    assert read >= 25, "most of what is drawn must be read, or nothing is shown"


@pytest.mark.parametrize("seed", range(4))
def test_random_pairs_are_never_equal_by_mistake(seed: int) -> None:
    """Of two patterns that are called the same, no short line finds only one."""
    patterns = Patterns(100 + seed)
    drawn = [patterns.pattern(1) for _ in range(14)]
    hits = {pattern: [bool(re.search(pattern, line)) for line in LINES] for pattern in drawn}
    equal = 0
    for one, two in itertools.combinations(drawn, 2):
        if same_lines(one, two):
            equal += 1
            assert hits[one] == hits[two], (one, two)
    assert equal < 91, "not all of them are the same"


REWRITES = [
    lambda p: f"(?:{p})",
    lambda p: f"(?:{p}|{p})",
    lambda p: f"(?:{p})(?=.*)",
    lambda p: f"(?={p})(?:{p})",
    lambda p: f".*(?:{p})",
    lambda p: f"(?:{p}).*",
    lambda p: f"(?:{p}){{1}}",
    lambda p: f"(?!(?!{p}))",
]


@pytest.mark.parametrize("number", range(len(REWRITES)))
def test_rewritten_patterns_stay_the_same(number: int) -> None:
    """A pattern equals itself in brackets, doubled, looked ahead at, or denied twice."""
    for pattern in ("a.*b", "^a+b?$", r"\bab\b", "[^a]{2}", "(?!.*b)^a", "a|b 1"):
        made = REWRITES[number](pattern)
        if made.startswith(".*") and "^" in pattern:
            continue  # nothing may stand before the beginning of a line
        assert same_lines(made, pattern) and same_lines(pattern, made), made


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a{65}", "65 repetitions"),
        (f"(?:ab){{3,{MOST_COPIES + 1}}}", "repetitions"),
        (r"(?:\ba)*", "endless repetition of assertions"),
        ("(?:(?=a)b)+", "endless repetition of assertions"),
        ("(?i:a)", "flags"),
        ("(?<=a)b", "lookbehind"),
        ("(?<!a)b", "lookbehind"),
        (r"(a)\1", "GROUPREF"),
        ("(?>a)b", "ATOMIC"),
        ("a++b", "POSSESSIVE"),
        ("(a)(?(1)b|c)", "GROUPREF_EXISTS"),
    ],
)
def test_what_is_no_regular_language_says_why(pattern: str, why: str) -> None:
    """Each construct that is left out is named, and counts as equal to nothing else."""
    with pytest.raises(Unsupported, match=why):
        Alphabet(pattern).found(pattern)
    assert not same_lines(pattern, "a")
    assert same_lines(pattern, pattern)


@pytest.mark.parametrize("copies", [1, 2, MOST_COPIES])
def test_repetitions_up_to_the_limit_are_counted(copies: int) -> None:
    """`a{n}` at the whole line is exactly n letters: one more or fewer is another language."""
    counted = f"^a{{{copies}}}$"
    assert same_lines(counted, "^" + "a" * copies + "$")
    assert not same_lines(counted, "^" + "a" * (copies + 1) + "$")
    assert not same_lines(counted, "^" + "a" * (copies - 1) + "$")


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (r"\d", "[0-9]", True),
        (r"\D", "[^0-9]", True),
        (r"\s", "[ \t]", True),
        (r"\S", r"[^\s]", True),
        (r"[\w]", r"[^\W]", True),
        (r"[\d\D]", ".", True),
        ("[^^]", r"[^\^]", True),
        ("[a-]", "[-a]", True),
        ("[]a]", r"[a\]]", True),
        (".", r"\w", False),
        (r"\w", "[A-Za-z0-9]", False),
        (r"\.", ".", False),
        ("^a|^b", "^[ab]", True),
        (r"\Aa\Z", "^a$", True),
        ("", "a*", True),
        ("", "a", False),
        ("(?:)", "b?", True),
        ("$^", "^$", True),
        ("a^", "b^", True),  # neither finds anything
    ],
)
def test_classes_and_anchors(one: str, two: str, same: bool) -> None:
    """Classes are the sets of characters they name; anchors hold where they stand."""
    assert same_lines(one, two) is same


@pytest.mark.parametrize(
    ("pattern", "words", "made"),
    [
        ("lamp.*x", ("lamp",), f"{PLACEHOLDERS[0]}.*x"),
        ("lamps", ("lamp",), "lamps"),
        (r"\blamp\b", ("lamp",), rf"\b{PLACEHOLDERS[0]}\b"),
        ("[lamp]", ("lamp",), "[lamp]"),
        ("a{9}9", ("9",), f"a{{9}}{PLACEHOLDERS[0]}"),
        ("[0-9]9", ("9",), "[0-9]9"),
        ("post.lamp", ("lamp", "post"), f"{PLACEHOLDERS[1]}.{PLACEHOLDERS[0]}"),
        ("lamp_post", ("lamp", "lamp_post"), PLACEHOLDERS[1]),
        (r"a\.b", ("a.b",), PLACEHOLDERS[0]),
        ("axb", ("a.b",), "axb"),
        ("lamp", (), "lamp"),
    ],
)
def test_where_a_word_is_put_back(pattern: str, words: tuple[str, ...], made: str) -> None:
    """Whole words become one character; classes, counts and longer words keep theirs."""
    if pattern == "[0-9]9":
        made = f"[0-9]{PLACEHOLDERS[0]}"
    assert with_placeholders(pattern, words) == made


def test_more_words_than_placeholders_are_left_as_they_are() -> None:
    """The data set has eight; a ninth is an ordinary word, not an error."""
    words = tuple(f"word{n}" for n in range(9))
    made = with_placeholders(" ".join(words), words)
    assert made.split() == [*PLACEHOLDERS, "word8"]


def test_an_alphabet_holds_what_its_patterns_name() -> None:
    """Ordinary characters once each, others as named; a line's end is none of them."""
    alphabet = Alphabet("a\nßß→")
    assert len(set(alphabet.characters)) == len(alphabet) == len(Alphabet("")) + 2
    assert "\n" not in alphabet.characters
    assert alphabet.all == sum(alphabet.bits(alphabet.characters))
    assert alphabet.words & alphabet.bits("ß")[0] and not alphabet.words & alphabet.bits("→")[0]
    with pytest.raises(ValueError, match="not found"):
        alphabet.bits("§")
