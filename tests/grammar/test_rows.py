"""What can follow what in a grammar of lexemes is over-estimated, never missed."""

import pytest

from expert.grammar.form import (
    Chars,
    Choice,
    Lexeme,
    Node,
    Reference,
    Repeat,
    Sequence,
    Text,
    Token,
    choice,
    sequence,
)
from expert.grammar.normal import closure, matching, nullable
from expert.grammar.positions import TooLarge
from expert.grammar.rows import Rows, rows_of
from grammar.languages import languages, random_grammar


def rows(rules: dict[str, Node], alike: str = "") -> Rows:
    """Return the rows of rules of one-character lexemes; a text may match any two of *alike*."""
    empty = closure(rules, nullable)
    return rows_of(
        rules, "root", empty, lambda one, two: one == two or (one in alike and two in alike)
    )


def lexed(node: Node) -> Node:
    """Return a node with each of its characters as a lexeme."""
    match node:
        case Text(text):
            return sequence(*map(Lexeme, text))
        case Chars(ranges):
            found = [Lexeme(chr(one)) for low, high in ranges for one in range(low, high + 1)]
            return choice(*found) if found else Choice(())
        case Sequence(parts):
            return sequence(*map(lexed, parts))
        case Choice(options):
            return choice(*map(lexed, options))
        case Repeat(item, least, most):
            return Repeat(lexed(item), least, most)
        case _:
            return node


def follow(found: Rows, text: str) -> bool:
    """Tell whether the rows let *text* go by, character by character."""
    state = found.start
    for char in text:
        leaves = [index for index, lexeme in found.lexemes(state) if lexeme == char]
        if not leaves:
            return False
        state = 0
        for index in leaves:
            state |= found.after[index]
    return True


def test_every_text_of_a_grammar_goes_through_its_rows() -> None:
    """Through calls of rules, empty rules and recursion of every kind."""
    tried = 0
    for seed in range(200):
        grammar = random_grammar(seed)
        if set(matching(grammar.rules)) != set(grammar.rules):
            continue
        found = rows({name: lexed(node) for name, node in grammar.rules.items()})
        for text in languages(grammar.rules, 5)["root"]:
            assert follow(found, text), (grammar, text)
            tried += 1
    assert tried > 200


def test_what_nothing_leads_to_is_in_no_row() -> None:
    """Rows are not simply everything: what cannot follow is left out."""
    rules: dict[str, Node] = {
        "root": sequence(Lexeme("a"), Reference("r"), Lexeme("c")),
        "r": choice(Lexeme("b"), sequence(Lexeme("("), Reference("r"), Lexeme(")"))),
    }
    found = rows(rules)
    for text, right in (
        ("abc", True),
        ("a(b)c", True),
        ("b", False),
        ("ac", False),
        ("abb", False),
    ):
        assert follow(found, text) is right, text
    # To return to every caller is what makes it an over-estimate.
    assert follow(found, "a(bc") and follow(found, "ab)c")


def test_leaves_that_one_text_matches_go_on_alike() -> None:
    """When a word and a name look the same, whatever follows either may follow."""
    rules: dict[str, Node] = {
        "root": choice(sequence(Lexeme("x"), Lexeme("1")), sequence(Lexeme("y"), Lexeme("2")))
    }
    apart, alike = rows(rules), rows(rules, alike="xy")
    assert not follow(apart, "x2") and follow(apart, "x1")
    assert follow(alike, "x2") and follow(alike, "y1") and not follow(alike, "1")


def test_tokens_are_no_lexemes() -> None:
    """They stand in a row, but no text matches them."""
    found = rows({"root": sequence(Lexeme("a"), Token(7), Lexeme("b"))})
    assert follow(found, "a") and not follow(found, "ab")
    ((index, _),) = found.lexemes(found.start)
    assert found.after[index] and not found.lexemes(found.after[index])


def test_rows_have_a_size() -> None:
    """More pairs at one place than are worth comparing are refused."""
    with pytest.raises(TooLarge):
        rows({"root": choice(*(Lexeme(f"w{number}") for number in range(1100)))})
