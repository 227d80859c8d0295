"""Texts of a query that are words of the question, so that none is invented or misspelt."""

import re
from itertools import pairwise

from expert.grammar import chars
from expert.grammar.form import EMPTY, Chars, Node, Repeat, Sequence, Text, choice, sequence

LONGEST = 16  # words of one text
MOST = 1000  # words of a question, the last ones; each costs half a millisecond
CODE = 3  # capitals of what a question says otherwise: 'F', 'CA', 'USA'
_WORD = re.compile(r"\w+|[^\w\s]")
_CAPITALS = Chars(chars.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
_ANSWERS = (Text("Yes"), Text("No"))


def copied_text(question: str, quote: str) -> Node:
    """Return the texts that a query may hold: a run of words of *question*, a code, Yes or No.

    A `%` may stand before and after it, for LIKE. A run has up to 16 words, each mark of
    punctuation being one, and may begin with a capital letter where the question has none.
    """
    wild = Repeat(Text("%"), 0, 1)
    inside = choice(Repeat(_CAPITALS, 0, CODE), *_ANSWERS, *_runs(question, quote))
    return Sequence((Text(quote), wild, inside, wild, Text(quote)))


def _runs(question: str, quote: str) -> list[Node]:
    """Return the runs that begin at each word, each as long as one likes."""
    words = list(_WORD.finditer(question))[-MOST:]
    pairs = list(pairwise(words))
    runs: list[Node] = []
    for place, first in enumerate(words):
        run: Node = EMPTY
        for before, word in reversed(pairs[place : place + LONGEST - 1]):
            gap = " " if before.end() < word.start() else ""
            said = (gap + word[0]).replace(quote, quote * 2)
            run = Repeat(sequence(Text(said), run), 0, 1)
        runs += [sequence(Text(word), run) for word in _beginnings(first[0], quote)]
    return list(dict.fromkeys(runs))


def _beginnings(word: str, quote: str) -> tuple[str, str]:
    said = word.replace(quote, quote * 2)
    return said, said[0].upper() + said[1:]
