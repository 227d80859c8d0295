"""Texts drawn at random from a grammar, in which rare characters are as likely as plain ones."""

import random

from expert.grammar import form
from expert.grammar.chars import Ranges

_PLAIN = "abcxyz01 _-\"'\\/.é日"


class Sentences:
    """Draws texts from a grammar's rules."""

    def __init__(self, grammar: form.Grammar, seed: int, budget: int = 1500) -> None:
        self._grammar = grammar
        self._random = random.Random(seed)
        self._budget = budget
        self._left = 0

    def draw(self) -> str | None:
        """Return a text that matches, or None if the draw became too long."""
        self._left = self._budget
        text = self._draw(self._grammar.rules[self._grammar.root])
        return text if self._left >= 0 else None

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
        plain = [c for c in _PLAIN if any(low <= ord(c) <= high for low, high in ranges)]
        if plain and self._random.random() < 0.7:
            return self._random.choice(plain)
        low, high = self._random.choice(ranges)
        return chr(self._random.randint(low, min(high, low + 400)))
