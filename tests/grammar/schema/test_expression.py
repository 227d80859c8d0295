"""Regular expressions mean what ECMA-262 says, judged by Python's `re` where both agree."""

import random
import re
import warnings

import pytest

from expert.errors import ContractError, UsageError
from expert.forms import byte_table
from expert.grammar.schema.contract import compile_schema, verify
from expert.grammar.schema.expression import (
    NotRegularError,
    automaton,
    class_members,
    parse_expression,
)
from expert.grammar.schema.patterns import (
    engine_reads,
    is_expression,
    is_plain,
    search,
    to_engine_syntax,
    unusable,
)
from expert.grammar.schema.reader import read_schema
from expert.grammar.tokens import TokenTable
from grammar.vocabularies import accepts

TEXTS = ["", "a", "b", "ab", "ba", "aa", "abc", "a1", "1", "-", "]", "[", "\\", '"', "a\\b", "^"]
TEXTS += [
    "é",
    "aé",
    "\n",
    "a\nb",
    " ",
    "\t",
    "&",
    "a&",
    "🙂",
    ".",
    "$",
    "a-b",
    "\x01",
    "\x7f",
    "ccc",
]
_CLASSES = [
    "[ab]",
    "[^a]",
    "[a-c]",
    "[^a-z]",
    r"[\\]",
    r"[^\\]",
    '[^"]',
    r"[^\"\\]",
    "[]a]"[1:] + "]",
]
_CLASSES += [
    r"\d",
    r"\w",
    r"\W",
    r"\D",
    r"[^\d]",
    r"[\w-]",
    "[a&&b]",
    "[!-/:-@[-`{-~]",
    "[a[b]",
    "[+--]",
]
_CLASSES += [r"[^\n]", r"[\x00-\x1f]", r"[^\x00-\x1f]", r"[^\x41-\x7a]", "[é🙂]", "[^é]", r"[\-a]"]
_PLAIN = ["a", "b", "c", "1", "-", "é", r"\.", r"\\", r"\$", r"\^", "&", r"\]", r"\-", r"\/"]


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


def random_pattern(draw: random.Random, depth: int = 2) -> str:
    """Return an expression that means the same to ECMA-262 and to Python."""
    options = []
    for _ in range(draw.choice([1, 1, 1, 2])):
        parts = []
        for _ in range(draw.randint(1, 3)):
            kind = draw.random()
            if depth and kind < 0.2:
                item = draw.choice(["(", "(?:"]) + random_pattern(draw, depth - 1) + ")"
            else:
                item = draw.choice(_CLASSES if kind < 0.6 else _PLAIN)
            simple = not item.startswith("(")
            repeats = ["", "", "?", *(["*", "+", "{2}", "{1,2}", "{2,}", "*?"] if simple else [])]
            parts.append(item + draw.choice(repeats))
        options.append("".join(parts))
    if depth < 2:
        return "|".join(options)
    ends = [draw.choice(["", "^"]), draw.choice(["", "$"])]
    return "|".join(ends[0] + option + ends[1] for option in options)


def python(pattern: str) -> re.Pattern[str]:
    """Return Python's reading of a pattern, where `$` means the very end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class inside of a class may mean more one day
        whole = re.sub(r"\$$|\$(?=\|)", r"\\Z", pattern)
        return re.compile(whole, re.ASCII)


def test_random_expressions_match_what_python_s_do() -> None:
    """The engine, on what is written for it, and our automata give the verdicts of `re`."""
    read = 0
    for seed in range(400):
        pattern = random_pattern(random.Random(seed))
        peer, written = python(pattern), to_engine_syntax(pattern)
        own = automaton(written)
        for text in TEXTS:
            expected = peer.search(text) is not None
            assert search(written, text) == expected, (pattern, written, text)
            if own is not None and text:
                assert own.matches(text) == expected, (pattern, text)
        read += own is not None
    assert read > 300


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (r"^[^\\]+$", ["a", "/"], ["\\", "a\\"]),
        (r'^[^"]*$', ["a", "\\"], ['"', 'a"b']),
        (r'^[^<>:"/\\|?*]+$', ["file.txt", "a b"], ["a\\b", 'a"b', "a/b"]),
        (r"^[\x00-\x1f]$", ["\n", "\x01"], ['"', "\\", "a"]),
        (r"^[[a]$", ["[", "a"], ["\\", "b"]),
        (r"^[a&&b]$", ["a", "&", "b"], ["c"]),
    ],
)
def test_classes_that_the_engine_alone_would_misread(
    octets: TokenTable, pattern: str, right: list[str], wrong: list[str]
) -> None:
    """No answer can hold a quote or backslash that its pattern excludes; the last check agrees."""
    import json

    schema = {"type": "string", "pattern": pattern}
    grammar, document = compile_schema(schema, octets), read_schema(schema)
    for text in right:
        assert accepts(grammar.start(octets), [*json.dumps(text).encode()]), text
        verify(document, json.dumps(text))
    for text in wrong:
        assert not accepts(grammar.start(octets), [*json.dumps(text).encode()]), text
        with pytest.raises(ContractError, match="does not keep its schema"):
            verify(document, json.dumps(text))


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", r"\bа", r"\B", r"\p{L}", r"\k<a>", "a{",
        "a{x}",
        "a{2,1}", "(", ")", "(a", "[a", "[a-", r"[\d-z", "*", "a|*", "(?<a", r"\x{41", r"\xz1",
        r"\u12",
        "\\", r"\0", "(^a)b", "a(?:^b)", "a$b", "a^b", "(?i)a", "x" + "(" * 60 + ")" * 60,
        "[a-\\d]",
    ],
)  # fmt: skip
@pytest.mark.timeout(10)
def test_what_is_not_regular_is_told(pattern: str) -> None:
    """Look-around, back references and what is no expression at all: a typed error, no hang."""
    with pytest.raises(NotRegularError):
        parse_expression(pattern)
    assert automaton(pattern) is None


def test_damaged_expressions_are_read_or_refused() -> None:
    """Whatever is cut out of an expression, nothing but the one error is raised."""
    draw = random.Random(2)
    for seed in range(300):
        pattern = random_pattern(random.Random(seed))
        place = draw.randrange(len(pattern))
        damaged = pattern[:place] + draw.choice(["", "{", "(", "[", "\\", "?", "\\x{", "(?<"])
        damaged += pattern[place + draw.randint(0, 2) :]
        try:
            parse_expression(to_engine_syntax(damaged))
        except NotRegularError:
            continue


def test_the_members_of_a_class() -> None:
    """Ranges, escapes and classes inside; what is not read is None."""
    assert class_members("[a-c]") == ((97, 99),)
    assert class_members(r"[\x00-\x02]") == ((1, 2),)
    assert class_members("[--/]") == ((45, 47),)
    assert class_members("[]") == ()
    assert class_members(r"[\b\t]") == ((8, 9),)
    assert class_members(r"[\p{L}]") is None and class_members("[a") is None


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (r"^\d$", ["7"], ["٣", "x"]),
        (r"^\w$", ["a", "_"], ["é", "-"]),
        (r"^\s$", [" ", "\u00a0", "\ufeff", "\u2028"], ["\u200b", "x"]),
        (r"^\S$", ["x", "\u200b"], [" ", "\u3000"]),
        (r"^[\d\s]+$", ["1 2"], ["a"]),
        (r"^\cA\cj$", ["\x01\n"], ["cAcj"]),
        (r"^.$", ["a", "🙂"], ["\n", ""]),
        (r"^(?<year>\d{4})$", ["2024"], ["24"]),
        (r"^(?=a)[a-z]+$", ["ab"], ["ba"]),
        (r"^(?<a>x)\k<a>$", ["xx"], ["x"]),
        (r"^a$", ["a"], ["a\n"]),
        (r"^[^]$", ["a", "\n"], ["", "ab"]),
        (r"a[]", [], ["a", ""]),
    ],
)
def test_ecma_s_meaning_where_python_s_differs(
    pattern: str, right: list[str], wrong: list[str]
) -> None:
    """Classes are of ASCII, spaces are those of Unicode, and `$` is the very end."""
    written = to_engine_syntax(pattern)
    assert all(search(written, text) for text in right)
    assert not any(search(written, text) for text in wrong)


def test_what_could_take_for_ever_is_refused() -> None:
    """Of expressions with look-around, those that repeat repetitions; the engine has no such."""
    assert search("(a+)+$", "a" * 5000)
    assert not search("^(a+)+$", "a" * 5000 + "b")
    assert "repetition is repeated" in unusable("(?=x)(a+)+")
    assert unusable("(a+)+") == "" and unusable("(?=x)a+") == ""
    with pytest.raises(UsageError, match="cannot be used"):
        search("(?=x)(a+)+", "x")
    assert not search("(?=a)a+", "a" * 3000)  # too long to be tried


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("^a+$", True), (r"\d{2,}", True), ("(?<name>a)", True), ("(?:a|b)", True), ("a(?!b)",
        True),
        (r"\cA", True), (r"[\w.-]+", True), ("", True), ("[^]", True),
        ("a(", False), ("[z-a]", False), ("*", False), ("(?P<a>b)", False), (r"\A", False),
        (r"\Z", False), ("a{2,1}", False), ("(?i)a", False), (r"\a", False), ("[a", False),
    ],
)  # fmt: skip
def test_which_texts_are_expressions(text: str, right: bool) -> None:
    """What only Python knows is none of ECMA-262."""
    assert is_expression(text) is right


def test_what_the_engine_lacks_is_known_beforehand() -> None:
    """Look-around and back references are told without compiling; the engine then agrees."""
    for pattern in ("(?=a)", "(?!a)", "(?<=a)", "(?<!a)", r"(a)\1"):
        assert not is_plain(pattern) and not engine_reads(pattern)
    for pattern in ("(?:a)", "^a|b$", r"\d+", "[^a]"):
        assert is_plain(pattern) and engine_reads(pattern)
