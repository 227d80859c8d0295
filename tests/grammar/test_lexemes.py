"""Cutting into lexemes changes nothing, and is coarse where it can be."""

import random
import re
import time
from itertools import product

import pytest

from expert.grammar import chars
from expert.grammar.automata import compare, determinise
from expert.grammar.compile import compile_gbnf
from expert.grammar.form import Chars, Choice, Lexeme, Node, Repeat, Sequence, Text, walk
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.lexemes import cut
from expert.grammar.normal import normalise
from expert.grammar.tokens import TokenTable
from grammar.vocabularies import accepts

# Grammars that greedy lexemes would change, each inside a recursive rule so that no single
# expression can hide it; texts matched, and not.
TRAPS = [
    ('a b\na ::= [a-z]+\nb ::= "x"', ["abx", "xx"], ["ab", "x"]),
    ("n n\nn ::= [0-9]+", ["12", "123"], ["1"]),
    ('w* "if"\nw ::= [a-z]', ["if", "ifif", "aif"], ["i", "fi"]),
    ('"a" "ab"? "b"', ["ab", "aabb"], ["aab"]),
    ('ws ws "x"\nws ::= [ \\t]*', ["x", "  x", "\tx"], ["x "]),
    ('("a" | "ab") "bc"', ["abc", "abbc"], ["ab"]),
    ('[a-zé]+ "è"', ["aè", "éè"], ["é"]),
    ('"<" | "<=" "x"?', ["<", "<=", "<=x"], ["<x"]),
    ('s s\ns ::= "\\"" [^"]* "\\""', ['"a""b"'], ['"a"']),
    ('([^<]+ | "<" [a-z]+ ">")*', ["a<b>c", "abc", ""], ["<b"]),
]


@pytest.mark.parametrize(("rules", "matching", "other"), TRAPS)
def test_greed_changes_nothing(
    table: TokenTable, rules: str, matching: list[str], other: list[str]
) -> None:
    """What a greedy lexeme would swallow is still matched by what follows it."""
    body, _, rest = rules.partition("\n")
    grammar = compile_gbnf(f'root ::= "(" root ")" | "[" ({body}) "]"\n{rest}')
    for text in matching:
        assert accepts(grammar.start(table), table.encode(f"([{text}])")), text
    for text in other:
        assert not accepts(grammar.start(table), table.encode(f"([{text}])")), text


JSON = r"""
root ::= value
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (pair ("," ws pair)*)? "}" ws
pair ::= string ":" ws value
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= "-"? ([0-9] | [1-9] [0-9]{0,15}) ("." [0-9]+)? ([eE] [-+]? [0-9]+)? ws
ws ::= [ \n\t]{0,20}
"""


def _lexemes(text: str) -> set[str]:
    rules = cut(normalise(parse_gbnf(text))).rules
    return {n.expression for r in rules.values() for n in walk(r) if isinstance(n, Lexeme)}


def test_json_is_cut_into_its_tokens() -> None:
    """Strings and numbers are lexemes, not characters: that is what makes masks quick."""
    lexemes = _lexemes(JSON)
    assert len(lexemes) < 20
    assert any("u[0-9A-Fa-f]{4}" in lexeme for lexeme in lexemes)
    assert any("[1-9][0-9]{0,15}" in lexeme for lexeme in lexemes)


def test_a_regular_grammar_is_one_lexeme() -> None:
    """Nothing follows the whole, so nothing can be swallowed."""
    assert len(_lexemes('root ::= a b*\na ::= [a-z]+\nb ::= "x" a')) == 1


def test_only_what_is_unsafe_is_split() -> None:
    """A conflict in one place leaves lexemes elsewhere whole."""
    lexemes = _lexemes(
        'root ::= "(" root ")" | "1" a b | "2" word ";"\n'
        'a ::= [a-z]+\nb ::= ("x" root)\nword ::= [A-Z] [A-Z0-9]*'
    )
    assert any("[A-Z][0-9A-Z]*" in lexeme for lexeme in lexemes)
    assert "/[a-z]/" in lexemes


def _random_node(draw: random.Random, depth: int) -> Node:
    kind = draw.randrange(5 if depth else 2)
    if kind == 0:
        return Text("".join(draw.choices("abé", k=draw.randint(0, 2))))
    if kind == 1:
        return Chars(chars.of("".join(draw.sample("abé", draw.randint(1, 2)))))
    parts = tuple(_random_node(draw, depth - 1) for _ in range(draw.randint(1, 3)))
    if kind == 2:
        return Sequence(parts)
    if kind == 3:
        return Choice(parts)
    least = draw.randint(0, 2)
    return Repeat(parts[0], least, draw.choice([None, least, least + 1, least + 2]))


def _pattern(node: Node) -> str:
    match node:
        case Text(text):
            return text
        case Chars(ranges):
            return "[" + "".join(chr(low) + "-" + chr(high) for low, high in ranges) + "]"
        case Sequence(parts):
            return "".join(f"(?:{_pattern(part)})" for part in parts)
        case Choice(options):
            return "|".join(f"(?:{_pattern(option)})" for option in options)
        case Repeat(item, least, most):
            return f"(?:{_pattern(item)}){{{least},{'' if most is None else most}}}"
    raise AssertionError(node)


WORDS = ["".join(word) for length in range(5) for word in product("abé", repeat=length)]


@pytest.mark.parametrize("seed", range(60))
def test_automata_match_what_python_s_expressions_match(seed: int) -> None:
    """Determinised, a node matches what `re` does, and `compare` tells how two overlap."""
    draw = random.Random(seed)
    nodes = [_random_node(draw, 3) for _ in range(2)]
    automata, patterns = [], []
    for node in nodes:
        automaton = determinise(node)
        assert automaton is not None
        automata.append(automaton)
        patterns.append(re.compile(f"(?:{_pattern(node)})"))
    matched = [{word for word in WORDS if word and p.fullmatch(word)} for p in patterns]
    for automaton, texts in zip(automata, matched, strict=True):
        assert {word for word in WORDS if automaton.matches(word)} == texts
    onward, meet = compare(automata[0], automata[1])
    assert meet or not matched[0] & matched[1]
    starts = {word[:end] for word in matched[1] for end in range(len(word) + 1)}
    for word in matched[0]:
        for char in "abé":
            if word + char in starts:
                assert chars.overlap(onward, chars.of(char))


@pytest.mark.slow
def test_speed_of_a_json_grammar(qwen: TokenTable) -> None:
    """Masks of a JSON grammar in GBNF take at most 80 us on average, in thread time."""
    grammar = compile_gbnf(JSON)
    tokens = qwen.encode('{"name": "Ada", "tags": ["math", "née"], "n": -1.5e3, "ok": true}')
    assert accepts(grammar.start(qwen), tokens)
    for _ in range(2):  # the engine builds its states lazily
        constraint, spent = grammar.start(qwen), 0.0
        for token in tokens:
            start = time.thread_time()
            constraint.mask()
            spent += time.thread_time() - start
            constraint.accept(token)
    assert spent / len(tokens) < 80e-6
