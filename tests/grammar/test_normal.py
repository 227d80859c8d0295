"""Grammars made fit for the engine, and rules written in place: what is refused and what kept."""

import pytest

from expert.errors import UsageError
from expert.grammar import chars
from expert.grammar.form import (
    Chars,
    Choice,
    Grammar,
    Node,
    Reference,
    Repeat,
    Sequence,
    Text,
    choice,
    sequence,
    walk,
)
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.inline import Inliner
from expert.grammar.normal import has_empty_loop, left_recursive, normalise


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('root ::= root "a" | "b"', {"root"}),
        ('root ::= "a" root | "b"', set()),
        ('root ::= x\nx ::= y "a"\ny ::= root | "b"', {"root", "x", "y"}),
        ('root ::= x? root "a" | "b"\nx ::= "c"', {"root"}),
        ('root ::= x root | "b"\nx ::= "c"', set()),
        ('root ::= x root | "b"\nx ::= "c"*', {"root"}),
        ('root ::= "a" x\nx ::= (x "b")? "c"', {"x"}),
        ('root ::= x{0} root2\nx ::= x\nroot2 ::= "a"', {"x"}),
        ('root ::= (root){2} | "a"', {"root"}),
        ('root ::= ("a" root)* root | "b"', {"root"}),
        ("root ::= .* [^x]", set()),
    ],
)
def test_which_rules_come_back_to_themselves_first(text: str, names: set[str]) -> None:
    """Directly, through other rules, and behind what may be empty."""
    assert left_recursive(parse_gbnf(text).rules) == names


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('root ::= ("a"?)*', True), ('root ::= ("a"?)+', True), ('root ::= ("a"?){0,5}', False),
        ('root ::= ("a")*', False), ('root ::= x*\nx ::= "a"*', True),
        ('root ::= x{2,}\nx ::= y\ny ::= "" | "b"', True),
        ('root ::= ("a"? "b")*', False), ('root ::= "a" ("" | "b" ("c"?)*)', True),
    ],
)  # fmt: skip
def test_loops_of_nothing_are_found(text: str, found: bool) -> None:
    """What can be empty repeats without end somewhere, at any depth."""
    assert has_empty_loop(parse_gbnf(text).rules) is found


def test_rules_without_an_end_are_named() -> None:
    """At most five of them, with a way out."""
    loops = "\n".join(f'r{number} ::= "x" r{number}' for number in range(8))
    calls = " | ".join(f"r{number}" for number in range(8))
    with pytest.raises(UsageError, match="No text matches the rule `root`") as caught:
        normalise(parse_gbnf(f"root ::= {calls}\n{loops}"))
    assert "r0, r1, r2, r3, r4, ..." in caught.value.why


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('root ::= x{2000}\nx ::= "a"{50}', True),
        ('root ::= x{2000}\nx ::= "a"{51}', False),
        ('root ::= "b" | x{2000}\nx ::= "a"{51}', False),
        ('root ::= x{0,2000}\nx ::= "a"{2000}', True),
    ],
)
def test_what_no_answer_has_room_for_is_refused(text: str, fits: bool) -> None:
    """A hundred thousand characters that must be written, in any part that could be entered."""
    if fits:
        assert normalise(parse_gbnf(text))
        return
    with pytest.raises(UsageError, match="usable length"):
        normalise(parse_gbnf(text))


def test_what_repeats_nothing_is_nothing() -> None:
    """No count of empty texts, and nothing not even once, is left for the engine to stumble on."""
    for node in (
        Repeat(Text(""), 2, 2), Repeat(Text("a"), 0, 0), Repeat(Chars(chars.NONE), 0, None),
        Repeat(Sequence((Text(""), Text(""))), 3, None),
    ):  # fmt: skip
        made = normalise(Grammar({"root": node})).rules["root"]
        assert isinstance(made, Text) and made.text == ""


def test_a_rule_that_ends_with_itself_becomes_a_loop() -> None:
    """All of its ways together, in front of all of its ends."""
    made = normalise(parse_gbnf('root ::= "a" root | "b" "c" root | "d" | "e"')).rules["root"]
    assert not any(isinstance(one, Reference) for one in walk(made))
    assert sum(isinstance(one, Repeat) for one in walk(made)) == 1


def test_recursive_rules_are_not_written_in_place() -> None:
    """Nor what refers to them; what is beside them is."""
    grammar = parse_gbnf('root ::= "(" root ")" word | word\nword ::= letter+\nletter ::= [a-z]')
    inline = Inliner(grammar.rules)
    assert inline(grammar.rules["root"]) is None
    made = inline(grammar.rules["word"])
    assert made is not None and not any(isinstance(one, Reference) for one in walk(made))


@pytest.mark.parametrize(
    ("rules", "fits"),
    [
        ({f"r{n}": sequence(*[Reference(f"r{n + 1}")] * 2) for n in range(17)}, True),
        ({f"r{n}": sequence(*[Reference(f"r{n + 1}")] * 2) for n in range(20)}, False),
        ({f"r{n}": Choice((Text("x"), Sequence((Text("y"),
        Reference(f"r{n + 1}"))))) for n in range(20)}, True),
        ({f"r{n}": Choice((Text("x"), Sequence((Text("y"),
        Reference(f"r{n + 1}"))))) for n in range(40)}, False),
        ({"r0": Repeat(Reference("r1"), 0, 20_000)}, True),
        ({"r0": Repeat(Reference("r1"), 0, 20_001)}, False),
    ],
)  # fmt: skip
def test_what_would_become_too_large_stays_a_rule(rules: dict[str, Node], fits: bool) -> None:
    """By its characters, its depth, and its repetitions."""
    last = f"r{len(rules)}"
    inline = Inliner({**rules, last: Text("a")})
    assert (inline(rules["r0"]) is not None) is fits


def test_shared_rules_are_written_once() -> None:
    """However often a rule is referred to, its node in place is one and the same."""
    word = choice(Text("a"), Text("b"))
    made = Inliner({"root": sequence(Reference("w"), Text("-"), Reference("w")), "w": word})
    whole = made(Sequence((Reference("w"), Text("-"), Reference("w"))))
    assert isinstance(whole, Sequence)
    assert whole.parts[0] is whole.parts[2]
