"""Finds which of many phrases a text holds, by their first words."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct


class Found(NamedTuple):
    """A phrase of one owner; they sort by owner, then as the owner lists them."""

    owner: int
    place: int
    """Its number among the owner's phrases."""
    phrase: str
    """Its words between spaces."""
    weight: float


class Phrases(Struct):
    """The phrases of all owners; a text costs only its own words."""

    by_first_word: dict[str, list[Found]]

    def within(self, text: str) -> list[Found]:
        """Return the phrases in *text*, words between single spaces."""
        found = [
            entry
            for word in set(text.split())
            for entry in self.by_first_word.get(word, ())
            if entry.phrase in text
        ]
        return sorted(found)


def phrases(owners: Sequence[Sequence[tuple[str, float]]]) -> Phrases:
    """Return a finder for each owner's phrases with their weights; empty ones are left out."""
    table: dict[str, list[Found]] = {}
    for owner, listed in enumerate(owners):
        for place, (phrase, weight) in enumerate(listed):
            if words := phrase.split():
                table.setdefault(words[0], []).append(Found(owner, place, phrase, weight))
    return Phrases(table)
