"""Words and random strings to fill procedural examples with."""

from __future__ import annotations

import random
import re
from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path

from expert.train.rows import read_rows

PLAIN = re.compile(r"\b[a-z]{3,9}\b")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NEWS = "wikinews_en"


@cache
def vocabulary(news: Path) -> tuple[str, ...]:
    """Return some thousands of ordinary English words, the commonest first."""
    counts: Counter[str] = Counter()
    for row in islice(read_rows(news), 4000):
        counts.update(PLAIN.findall(row["text"]))
    return tuple(word for word, count in counts.most_common(12_000) if count > 2)


def invented(rng: random.Random) -> str:
    """Return a string that is no word, such as an identifier or a code, to copy by letters."""
    kind = rng.randrange(4)
    if kind == 0:
        return "".join(rng.choices(LETTERS, k=rng.randint(3, 8)))
    if kind == 1:
        return str(rng.randint(0, 10 ** rng.randint(1, 5)))
    if kind == 2:
        return "".join(rng.choices(LETTERS, k=3)).upper() + str(rng.randint(1, 999))
    return "_".join("".join(rng.choices(LETTERS, k=rng.randint(2, 5))) for _ in range(2))


def mixed(rng: random.Random, words: tuple[str, ...], count: int) -> list[str]:
    """Return `count` words, one in four invented, some capitalised."""
    chosen = []
    for _ in range(count):
        word = invented(rng) if rng.random() < 0.25 else rng.choice(words)
        chosen.append(word.capitalize() if rng.random() < 0.2 else word)
    return chosen
