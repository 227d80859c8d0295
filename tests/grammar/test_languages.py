"""Every stage from a grammar to the engine keeps its language, judged on all short texts.

The peer is `languages`, which computes the sets of texts themselves and parses nothing.
"""

import pytest

from expert.errors import UsageError
from expert.forms import byte_table
from expert.grammar.compile import compile_grammar
from expert.grammar.form import Grammar, Reference, Sequence
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.inline import Inliner
from expert.grammar.language.gbnf_writer import to_gbnf
from expert.grammar.normal import (
    closure,
    matching,
    normalise,
    nullable,
    reachable,
    straight_rules,
)
from expert.grammar.shortest import opening
from expert.grammar.tokens import TokenTable
from grammar.languages import language, languages, possible, random_grammar, texts_of, words
from grammar.vocabularies import accepts

LONGEST = 5


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


def usable(seeds: range) -> list[Grammar]:
    """Return the random grammars that some text matches, as they were written."""
    grammars = [random_grammar(seed) for seed in seeds]
    return [one for one in grammars if one.root in matching(one.rules)]


@pytest.mark.parametrize("seed", range(0, 300, 100))
def test_what_is_normal_matches_the_same(seed: int) -> None:
    """Rules are dropped, pruned and unrolled, and no text is lost or gained by it."""
    refused = 0
    for grammar in map(random_grammar, range(seed, seed + 100)):
        texts = language(grammar, LONGEST)
        try:
            normal = normalise(grammar)
        except UsageError as error:
            assert "No text matches the rule `root`" in error.what
            assert grammar.root not in possible(grammar.rules)
            refused += 1
            continue
        assert language(normal, LONGEST) == texts
        assert possible(normal.rules) == set(normal.rules), "a rule is a trap"
        for name, node in normal.rules.items():
            last = node.parts[-1] if isinstance(node, Sequence) else None
            assert not (isinstance(last, Reference) and last.name == name)
    assert 0 < refused < 60


@pytest.mark.parametrize("seed", range(0, 300, 100))
def test_what_is_told_of_rules_is_true(seed: int) -> None:
    """Which rules may be empty, which match at all, and which never come back to a rule."""
    for grammar in map(random_grammar, range(seed, seed + 100)):
        empty = {name for name, found in languages(grammar.rules, 0).items() if found}
        assert set(closure(grammar.rules, nullable)) == empty
        assert set(matching(grammar.rules)) == possible(grammar.rules)
        straight = list(straight_rules(grammar.rules))
        for index, name in enumerate(straight):
            assert set(reachable(grammar.rules, name)) <= set(straight[: index + 1])
        for name in set(grammar.rules) - set(straight):
            assert set(reachable(grammar.rules, name)) - {name} or name in _named(grammar, name)


def _named(grammar: Grammar, rule: str) -> set[str]:
    """Return the rules that one rule leads to in at least one step."""
    whole = {**grammar.rules, "start": Sequence((grammar.rules[rule],))}
    return set(reachable(whole, "start")) - {"start"}


@pytest.mark.parametrize("seed", range(0, 300, 100))
def test_rules_written_in_place_match_the_same(seed: int) -> None:
    """A node without recursion becomes one without references; any other is left alone."""
    inlined = 0
    for grammar in map(random_grammar, range(seed, seed + 100)):
        inline, straight = Inliner(grammar.rules), straight_rules(grammar.rules)
        known = languages(grammar.rules, LONGEST)
        for name, node in grammar.rules.items():
            made = inline(node)
            assert (made is not None) == (name in straight)
            if made is not None:
                assert texts_of(made, {}, LONGEST) == known[name]
                inlined += 1
    assert inlined > 60


@pytest.mark.parametrize("seed", range(0, 160, 40))
def test_the_engine_matches_the_same(octets: TokenTable, seed: int) -> None:
    """Cut into lexemes and compiled, a grammar still accepts its texts and no other."""
    for grammar in usable(range(seed, seed + 40)):
        texts, compiled = language(grammar, 4), compile_grammar(grammar)
        for word in words(4):
            constraint = compiled.start(octets)
            assert accepts(constraint, [*word.encode()]) == (word in texts), (grammar, word)


@pytest.mark.parametrize("seed", range(0, 300, 100))
def test_the_printed_grammar_matches_the_same(seed: int) -> None:
    """GBNF made of a grammar is read again as a grammar of the same texts."""
    for grammar in usable(range(seed, seed + 100)):
        printed = to_gbnf(grammar)
        assert language(parse_gbnf(printed), LONGEST) == language(grammar, LONGEST), printed


@pytest.mark.parametrize("seed", range(0, 160, 40))
def test_the_shortest_rest_is_the_shortest_there_is(seed: int) -> None:
    """After every beginning the rest leads to a match, and no match with that beginning is shorter.

    A beginning of no match is refused.
    """
    longest = 7
    for grammar in usable(range(seed, seed + 40)):
        texts, start = language(grammar, longest), opening(normalise(grammar))
        assert start is not None
        for word in words(4):
            state = start.push(word.encode())
            ways = [text for text in texts if text.startswith(word)]
            if state is None:
                assert not ways, (grammar, word)
                continue
            assert state.done == (word in texts)
            whole = word + next(state.suggestions()).decode()
            if ways:
                assert whole in texts and len(whole) == min(map(len, ways)), (grammar, word)
            else:
                assert len(whole) > longest, (grammar, word)
