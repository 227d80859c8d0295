"""The shortest way to the end of a grammar, judged by the mask engine and by drawn texts."""

import pytest

from expert.forms import byte_table, read_grammar, shipped_grammars
from expert.grammar.compile import compile_grammar
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.form import Grammar, Node, Reference, Schema, Sequence, Text, Token
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.normal import normalise
from expert.grammar.shortest import Completer, opening
from expert.grammar.tokens import TokenTable
from grammar.random_grammars import LETTERS, GrammarWriter
from grammar.sentences import Sentences
from grammar.vocabularies import accepts


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


def start(text: str) -> Completer:
    """Return the completer of a GBNF grammar before any text."""
    state = opening(normalise(parse_gbnf(text)))
    assert state is not None
    return state


def completion(state: Completer | None) -> str | None:
    """Return the rest that *state* suggests."""
    found = None if state is None else next(state.suggestions(), None)
    return None if found is None else found.decode()


def matches(grammar: CompiledGrammar, table: TokenTable, text: bytes) -> bool:
    """Ask the mask engine."""
    return accepts(grammar.start(table), [*text])


@pytest.mark.parametrize(
    ("grammar", "text", "rest"),
    [
        ('root ::= "abc"', "", "abc"),
        ('root ::= "abc"', "a", "bc"),
        ('root ::= "abc"', "abc", ""),
        ('root ::= "abc"', "b", None),
        ('root ::= "abc"', "abcd", None),
        ('root ::= "long" | "an" | "other"', "", "an"),
        ('root ::= "long" | "an" | "other"', "o", "ther"),
        ("root ::= [b-z]{3,5}", "xy", "b"),
        ("root ::= [b-z]{3,5}", "xyzxy", ""),
        ("root ::= [b-z]{3,5}", "xyzxyz", None),
        ("root ::= [0-9]+ [.] [0-9]{2}", "17", ".00"),
        ("root ::= [0-9]+ [.] [0-9]{2}", "17.1", "0"),
        ('root ::= "(" root ")" | "x"', "(((", "x)))"),
        ('root ::= "(" root ")" | "x"', "((x)", ")"),
        ('root ::= sum\nsum ::= sum "+" term | term\nterm ::= [0-9] | "(" sum ")"', "1+(2", ")"),
        ('root ::= sum\nsum ::= sum "+" term | term\nterm ::= [0-9] | "(" sum ")"', "1+2", ""),
        ('root ::= blank blank "x"\nblank ::= " "?', "", "x"),
        ('root ::= blank blank "x"\nblank ::= " "?', "  ", "x"),
        ('root ::= ("a"? "b"?){2,3} "c"', "ab", "c"),
        ('root ::= "a" [é日] "z"', "a", "aéz"[1:]),
    ],
)
def test_the_shortest_rest(grammar: str, text: str, rest: str | None) -> None:
    """It is as short as can be, and None where the text itself does not fit."""
    state = start(grammar).push(text.encode())
    assert completion(state) == rest


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_character_that_is_cut_is_finished_first(place: int) -> None:
    """Of those that begin with these bytes, it is one that the grammar allows there."""
    whole = "🙂".encode()
    state = start('root ::= [a-z🙂] "!"').push(whole[:place])
    assert state is not None and not state.done
    assert [*state.suggestions()] == [whole[place:] + b"!"]
    assert start("root ::= [a-zé]").push(whole[:place]) is None or place < 4
    assert start("root ::= [a-zé]").push(whole) is None


@pytest.mark.parametrize("bad", [b"\x80", b"\xff", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80"])
def test_bytes_that_are_no_text_fit_nothing(bad: bytes) -> None:
    """Neither stray nor overlong bytes nor surrogates are characters."""
    assert start("root ::= .*").push(bad) is None


@pytest.mark.parametrize("seed", range(60))
def test_a_rest_matches_and_none_is_shorter(octets: TokenTable, seed: int) -> None:
    """After every beginning of a drawn text, the rest leads to a match, no longer than its own."""
    grammar = normalise(parse_gbnf(GrammarWriter(seed).text()))
    compiled = compile_grammar(grammar)
    sentences = Sentences(grammar, seed, budget=200, longest=25, plain=LETTERS)
    for text in filter(None, (sentences.draw() for _ in range(4))):
        data, state = text.encode(), opening(grammar)
        for place in range(len(data) + 1):
            assert state is not None, (data, place)
            (rest,) = state.suggestions()
            assert len((data[:place] + rest).decode()) <= len(text)
            assert matches(compiled, octets, data[:place] + rest)
            state = state.push(data[place : place + 1])


@pytest.mark.parametrize("seed", range(60, 100))
def test_it_follows_what_the_engine_follows(octets: TokenTable, seed: int) -> None:
    """Texts that nearly match are judged alike, so no text is without a rest that has one."""
    grammar = normalise(parse_gbnf(GrammarWriter(seed).text()))
    compiled = compile_grammar(grammar)
    sentences = Sentences(grammar, seed, budget=200, longest=25, plain=LETTERS)
    for text in filter(None, (sentences.draw() for _ in range(6))):
        near = sentences.near(text).encode()
        state, first = None, opening(grammar)
        if first is not None:
            state = first.push(near)
        assert (state is not None and state.done) == matches(compiled, octets, near)


@pytest.mark.parametrize("name", sorted(shipped_grammars()))
def test_every_shipped_grammar_has_a_shortest_answer(octets: TokenTable, name: str) -> None:
    """It matches, and is what a completer suggests before any text."""
    grammar = read_grammar(name).grammar
    assert grammar.guide is not None
    state = grammar.guide()
    assert isinstance(state, Completer)
    (answer,) = state.suggestions()
    assert 0 < len(answer) <= 40
    assert matches(grammar, octets, answer)


@pytest.mark.parametrize("node", [Token("<think>"), Schema("{}")])
def test_what_is_no_text_is_left_to_others(node: Node) -> None:
    """Of a grammar with tokens or schemas nothing is known, wherever they are."""
    rules: dict[str, Node] = {"root": Sequence((Text("a"), Reference("b"))), "b": node}
    assert opening(Grammar(rules)) is None


def test_states_do_not_change() -> None:
    """A state can be gone on from in more ways than one, in any order."""
    state = start('root ::= "(" root ")" | "x"').push(b"((")
    assert state is not None
    first, second = state.push(b"x"), state.push(b"(x")
    assert (completion(first), completion(second), completion(state)) == ("))", ")))", "x))")
