"""Texts drawn at random from a grammar, and texts that nearly match it."""

import random

from expert.grammar import form
from expert.grammar.chars import Ranges

PLAIN = "abcxyz01 _-\"'\\/.é日"


class Sentences:
    """Draws texts from a grammar's rules; the characters of *plain* are the likeliest.

    A draw takes at most *budget* nodes, and a text has less than *longest* characters.
    """

    def __init__(
        self,
        grammar: form.Grammar,
        seed: int,
        budget: int = 1500,
        longest: int = 1_000_000,
        plain: str = PLAIN,
    ) -> None:
        self._grammar = grammar
        self._longest = longest
        self._plain = plain
        self._random = random.Random(seed)
        self._budget = budget
        self._left = 0

    def draw(self) -> str | None:
        """Return a text that matches, or None if the draw became too long."""
        self._left = self._budget
        text = self._draw(self._grammar.rules[self._grammar.root])
        return text if self._left >= 0 and len(text) < self._longest else None

    def near(self, text: str) -> str:
        """Return *text* with one character changed, lost, added or doubled."""
        place = self._random.randint(0, len(text))
        new: str = self._random.choice([*self._plain, "", text[place : place + 1] * 2])
        return text[:place] + new + text[place + self._random.randint(0, 1) :]

    def _draw(self, node: form.Node) -> str:
        self._left -= 1
        if self._left < 0:
            return ""
        match node:
            case form.Text(text):
                return text
            case form.Chars(ranges):
                return self._char(ranges)
            case form.Sequence(parts):
                return "".join(map(self._draw, parts))
            case form.Choice(options):
                return self._draw(self._random.choice(options))
            case form.Repeat(item, least, most):
                more = 3 if most is None else min(3, most - least)
                count = least + (
                    self._random.randint(0, more) if self._random.random() < 0.5 else 0
                )
                return "".join(self._draw(item) for _ in range(count))
            case form.Reference(name):
                return self._draw(self._grammar.rules[name])
        raise AssertionError(f"nothing to draw from {node}")

    def _char(self, ranges: Ranges) -> str:
        if not ranges:  # nothing matches an empty set
            self._left = -1
            return ""
        plain = [c for c in self._plain if any(low <= ord(c) <= high for low, high in ranges)]
        if plain and self._random.random() < 0.7:
            return self._random.choice(plain)
        low, high = self._random.choice(ranges)
        return chr(self._random.randint(low, min(high, low + 400)))
