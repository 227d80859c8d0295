"""Corrects words that are one typing error away from a word that matters to some expert.

Source: symmetric deletion (Garbe, SymSpell, 2012): two words are near if they become equal when
each loses at most one letter, which covers a wrong, missing, surplus or swapped letter.
"""

from collections.abc import Iterable, Iterator

SHORTEST = 5
"""Shorter words are near too many others."""


def deletions(word: str) -> Iterator[str]:
    """Yield *word* and what is left of it without each one of its letters."""
    yield word
    for i in range(len(word)):
        yield word[:i] + word[i + 1 :]


def spellings(words: Iterable[str]) -> dict[str, str]:
    """Return which word each misspelling stands for; nothing for those that are ambiguous."""
    found: dict[str, str] = {}
    for word in sorted(set(words)):
        if len(word) >= SHORTEST and word.isalpha():
            for rest in deletions(word):
                found[rest] = "" if found.get(rest, word) != word else word
    return {rest: word for rest, word in found.items() if word}


def corrected(word: str, known: dict[str, float], table: dict[str, str]) -> str:
    """Return the word that *word* stands for; a *known* one stands for itself."""
    if len(word) < SHORTEST or word in known or not word.isalpha():
        return word
    for rest in deletions(word):
        if found := table.get(rest):
            return found
    return word
