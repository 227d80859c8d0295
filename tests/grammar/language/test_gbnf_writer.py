"""Printed GBNF is read again by us and by llama.cpp as the grammar that it was printed of."""

import random
from pathlib import Path

import pytest

from expert.errors import UsageError
from expert.grammar import chars
from expert.grammar.form import Chars, Choice, Grammar, Node, Reference, Repeat, Schema, Text, Token
from expert.grammar.form import sequence as row
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.language.gbnf_writer import to_gbnf
from grammar.languages import language, random_grammar
from grammar.llama_peer import LlamaGrammars


def printed(**rules: Node) -> str:
    """Print the grammar of some rules; an underscore in a name stands for a space."""
    return to_gbnf(Grammar({name.replace("_", " "): node for name, node in rules.items()}, "root"))


def again(**rules: Node) -> Node:
    """Print and read a grammar, and return the rule to match."""
    return parse_gbnf(printed(**rules)).rules["root"]


@pytest.mark.parametrize(
    "text", ['"', "\\", "\n\r\t", "\x01\x7f\x85\xa0\xad", "é日🙂", "]-[^", " ", "\u2028\ufeff"]
)
def test_every_text_is_read_as_it_was(text: str) -> None:
    """Whatever needs an escape, or cannot be seen."""
    node = again(root=Text(text))
    assert isinstance(node, Text) and node.text == text
    assert printed(root=Text(text)).count("\n") == 1


@pytest.mark.parametrize("seed", range(30))
def test_every_set_is_read_as_it_was(seed: int) -> None:
    """Ranges and single characters, and the sets of all others."""
    draw = random.Random(seed)
    points = [1, 9, 10, 13, 34, 45, 91, 92, 93, 94, 97, 122, 127, 160, 233, 0xD7FF, 0xE000, 0x1F642]
    pairs = [(low, low + draw.randint(0, 3)) for low in draw.sample(points, draw.randint(1, 5))]
    for members in (chars.ranges(pairs), chars.complement(chars.ranges(pairs)), chars.ANY):
        node = again(root=Chars(members))
        assert isinstance(node, Chars) and node.ranges == members


@pytest.mark.timeout(20)
def test_every_name_becomes_one_of_gbnf_and_stays_apart() -> None:
    """Names with other signs, alike but for these, of the rules of JSON, and the root's own."""
    names = [
        "a b",
        "a-b",
        "a  b",
        "é",
        "日",
        "json-value",
        "json-json-x",
        "json",
        "JSON-x",
        "-",
        "",
    ]
    names += ["start", "root", "root part 3", "value", "value-2"]
    rules: dict[str, Node] = {name: Text(f"<{number}>") for number, name in enumerate(names)}
    rules["the start"] = row(*map(Reference, names), Schema("true"))
    text = to_gbnf(Grammar(rules, "the start"))
    read = parse_gbnf(text).rules
    assert sum(
        isinstance(node, Text) and node.text.startswith("<") for node in read.values()
    ) == len(names)
    plain = parse_gbnf(
        to_gbnf(
            Grammar(
                {k: v for k, v in rules.items() if k != "the start"}
                | {"the start": row(*map(Reference, names))},
                "the start",
            )
        )
    )
    assert language(plain, 60) == {"".join(f"<{number}>" for number in range(len(names)))}


@pytest.mark.parametrize(
    ("node", "shown"),
    [
        (Repeat(Text("a"), 0, 1), '"a"?'),
        (Repeat(Text("ab"), 0, None), '"ab"*'),
        (Repeat(Text("ab"), 1, None), '"ab"+'),
        (Repeat(Text("a"), 2, None), '"a"{2,}'),
        (Repeat(Text("a"), 2, 2), '"a"{2}'),
        (Repeat(Text("a"), 0, 3), '"a"{0,3}'),
        (Repeat(Text("a"), 3, 5000), '"a"{3,}'),
        (Repeat(row(Text("a"), Text("b")), 0, 1), '("a" "b")?'),
        (Repeat(Choice((Text("a"), Text("b"))), 0, 1), '("a" | "b")?'),
        (row(Text("x"), Choice((Text("a"), Text("b")))), '"x" ("a" | "b")'),
        (Token("<think>"), "<think>"),
        (Token(7, other=True), "!<[7]>"),
    ],
)
def test_how_a_node_is_shown(node: Node, shown: str) -> None:
    """As short as GBNF allows, in brackets where it needs them."""
    assert printed(root=node) == f"root ::= {shown}\n"


def test_groups_that_repeat_are_rules_of_their_own() -> None:
    """So that llama.cpp, which counts what a repetition copies, reads large ones."""
    text = printed(root=Repeat(row(*(Text(letter) for letter in "abcdefgh")), 0, 900))
    assert "root-part" in text
    assert parse_gbnf(text)


def test_long_rules_go_on_on_the_next_line() -> None:
    """After a sign that says so, and no line is much longer than a hundred characters."""
    words = [f"word number {number}" for number in range(60)]
    text = printed(root=Choice(tuple(map(Text, words))))
    lines = text.splitlines()
    assert len(lines) > 5 and all(len(line) <= 120 for line in lines)
    assert all(line.endswith("|") for line in lines[:-1])
    assert language(parse_gbnf(text), 30) == set(words)


def test_a_schema_is_printed_as_any_value_with_a_note() -> None:
    """GBNF cannot say more; the schema stands in a comment."""
    text = printed(root=row(Text("="), Schema('{"type": "null"}')))
    assert '# json-value keeps this JSON Schema as well: {"type": "null"}' in text
    assert 'root ::= "=" json-value' in text and parse_gbnf(text)


def test_what_has_no_gbnf_is_told() -> None:
    """A repetition of more than llama.cpp counts, and a grammar that nothing matches."""
    with pytest.raises(UsageError, match="has no GBNF"):
        printed(root=Repeat(Chars(chars.ANY), 2001, None))
    with pytest.raises(UsageError, match="No text matches"):
        printed(root=row(Text("a"), Chars(chars.NONE)))


def test_llama_cpp_reads_what_is_printed(tiny_path: Path) -> None:
    """Random grammars, with every odd set, text and empty part in them."""
    llama, read = LlamaGrammars(tiny_path), 0
    from expert.grammar.normal import has_empty_loop, left_recursive

    try:
        for seed in range(120):
            try:
                text = to_gbnf(random_grammar(seed))
            except UsageError:
                continue
            rules = parse_gbnf(text).rules
            if left_recursive(rules) or has_empty_loop(rules):
                continue  # which llama.cpp does not read, however it is written
            assert llama.verdicts(text, []) is not None, text
            read += 1
        odd = Chars(chars.complement(chars.of('^]-[\\"\n\x01é🙂')))
        assert llama.verdicts(printed(root=row(odd, Text('\x7f\x01\\"\u2028🙂'))), []) is not None
    finally:
        llama.close()
    assert read > 40
