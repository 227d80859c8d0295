"""Requests for commands with other arguments, so that names and numbers are copied from the request
rather than remembered.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

WORD = re.compile(r"[\w.~/@-]*\w")
"""What may be an argument, whatever quotes or wildcards are around it."""
SAFE = re.compile(r"\.?[\w~/][\w./-]*")
"""Arguments that mean the same without quotes, and begin no option."""
PROGRAM = re.compile(r"(?:^|[|;&(`]|-exec|-ok|sudo|xargs(?: +-\S+)*)\s*(?=(\w+))")
COMMON = 25
"""In so many commands, a word belongs to the language: `print`, `name`, `xargs`."""
SHORTEST, CHANGED = 2, 0.7


def kind(word: str) -> str:
    """Return what a word looks like: a number, a path, an ending, a file's name, a name, a word."""
    if word.isdigit():
        return "number"
    if "/" in word:
        return "root" if word.startswith("/") else "path"
    if word.startswith("."):
        return "ending"
    if "." in word:
        return "file"
    return "word" if re.fullmatch("[a-z]+", word) else "name"


def _places(word: str) -> re.Pattern[str]:
    """Return what finds a word that is no part of another one, nor an option."""
    before = r"\d" if word.isdigit() else r"[\w/-]" if word[0] not in "./" else r"[\w/:]"
    return re.compile(rf"(?<!{before}){re.escape(word)}(?![\w/]|\.\w|:/)")


@dataclass(frozen=True)
class Arguments:
    """Words that belong to the language of commands, and arguments of each kind."""

    language: frozenset[str]
    of_kind: dict[str, list[str]]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str]]) -> Arguments:
        """Collect them from requests and their commands."""
        pairs = list(rows)
        counts = Counter(word for _, command in pairs for word in set(WORD.findall(command)))
        words = {word for word, count in counts.items() if count >= COMMON and word.isalpha()}
        made = cls(frozenset(words), {})
        found: dict[str, set[str]] = defaultdict(set)
        for request, command in pairs:
            for word in made.shared(request, command):
                found[kind(word)].add(word)
        return cls(made.language, {name: sorted(held) for name, held in found.items()})

    def shared(self, request: str, command: str) -> list[str]:
        """Return the arguments of a command that its request says once, the longest first."""
        words = set(WORD.findall(request)) - self.language
        programs = set(PROGRAM.findall(command))
        return sorted(
            (
                word
                for word in words
                if (len(word) >= SHORTEST or word.isdigit())
                and SAFE.fullmatch(word)
                and word not in programs
                and len(_places(word).findall(request)) == 1
                and _places(word).search(command)
            ),
            key=lambda word: (-len(word), word),
        )

    def draw(self, word: str, rng: random.Random) -> str:
        """Return another argument of the same kind; numbers keep their length and their base."""
        if word.isdigit():
            digits = "01234567" if set(word) <= set("01234567") else "0123456789"
            first = rng.choice(digits[1:])
            return first + "".join(rng.choices(digits, k=len(word) - 1))
        return rng.choice(self.of_kind[kind(word)])


def exchanged(
    request: str, command: str, arguments: Arguments, rng: random.Random
) -> tuple[str, str]:
    """Return a request and its command with most of the arguments that both have replaced."""
    new: dict[str, str] = {}
    for word in arguments.shared(request, command):
        if rng.random() >= CHANGED:
            continue
        sign = chr(0xE000 + len(new))
        request = _places(word).sub(sign, request)
        command = _places(word).sub(sign, command)
        new[sign] = arguments.draw(word, rng)
    filled = ("".join(new.get(char, char) for char in text) for text in (request, command))
    return next(filled), next(filled)
