"""Descriptions of lines with other kinds of characters and another count, in NL-RX's notation.

Kinds take each other's places in a description and in its expression alike, so that what is learnt
is how descriptions are put together. Source of the notation: Locascio et al., arXiv 1608.03000.
"""

from __future__ import annotations

import random
import re

NAMES = {
    "<VOW>": ("vowel",),
    "<NUM>": (*["number"] * 6, "numeral", "digit"),
    "<CAP>": (*["capital letter"] * 6, "upper case letter", "capital"),
    "<LOW>": (*["lower-case letter"] * 6, "lower case letter", "small letter"),
    "<LET>": ("letter",),
}
"""What people call each kind, about as often as they do."""
CALLED = {
    "<VOW>": r"vowel",
    "<NUM>": r"number(?! of\b)|numeral|digit",
    "<CAP>": r"(?:capital|upper[- ]?case)(?: letter)?",
    "<LOW>": r"(?:lower[- ]?case|small)(?: letter)?",
    "<LET>": r"letter",
}
ANY = "|".join(f"(?P<{kind[1:-1]}>{name})" for kind, name in CALLED.items())
NAME = re.compile(rf"\b(?P<article>an? )?(?:{ANY})(?P<many>s?)(?![\w-])")
KIND = re.compile("|".join(NAMES))
COUNT = re.compile(r"(?<!\S)[2-9](?!\S)")
COUNTS = "234567"


def exchanged(description: str, expression: str, rng: random.Random) -> tuple[str, str]:
    """Return a description and its expression with other kinds and another count.

    Kinds that the two do not share stay as they are, and so does a count that the description does
    not give as one digit.
    """
    counts = set(COUNT.findall(expression))
    if len(counts) == 1 and COUNT.findall(description) == [*counts]:
        count = rng.choice(COUNTS)
        description, expression = COUNT.sub(count, description), COUNT.sub(count, expression)
    if {_kind(found) for found in NAME.finditer(description)} != set(KIND.findall(expression)):
        return description, expression
    others = dict(zip(NAMES, rng.sample([*NAMES], len(NAMES)), strict=True))

    def renamed(found: re.Match[str]) -> str:
        name = rng.choice(NAMES[others[_kind(found)]]) + found["many"]
        article = ("an " if name[0] in "aeiou" else "a ") if found["article"] else ""
        return article + name

    return NAME.sub(renamed, description), KIND.sub(lambda kind: others[kind[0]], expression)


def _kind(found: re.Match[str]) -> str:
    return next(kind for kind in NAMES if found[kind[1:-1]])
