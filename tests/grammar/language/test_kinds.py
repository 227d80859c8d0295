"""The words of forms: how they are cut, what each kind means, and where mistakes are."""

import ast
import random
import re

import pytest

from expert.errors import UsageError
from expert.forms import byte_table
from expert.grammar.language.compiler import compile_form, read_form
from expert.grammar.language.reader import read
from expert.grammar.language.source import Place, tokens, unquote
from expert.grammar.normal import normalise
from expert.grammar.shortest import opening
from expert.grammar.tokens import TokenTable
from grammar.vocabularies import accepts

HERE = Place("my.form", 3, 5)


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


def matches(table: TokenTable, form: str, text: str) -> bool:
    """Tell whether a form matches a text."""
    return accepts(compile_form(form).start(table), [*text.encode()])


def test_a_line_is_cut_into_words_with_their_places() -> None:
    """Words, numbers, quotations and signs, each with its column; comments are nothing."""
    found = tokens('list of x-1, 20 "a \\"b\\"" # "no', HERE)
    assert [(one.kind, one.text, one.place.column) for one in found] == [
        ("name", "list", 5), ("name", "of", 10), ("name", "x-1", 13), ("sign", ",", 16),
        ("number", "20", 18), ("quote", 'a "b"', 21),
    ]  # fmt: skip
    assert all(one.place.line == 3 for one in found)


def test_quotations_say_what_python_s_do() -> None:
    """For the escapes that there are; any other is told."""
    draw = random.Random(4)
    for _ in range(100):
        text = "".join(draw.choices(["\\n", "\\t", "\\r", '\\"', "\\\\", "a", "é", "'", "#"], k=6))
        assert unquote(f'"{text}"', HERE) == ast.literal_eval(f'"{text}"')
    for letter in "abfxu0'{":
        with pytest.raises(UsageError, match=re.escape(f"unknown escape \\{letter}")):
            unquote(f'"\\{letter}"', HERE)


def test_definitions_are_read_with_their_lines() -> None:
    """In order, without comments and empty lines, whatever ends a line."""
    text = "# first\r\na: word\r\n\r\nb:  # nothing yet\r\n  | x\r\n\r\n"
    text += "  # not this\r\n\t| y\r\nc: integer"
    found = read(text, "f")
    assert list(found) == ["a", "b", "c"]
    assert [line.text for line in found["b"].lines] == ["| x", "| y"]
    assert [(line.place.line, line.place.column) for line in found["b"].lines] == [(5, 3), (8, 2)]
    assert found["c"].place.line == 9 and not found["c"].lines


@pytest.mark.parametrize(
    ("least", "most"), [(1, 1), (1, 2), (0, 1), (0, 4), (2, 2), (2, 3), (3, 5), (0, 2)]
)
def test_texts_have_their_length_and_no_space_at_an_edge(
    octets: TokenTable, least: int, most: int
) -> None:
    """Exactly those of so many characters on one line."""
    form = f"a: text {least} to {most}"
    for text in (
        "",
        "x",
        " ",
        "xy",
        "x ",
        " x",
        "x y",
        "xyz",
        "  ",
        "x  y",
        "wxyz",
        "w xyz",
        "uvwxyz",
        "é",
        "é🙂",
    ):
        right = least <= len(text) <= most and text == text.strip()
        assert matches(octets, form, text) == right, text
    assert not matches(octets, form, "a\nb") and not matches(octets, form, "\x85")


@pytest.mark.parametrize(("least", "most"), [(1, 3), (0, 2), (2, 2), (1, 1), (0, 1), (3, 4)])
@pytest.mark.parametrize("between", [", ", "", "\n", "a"])
def test_lists_have_their_length(octets: TokenTable, least: int, most: int, between: str) -> None:
    """So many items, with what stands between them and nothing around them."""
    quoted = between.replace("\n", "\\n")
    form = f'a: list of b, {least} to {most}, separated by "{quoted}"\nb: one of x, yy'
    for count in range(6):
        text = between.join(["x", "yy", "x", "x", "yy"][:count])
        assert matches(octets, form, text) == (least <= count <= most), text
        if count and between:
            assert not matches(octets, form, text + between)


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        ("a: list of list of b, 2, separated by \"-\"\nb: one of x", ["x-x", "x-x, x-x"], ["x"]),
        ("a: optional list of b, 2\nb: one of x", ["", "x, x"], ["x"]),
        ("a: one of a b c, 12 x or \"q\"", ["a b c", "12 x", "q"], ["a", "or"]),
        ('a: one of "or", ","', ["or", ","], [""]),
        ("a: list of b, 0\nb: word", [""], ["x"]),
        ('a: optional ""', [""], ["x"]),
        ('a: "" or "x"', ["", "x"], ["y"]),
        ('a: template "{{{b}}}"\nb: one of x', ["{x}"], ["x", "{{x}}"]),
        ("a:\n  |{b}\n  |  y\nb: one of x", ["x\n y"], ["x\n  y", "x"]),
        ("a:\n  |", [""], ["\n"]),
        ("a:\n  x: b\n  y: optional b\n  z: optional b\nb: one of 1", ["x: 1", "x: 1\nz: 1",
        "x: 1\ny: 1\nz: 1"],
         ["y: 1", "x: 1\n", "x: 1\nz: 1\ny: 1"]),
        ("a:\n  x: optional b\n  y: optional b\n  z: b\nb: one of 1", ["z: 1", "x: 1\nz: 1",
        "y: 1\nz: 1"],
         ["x: 1\ny: 1", "y: 1\nx: 1\nz: 1"]),
    ],
)  # fmt: skip
def test_kinds_inside_of_kinds(
    octets: TokenTable, form: str, right: list[str], wrong: list[str]
) -> None:
    """An inner kind takes the words up to where it ends; printed, the form is the same."""
    assert all(matches(octets, form, text) for text in right)
    assert not any(matches(octets, form, text) for text in wrong)


@pytest.mark.parametrize(
    ("form", "place", "problem"),
    [
        ('a: word ""', "1:9", "unexpected"),
        ('a: one of low ""', "1:15", "unexpected"),
        ('a: word "x"', "1:9", "unexpected 'x'"),
        ('a: list of word, separated by "\0"', "1:31", "no answer can hold"),
        ('a: list of word, separated by "\ud800"', "1:31", "no answer can hold"),
        ('a: "\0"', "1:4", "no answer can hold"),
        ("a:\n  | \0", "2:5", "no answer can hold"),
        ('a: text "5"', "1:9", "expected a number"),
        ("a: list word", "1:9", "expected `of`"),
        ('a: list of word, separated "x"', "1:28", "expected `by`"),
        ("a: list of word, separated by x", "1:31", "in quotes"),
        ("a: text up 5", "1:12", "expected `to`"),
        ("a: text 2001", "1:9", "more than 2000"),
        ("a: schema", "1:1", "expected a file"),
        ("a: template", "1:1", "expected a template"),
        ("a: one of", "1:1", "expected an option"),
        ("a: word or", "1:1", "expected a kind"),
        ("a:\n  | {b", "2:5", "no partner"),
        ("a:\n  | }", "2:5", "no partner"),
        ("a:\n  | {}", "2:6", "expected a kind"),
        ("a:\n  x word", "2:3", "expected a field"),
        ("a:\n  : word", "2:3", "expected a field"),
        ("1a: word", "1:1", "a name and a colon"),
    ],
)
def test_mistakes_have_their_place(form: str, place: str, problem: str) -> None:
    """At the word that is wrong, or at the name of the definition where one is missing."""
    with pytest.raises(UsageError) as caught:
        read_form(form, "f")
    assert caught.value.what.startswith(f"f:{place}:"), caught.value.what


def test_every_kind_ends_in_time() -> None:
    """Each has a shortest text, so that an answer can always be closed."""
    for kind in ("text", "word", "integer", "number", "date", "time", "date-time", "json",
    "list of word",
                 "optional text", "one of a, b", 'template "{word}-{date}"'):  # fmt: skip
        state = opening(normalise(read_form(f"a: {kind}")))
        assert state is not None
        assert len(next(state.suggestions())) <= 20
