"""Keys that were taken back: they count for nobody, and nothing they handed over does."""

import itertools
import random

from expert.package.keys import PrivateKey, PublicKey
from expert.package.trust import (
    KnownKey,
    Standing,
    Statement,
    judge,
    read_statement,
    revocation,
    rotation,
)

KEYS = [PrivateKey(bytes([number]) * 32) for number in range(1, 6)]
FIRST, MIDDLE, LAST, *_ = KEYS


def pinned(key: PrivateKey, publisher: str = "acme") -> KnownKey:
    """Return that a user trusts a key."""
    return KnownKey(publisher, key.public)


def revoked(key: PrivateKey, publisher: str = "acme") -> KnownKey:
    """Return that a user knows a key as taken back."""
    return KnownKey(publisher, key.public, "revoked", "it was stolen")


def handing(*keys: PrivateKey, publisher: str = "acme") -> list[Statement]:
    """Return the rotations from each key to the next."""
    pairs = itertools.pairwise(keys)
    return [read_statement(rotation(publisher, old, new.public)) for old, new in pairs]


def test_a_way_over_a_key_known_as_revoked_is_none() -> None:
    """Whoever stole it could have signed the rest of the way."""
    way = handing(FIRST, MIDDLE, LAST)
    assert judge("acme", LAST.public, [pinned(FIRST)], way).standing == Standing.ROTATED
    for publisher in ("acme", "other"):
        known = [pinned(FIRST), revoked(MIDDLE, publisher)]
        assert judge("acme", LAST.public, known, way).standing == Standing.CHANGED


def test_a_key_that_takes_itself_back_does_so_for_every_publisher() -> None:
    """It is the key that is not to be trusted, whatever name stands in the statement."""
    for publisher in ("acme", "other", ""):
        said = [read_statement(revocation(publisher, FIRST, "it was stolen"))]
        verdict = judge("acme", FIRST.public, [pinned(FIRST)], said)
        assert verdict.standing == Standing.REVOKED
        assert verdict.reason == "it was stolen"
        assert verdict.pinned == FIRST.public


def test_what_a_key_handed_over_ends_with_it() -> None:
    """Before and after the rotation in the list; another way still counts."""
    said = [*handing(FIRST, MIDDLE, LAST), read_statement(revocation("x", MIDDLE, ""))]
    for order in itertools.permutations(said):
        assert judge("acme", LAST.public, [pinned(FIRST)], order).standing == Standing.CHANGED
    said += handing(FIRST, LAST)
    verdict = judge("acme", LAST.public, [pinned(FIRST)], said)
    assert verdict.standing == Standing.ROTATED
    assert [one.successor for one in verdict.path] == [LAST.public.line]


def test_random_histories_equal_a_search_of_all_ways() -> None:
    """Every way from the pinned key, over keys that nobody took back, and no other."""
    source, seen = random.Random(11), set()
    pairs = itertools.permutations(range(5), 2)
    rotations = {pair: handing(*(KEYS[number] for number in pair)) for pair in pairs}
    ends = [read_statement(revocation("any", key, "r")) for key in KEYS]
    for _ in range(400):
        edges = set(source.sample(sorted(rotations), source.randrange(7)))
        gone = set(source.sample(range(5), source.randrange(3)))
        local = {number for number in gone if source.random() < 0.5}
        said = [one for pair in edges for one in rotations[pair]]
        said += [ends[number] for number in gone - local]
        known = [pinned(KEYS[0]), *(revoked(KEYS[number], "other") for number in local)]
        source.shuffle(said)
        for goal in range(5):
            verdict = judge("acme", KEYS[goal].public, known, said)
            expected = _by_search(edges, gone, goal)
            assert verdict.standing == expected
            seen.add(expected)
            if expected == Standing.ROTATED:
                _check_way([one.key for one in verdict.path], verdict.path, KEYS[goal].public)
    assert seen == {Standing.TRUSTED, Standing.ROTATED, Standing.CHANGED, Standing.REVOKED}


def _by_search(edges: set[tuple[int, int]], gone: set[int], goal: int) -> Standing:
    if goal in gone:
        return Standing.REVOKED
    if goal == 0:
        return Standing.TRUSTED
    for length in range(1, 5):
        for between in itertools.permutations(range(5), length):
            way = (0, *between)
            steps = set(itertools.pairwise(way))
            if way[-1] == goal and steps <= edges and not gone & set(way[:-1]):
                return Standing.ROTATED
    return Standing.CHANGED


def _check_way(keys: list[str], path: tuple[Statement, ...], goal: PublicKey) -> None:
    assert keys[0] == KEYS[0].public.line
    assert [one.successor for one in path] == [*keys[1:], goal.line]
