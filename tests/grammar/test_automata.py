"""Automata and positions of regular nodes, judged by all short texts and by Python's `re`."""

import random
import re

import pytest

from expert.grammar import chars
from expert.grammar.automata import Automaton, compare, determinise, first_chars
from expert.grammar.form import (
    Chars,
    Choice,
    Grammar,
    Node,
    Repeat,
    Sequence,
    Text,
    choice,
    sequence,
)
from expert.grammar.normal import normalise
from expert.grammar.positions import NOTHING, Positions, TooLarge, bits
from grammar.languages import random_node, texts_of, words

LONGEST = 6
WORDS = words(LONGEST)


def automaton(node: Node) -> Automaton:
    """Return the automaton of a node that is small enough for one."""
    found = determinise(node)
    assert found is not None
    return found


def nodes(count: int) -> list[Node]:
    """Return random nodes of normal grammars, without references."""
    some = (random_node(random.Random(seed), 3, []) for seed in range(count))
    alive = (node for node in some if texts_of(node, {}, LONGEST))
    return [normalise(Grammar({"root": node})).rules["root"] for node in alive]


def test_an_automaton_matches_the_texts_of_its_node() -> None:
    """All of them but the empty one, and no other."""
    for node in nodes(250):
        found, texts = automaton(node), texts_of(node, {}, LONGEST) - {""}
        assert {word for word in WORDS if found.matches(word)} == texts


def test_a_completion_is_the_shortest() -> None:
    """It makes a match of its text, none is shorter, and there is none where nothing helps."""
    for node in nodes(120):
        found, texts = automaton(node), texts_of(node, {}, LONGEST) - {""}
        for word in words(3):
            ways = [text[len(word) :] for text in texts if text.startswith(word)]
            ending = found.completion(word)
            if ways:
                assert ending is not None and word + ending in texts
                assert len(ending) == min(map(len, ways))
            elif ending is not None:
                assert len(word + ending) > LONGEST


def test_a_completion_prefers_letters() -> None:
    """Where a set allows one, a completion has a letter and no control character."""
    assert automaton(Repeat(Chars(chars.ANY), 3, 3)).completion("") == "aaa"
    assert automaton(Chars(chars.of("0123"))).completion("") == "3"


def test_every_state_leads_to_a_match() -> None:
    """An automaton has no dead states, so that what it can go on with is worth going on with."""
    for node in nodes(120):
        found = automaton(node)
        for word in words(4):
            state = found._after(word)
            if state is not None:
                assert found.completion(word) is not None or state == 0, (node, word)


def test_the_first_characters_are_those_of_the_matches() -> None:
    """They are over-estimated only behind what is repeated not even once."""
    for node in nodes(150):
        starts = {text[0] for text in texts_of(node, {}, LONGEST) if text}
        assert starts <= {char for char in "ab" if chars.overlap(first_chars(node), chars.of(char))}
        assert automaton(node).firsts == chars.of("".join(sorted(starts)))
    assert first_chars(sequence(Text("ab"), Chars(chars.of("c")))) == chars.of("a")
    assert first_chars(choice(Text("ab"), Repeat(Text("c"), 1, 2))) == chars.of("ac")


def test_two_are_compared_exactly() -> None:
    """What the right one goes on with after a match of the left one, and if both match a text."""
    some = nodes(90)
    for left, right in zip(some[::2], some[1::2], strict=False):
        mine, theirs = (texts_of(one, {}, LONGEST) - {""} for one in (left, right))
        onward, meet = compare(automaton(left), automaton(right))
        expected = {
            text[len(start)] for start in mine for text in theirs
            if text.startswith(start) and len(text) > len(start)
        }  # fmt: skip
        assert expected <= {char for char in "ab" if chars.overlap(onward, chars.of(char))}
        assert meet >= bool(mine & theirs)
        if max(map(len, mine | theirs), default=0) < LONGEST:  # nothing was cut off
            assert onward == chars.of("".join(sorted(expected)))
            assert meet == bool(mine & theirs)


@pytest.mark.parametrize("count", [16, 64, 65, 400])
def test_long_repetitions_may_lose_their_count_but_no_text(count: int) -> None:
    """A counted repetition is exact up to 64 positions; above, more matches, never less."""
    found = automaton(Repeat(Text("a"), count, count))
    assert found.matches("a" * count)
    assert found.matches("a" * (count - 1)) == (count > 64)
    assert not found.matches("b" * count) and not found.matches("")


def test_a_very_long_list_of_words_keeps_its_first_characters() -> None:
    """Its automaton matches every word, and nothing with a character of none."""
    some = [f"{letter}{number:03}x" for letter in "bcd" for number in range(500)]
    found = automaton(Choice(tuple(map(Text, some))))
    assert found.firsts == chars.of("bcd")
    assert all(found.matches(word) for word in some)
    assert not found.matches("a000x") and not found.matches("b000y") and not found.matches("")


def test_an_automaton_of_too_many_states_is_given_up() -> None:
    """What was the tenth letter before the end takes two to the power of ten states."""
    letter = Chars(chars.of("ab"))
    whole = sequence(Repeat(letter, 0, None), Text("a"), Repeat(letter, 30, 30))
    assert determinise(whole) is None


@pytest.mark.parametrize(
    ("node", "pattern"),
    [
        (Repeat(Chars(chars.complement(chars.of("é"))), 1, 3), "[^é]{1,3}"),
        (sequence(Chars(chars.of("日é")), Repeat(Text("🙂é"), 0, None)), "[日é](?:🙂é)*"),
        (Repeat(choice(Text("aé"), Text("a")), 2, None), "(?:aé|a){2,}"),
    ],
)
def test_characters_beyond_ascii(node: Node, pattern: str) -> None:
    """Neighbouring code points and pairs far from each other are told apart as `re` does."""
    draw, found = random.Random(3), automaton(node)
    for _ in range(400):
        text = "".join(draw.choices("aéèê日本🙂🙃", k=draw.randint(0, 5)))
        assert found.matches(text) == bool(text and re.fullmatch(pattern, text, re.DOTALL))


def test_bits_are_listed_in_order() -> None:
    """A set of positions is read from the lowest up, whatever its size."""
    draw = random.Random(1)
    for _ in range(50):
        members = sorted(draw.sample(range(5000), draw.randint(0, 20)))
        assert list(bits(sum(1 << one for one in members))) == members


def test_positions_without_counts_match_more_never_less() -> None:
    """What follows what in any text of a node is found, however its repetitions are counted."""
    for node in nodes(150):
        positions = Positions(lambda _: False, limit=1000)
        whole = positions.build(node)
        for text in texts_of(node, {}, 5):
            if not text:
                assert whole.empty
                continue
            state = whole.first
            for index, char in enumerate(text):
                state &= _matching(positions, char)
                assert state, (node, text)
                state = positions.after(state) if index + 1 < len(text) else state
            assert state & whole.last


def _matching(positions: Positions, char: str) -> int:
    leaves = ((index, leaf) for index, leaf in enumerate(positions.leaves))
    return sum(
        1 << index for index, leaf in leaves
        if isinstance(leaf, Chars) and chars.overlap(leaf.ranges, chars.of(char))
    )  # fmt: skip


def test_positions_have_a_limit() -> None:
    """One position more than is worth analysing is refused; nothing at all has none."""
    assert Positions(lambda _: False, limit=5).build(Text("abcde")).last == 1 << 4
    with pytest.raises(TooLarge):
        Positions(lambda _: False, limit=4).build(Text("abcde"))
    assert Positions(lambda _: False, limit=0).build(Sequence(())) == NOTHING
