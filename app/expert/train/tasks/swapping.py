"""Requests with other values in their slots, so that values are copied rather than remembered."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Slots = dict[str, "str | list[str]"]

_NAMES = re.compile(
    "album|artist|city|cuisine|entity_name|facility|geographic_poi|location_name|movie_name|"
    "object_name|party_size_description|playlist|poi|restaurant_name|served_dish|track"
)
"""Slots whose values may be any words."""
_SWAPPED, _MADE_UP, _LONGEST = 0.7, 0.25, 5


@dataclass(frozen=True)
class Values:
    """What slots hold, and the words that requests are made of."""

    of_slot: dict[str, list[str]]
    words: list[str]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, Slots]]) -> Values:
        """Collect them from requests and their slots."""
        held: dict[str, set[str]] = defaultdict(set)
        words: set[str] = set()
        for text, slots in rows:
            words.update(text.split())
            for slot, value in _each(slots):
                held[slot].add(value)
        return cls({slot: sorted(found) for slot, found in held.items()}, sorted(words))

    def draw(self, slot: str, rng: random.Random) -> str:
        """Return a value that a slot holds elsewhere, or any words where it holds names."""
        if _NAMES.fullmatch(slot) and rng.random() < _MADE_UP:
            return " ".join(rng.choices(self.words, k=rng.randint(1, _LONGEST)))
        return rng.choice(self.of_slot[slot])


def swapped(text: str, slots: Slots, values: Values, rng: random.Random) -> tuple[str, Slots]:
    """Return a request with most of its values replaced, in its text and in its slots.

    A value stays where the text does not have it exactly once as whole words, or where it is part
    of another one.
    """
    counts = Counter(value for _, value in _each(slots))
    places: dict[str, tuple[int, int]] = {}
    for value, count in counts.items():
        found = list(re.finditer(rf"(?<!\S){re.escape(value)}(?!\S)", text))
        if count == len(found) == 1:
            places[value] = found[0].span()
    alone = {
        value: span
        for value, span in places.items()
        if not any(value != other and _meet(value, other, text) for other in counts)
    }
    new = {
        value: values.draw(slot, rng)
        for slot, value in _each(slots)
        if value in alone and rng.random() < _SWAPPED
    }
    for value in sorted(new, key=lambda one: -alone[one][0]):
        start, end = alone[value]
        text = text[:start] + new[value] + text[end:]
    return text, {
        slot: [new.get(one, one) for one in held] if isinstance(held, list) else new.get(held, held)
        for slot, held in slots.items()
    }


def _meet(value: str, other: str, text: str) -> bool:
    """Tell whether two values may share words of the text."""
    spans = [
        [found.span() for found in re.finditer(re.escape(one), text)] for one in (value, other)
    ]
    return any(a < d and c < b for a, b in spans[0] for c, d in spans[1])


def _each(slots: Slots) -> Iterator[tuple[str, str]]:
    for slot, held in slots.items():
        for value in held if isinstance(held, list) else [held]:
            yield slot, value
