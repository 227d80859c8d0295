"""What is written for the mask engine: expressions in Rust's syntax, rules and tokens in Lark."""

import random

import pytest

from expert.errors import UsageError
from expert.forms import byte_table
from expert.grammar import chars
from expert.grammar.chars import Ranges
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.form import (
    Chars,
    Choice,
    Fold,
    Grammar,
    Lexeme,
    Node,
    Reference,
    Repeat,
    Schema,
    Sequence,
    Text,
    Token,
    choice,
    optional,
    references,
    sequence,
    walk,
)
from expert.grammar.lark import bind_tokens, to_lark
from expert.grammar.normal import normalise
from expert.grammar.regex import count, regex
from expert.grammar.tokens import TokenTable
from grammar.languages import random_node, texts_of, words
from grammar.vocabularies import accepts


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


def matches(table: TokenTable, engine: str, text: str) -> bool:
    """Ask the mask engine for its verdict."""
    return accepts(CompiledGrammar(engine).start(table), [*text.encode()])


def test_an_expression_matches_what_its_node_does(octets: TokenTable) -> None:
    """In the engine's dialect, with every kind of nesting and repetition."""
    tried = 0
    for seed in range(120):
        written = random_node(random.Random(seed), 3, [])
        texts = texts_of(written, {}, 4)
        if not texts:
            continue
        node = normalise(Grammar({"root": written})).rules["root"]
        if not regex(node):
            continue
        tried += 1
        for word in words(3):
            assert matches(octets, f'start: /{regex(node)}/ | ""', word) == (
                word in texts or not word
            ), (regex(node), word)
    assert tried > 50


@pytest.mark.parametrize(
    "members",
    [
        chars.of("a"), chars.of("-]^\\/"), chars.of('"\n\t '), chars.of("é日🙂"), chars.ANY,
        chars.complement(chars.of("a")), chars.complement(chars.of("\"\\^]-")),
        chars.complement(chars.of("🙂é")), chars.ranges([(1, 0x1F), (0x7F, 0x10FFFF)]),
        chars.ranges([(0x800, 0xFFFF)]),
    ],
)  # fmt: skip
def test_a_set_has_its_characters_in_the_engine(octets: TokenTable, members: Ranges) -> None:
    """Whatever a character means inside of brackets, and whichever way the set is written."""
    for char in "abz09-]^\\/\"'\n\t é日本🙂🙃\x01\x1f\x7f\x80\uffff":
        inside = chars.overlap(members, chars.of(char))
        assert matches(octets, f"start: /{regex(form_of(members))}/", char) == inside, char


def form_of(members: Ranges) -> Node:
    """Return the set between two empty texts, which change nothing."""
    return Sequence((Text(""), Chars(members), Text("")))


def test_every_character_of_a_text_stands_for_itself(octets: TokenTable) -> None:
    """None is an operator of the expression or ends the lexeme."""
    for text in ("a.b", "/", "a/b/c", "\\n", "(?:x)", "[a-z]", "x{2}", "$^|*+?", "é\n日", " "):
        engine = f"start: /{regex(Text(text))}/"
        assert matches(octets, engine, text)
        assert not matches(octets, engine, text + text[-1])
        assert not matches(octets, engine, "z" * len(text))


@pytest.mark.parametrize(
    ("least", "most", "shown"),
    [(0, None, "*"), (1, None, "+"), (0, 1, "?"), (2, None, "{2,}"), (3, 3, "{3}"), (0, 4, "{0,4}"),
     (1, 1, "{1}"), (1, 2, "{1,2}")],
)  # fmt: skip
def test_repetitions_are_counted_alike_in_expressions_and_rules(
    octets: TokenTable, least: int, most: int | None, shown: str
) -> None:
    """The operator has its meaning inside of a lexeme and between lexemes."""
    assert count(least, most) == shown
    rule = Grammar({"root": Sequence((Lexeme("/x/"), Repeat(Lexeme("/a/"), least, most)))})
    for number in range(6):
        right = least <= number and (most is None or number <= most)
        assert matches(octets, f"start: /xa{shown}/", "x" + "a" * number) == right
        assert matches(octets, to_lark(rule), "x" + "a" * number) == right


def test_choices_inside_of_rows_and_repetitions_keep_together(octets: TokenTable) -> None:
    """`(a | b) c` is not `a | b c`, and a repetition repeats all of its options."""
    a, b, c = Lexeme("/a/"), Lexeme("/b/"), Lexeme("/c/")
    either = Choice((a, Sequence((b, b))))
    engine = to_lark(Grammar({"root": Sequence((either, Repeat(either, 0, 2), c))}))
    for text in ("ac", "bbc", "abbac", "abbbbc"):
        assert matches(octets, engine, text), text
    for text in ("a", "bc", "c", "aaaac", "abc"):
        assert not matches(octets, engine, text), text


def test_schemas_and_empty_texts_are_rules_too(octets: TokenTable) -> None:
    """A JSON Schema stands between lexemes, and nothing at all is an option."""
    schema = Schema('{"enum": [1, "x"]}')
    rules: dict[str, Node] = {"root": Sequence((Lexeme("/=/"), Choice((schema, Text("")))))}
    engine = to_lark(Grammar(rules))
    assert matches(octets, engine, '="x"') and matches(octets, engine, "=")
    assert not matches(octets, engine, "=2")


def test_rules_may_have_any_name(octets: TokenTable) -> None:
    """Names with spaces, of keywords, or alike but for their case are still different rules."""
    rules: dict[str, Node] = {
        "start": Sequence((Reference("a b"), Reference("A B"), Reference("%json"))),
        "a b": Lexeme("/x/"),
        "A B": Lexeme("/y/"),
        "%json": Lexeme("/z/"),
    }
    assert matches(octets, to_lark(Grammar(rules, "start")), "xyz")


def test_the_same_lexeme_is_written_once() -> None:
    """Equal expressions are one terminal, or the engine would take them for ambiguous."""
    rules: dict[str, Node] = {"root": Sequence((Lexeme("/x/"), Lexeme("/y/"), Lexeme("/x/")))}
    text = to_lark(Grammar(rules))
    assert text.count("/x/") == 1 and text.count("/y/") == 1


def test_tokens_are_bound_to_their_numbers() -> None:
    """By name or number, and any token but one; an unknown name is told."""
    rules: dict[str, Node] = {
        "root": Sequence((Token("<think>"), Token("<é>", other=True), Token(7), Token(8, True)))
    }
    text = to_lark(Grammar(rules))
    numbers = {"<think>": 3, "<é>": 44}
    assert "<[3]> <[^44]> <[7]> <[^8]>" in bind_tokens(text, numbers.get)
    with pytest.raises(UsageError, match="no single token <é>"):
        bind_tokens(text, {"<think>": 3}.get)


@pytest.mark.parametrize(("length", "right"), [(900, True), (1100, False)])
def test_chains_of_rules_have_a_depth(length: int, right: bool) -> None:
    """A chain that the engine's compiler would overflow on is refused before it gets there."""
    rules: dict[str, Node] = {f"r{i}": Reference(f"r{i + 1}") for i in range(length)}
    grammar = Grammar({**rules, f"r{length}": Lexeme("/x/")}, "r0")
    if right:
        assert to_lark(grammar)
        return
    with pytest.raises(UsageError, match="too deeply"):
        to_lark(grammar)


def test_the_depth_is_that_of_the_first_way_through() -> None:
    """A rule met before adds nothing, so a list of a thousand rules is not deep."""
    rules: dict[str, Node] = {f"r{i}": Lexeme(f"/x{i}/") for i in range(3000)}
    rules["root"] = Sequence(tuple(map(Reference, rules)))
    assert to_lark(Grammar(rules))


def test_rows_and_choices_are_made_flat() -> None:
    """Parts of parts stand in one row, empty texts vanish, and one alone stands for itself."""
    a, b, c = Text("a"), Text("b"), Text("c")
    assert sequence(a, Sequence((b, c)), Text("")).__class__ is Sequence
    assert [one for one in walk(sequence(sequence(a, b), c)) if isinstance(one, Text)] == [a, b, c]
    assert sequence(Text(""), a) is a and choice(a) is a
    assert isinstance(sequence(), Text) and sequence(Text("")) is sequence()
    nested = choice(choice(a, b), c)
    assert isinstance(nested, Choice) and nested.options == (a, b, c)
    some = optional(a, b)
    assert isinstance(some, Repeat) and (some.least, some.most) == (0, 1)


def test_references_are_found_in_order_at_any_depth() -> None:
    """A rule's references are all listed, repeated as often as they stand there."""
    x, y = Reference("x"), Reference("y")
    node = Sequence((Choice((x, Repeat(y, 0, 1))), Text("t"), Repeat(Sequence((x, y)), 1, 2)))
    assert list(references(node)) == ["x", "y", "x", "y"]


def test_a_fold_computes_no_more_than_is_asked() -> None:
    """Parts after the one that decides, and items that do not count, are left alone."""
    seen: list[str] = []

    def leaf(node: Node) -> bool:
        assert isinstance(node, Text)
        seen.append(node.text)
        return node.text == "yes"

    fold: Fold[bool] = Fold(leaf, all, any, lambda repeat, item: repeat.least == 0 or item())
    assert fold(Choice((Text("no"), Text("yes"), Text("late"))))
    assert fold(Repeat(Text("unasked"), 0, 3))
    assert not fold(Sequence((Text("no"), Text("after"))))
    assert seen == ["no", "yes", "no"]
