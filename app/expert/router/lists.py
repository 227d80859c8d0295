"""Reads the router's lists of patterns and words, which are data: one name and value a line."""

import re
from functools import cache
from importlib.resources import files


def lines(file: str) -> list[tuple[str, str]]:
    """Return the first word and the rest of each line but the comments."""
    text = (files("expert.router") / file).read_text(encoding="utf-8")
    pairs = (line.partition(" ") for line in text.splitlines() if not line.startswith("#"))
    return [(name, value) for name, _, value in pairs]


@cache
def patterns(file: str, flags: re.RegexFlag) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return the named regular expressions of a file, in order.

    A line named `{part}` defines what `{part}` stands for in the lines after it.
    """
    parts: dict[str, str] = {}
    found = []
    for name, value in lines(file):
        for part, meaning in parts.items():
            value = value.replace(part, meaning)
        if name.startswith("{"):
            parts[name] = value
        else:
            found.append((name, re.compile(value, flags)))
    return tuple(found)


@cache
def word_sets(file: str) -> dict[str, frozenset[str]]:
    """Return the named sets of words of a file."""
    return {name: frozenset(value.split()) for name, value in lines(file)}
