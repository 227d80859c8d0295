"""Sets of characters behave as Python's own sets of code points do."""

import random
from functools import reduce

import pytest

from expert.grammar import chars
from expert.grammar.chars import Ranges

# Where one byte becomes two, two three, three four, and around what no answer can hold.
EDGES = [0, 1, 2, 9, 0x41, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xD800, 0xDFFF, 0xE000, 0xFFFF]
EDGES += [0x10000, 0x3FFFF, 0x40000, 0x10FFFE, 0x10FFFF]
NEAR = sorted({point + step for point in EDGES for step in (-1, 0, 1)} & set(range(0x110000)))

LEADS = [*range(0x80), *range(0xC2, 0xF5)]
"""The bytes that a character can begin with in UTF-8."""


def random_pairs(draw: random.Random) -> list[tuple[int, int]]:
    """Return a few ranges between the edges, some of them reversed or touching."""
    return [(draw.choice(NEAR), draw.choice(NEAR)) for _ in range(draw.randint(0, 4))]


def members(found: Ranges) -> set[int]:
    """Return which of the points near the edges are in a set."""
    return {point for point in NEAR if any(low <= point <= high for low, high in found)}


def is_proper(found: Ranges) -> bool:
    """Tell whether ranges ascend with a gap between each two, and hold nothing that cannot be."""
    gaps = all(one[1] + 1 < other[0] for one, other in zip(found, found[1:], strict=False))
    return gaps and all(low <= high for low, high in found) and found == held(found)


def held(found: Ranges) -> Ranges:
    """Return a set without what no answer can hold."""
    return chars.intersect(found, chars.ANY)


@pytest.mark.parametrize("seed", range(40))
def test_they_are_sets(seed: int) -> None:
    """Union, intersection, complement and overlap are those of sets, over what answers can hold."""
    draw = random.Random(seed)
    pairs, others = random_pairs(draw), random_pairs(draw)
    left, right = chars.ranges(pairs), chars.ranges(others)
    usable = {point for point in NEAR if chars.holds(point)}
    mine = {point for point in usable if any(low <= point <= high for low, high in pairs)}
    theirs = {point for point in usable if any(low <= point <= high for low, high in others)}
    assert members(left) == mine
    assert members(chars.union((left, right))) == mine | theirs
    assert members(chars.intersect(left, right)) == mine & theirs
    assert members(chars.complement(left)) == usable - mine
    assert chars.overlap(left, right) == bool(chars.intersect(left, right))
    for made in (left, chars.union((left, right)), chars.complement(right)):
        assert is_proper(made)
    assert chars.complement(chars.complement(left)) == left


@pytest.mark.parametrize("seed", range(40))
def test_a_partition_tells_sets_apart_and_is_the_coarsest(seed: int) -> None:
    """Each part is inside or outside of every set, and no two neighbours are so alike."""
    draw = random.Random(seed)
    sets = [chars.ranges(random_pairs(draw)) for _ in range(draw.randint(1, 4))]
    parts = chars.partition(sets)
    whole = chars.union(sets)
    assert chars.union([(part,) for part in parts]) == whole
    assert parts == sorted(parts)
    kinds = []
    for part in parts:
        inside = [chars.intersect((part,), one) for one in sets]
        assert all(not found or found == (part,) for found in inside)
        kinds.append([bool(found) for found in inside])
    for index in range(1, len(parts)):
        touching = parts[index - 1][1] + 1 == parts[index][0]
        assert not touching or kinds[index - 1] != kinds[index]


@pytest.mark.parametrize("text", ["a", "é", "日", "🙂", "aé日🙂", "\x7f\x80", "\u07ff\u0800"])
def test_lead_bytes_are_those_of_utf_8(text: str) -> None:
    """They say with which byte a character of the set can begin, and with no other."""
    found = chars.lead_bytes(chars.of(text))
    first = {char.encode()[0] for char in text}
    assert {byte for byte in LEADS if found >> byte & 1} == first


def test_lead_bytes_of_ranges_have_all_between() -> None:
    """A range over several lengths of encodings begins with every lead byte of them."""
    found = chars.lead_bytes(((0x41, 0x10FFFF),))
    assert {byte for byte in LEADS if found >> byte & 1} == {*LEADS} - {*range(0x41)}
    assert chars.lead_bytes(chars.NONE) == 0


def test_what_no_answer_can_hold_is_in_no_set() -> None:
    """Neither the zero byte nor half of a surrogate pair, however they are asked for."""
    assert chars.of("\0\ud800") == chars.of("\0") == chars.of("\udfff") == chars.NONE
    assert chars.ranges([(0, 0x10FFFF)]) == chars.ANY
    assert chars.complement(chars.NONE) == chars.ANY
    assert not chars.holds(0) and not chars.holds(0xD800) and chars.holds(0x10FFFF)
    assert reduce(chars.intersect, [chars.ANY, chars.of("ab"), chars.of("bc")]) == chars.of("b")
