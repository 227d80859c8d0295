"""Phrases are found by their first word, in the order of their owners."""

import random

from expert.router.phrases import phrases


def test_whole_phrases_are_found() -> None:
    """A phrase counts only as a whole, wherever it stands; one of several words too."""
    finder = phrases([[(" sql ", 1.0), (" join the tables ", 0.5)], [(" join ", 0.25)]])
    found = finder.within(" please join the tables in sql ")
    assert [(each.owner, each.phrase) for each in found] == [
        (0, " sql "),
        (0, " join the tables "),
        (1, " join "),
    ]
    assert [each.weight for each in found] == [1.0, 0.5, 0.25]
    assert [each.owner for each in finder.within(" join the club ")] == [1]
    assert not finder.within(" sqlite joins ")


def test_nothing_is_found_in_nothing() -> None:
    """Empty texts and empty phrases meet nothing."""
    assert not phrases([[(" ", 1.0)], []]).within("  ")
    assert not phrases([]).within(" a ")


def test_the_same_is_found_as_by_looking_for_each() -> None:
    """Against the plain way, on random texts of few words."""
    source = random.Random(5)
    words = ["a", "b", "c", "d"]

    def text(longest: int) -> str:
        return f" {' '.join(source.choices(words, k=source.randint(1, longest)))} "

    for _ in range(300):
        owners = [[(text(3), 1.0) for _ in range(4)] for _ in range(3)]
        asked = text(8)
        plain = [
            (owner, place)
            for owner, listed in enumerate(owners)
            for place, (phrase, _) in enumerate(listed)
            if phrase in asked
        ]
        assert [(each.owner, each.place) for each in phrases(owners).within(asked)] == plain
