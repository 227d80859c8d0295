"""Words as expressions over characters: any but the reserved ones, and in the usual cases."""

import re
from collections.abc import Iterable, Iterator

from expert.grammar import chars
from expert.grammar.form import Chars, Node, Repeat, Text, choice, sequence

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
LETTERS = chars.of(_LETTERS + _LETTERS.upper())
_FIRST = chars.of(_LETTERS + _LETTERS.upper() + "_")
_REST = chars.of(_LETTERS + _LETTERS.upper() + "_0123456789")
_Trie = dict[str, "_Trie"]
_END = ""
_SHORT = 4


def word_except(reserved: Iterable[str], longest: int) -> Node:
    """Return the names of at most *longest* characters that are no reserved word in any case."""
    trie: _Trie = {}
    for word in reserved:
        node = trie
        for letter in word.lower():
            node = node.setdefault(letter, {})
        node[_END] = {}
    return _avoid(trie, 0, longest)


def _avoid(trie: _Trie, depth: int, longest: int) -> Node:
    """Return what may follow *depth* characters that led to this node of the reserved words."""
    options: list[Node] = []
    if depth < longest:
        known = "".join(letter for letter in trie if letter != _END)
        taken = chars.complement(chars.of(known + known.upper()))
        others = chars.intersect(_REST if depth else _FIRST, taken)
        left = longest - depth - 1
        options.append(
            sequence(Chars(others), Repeat(Chars(_REST), 0, left)) if left else Chars(others)
        )
        for letter in sorted(known):
            pair = Chars(chars.of(letter + letter.upper()))
            options.append(sequence(pair, _avoid(trie[letter], depth + 1, longest)))
    if depth and _END not in trie:
        options.append(Text(""))
    return choice(*options)


def any_case(word: str) -> Node:
    """Return *word* in any mixture of capitals and small letters."""
    return sequence(*(Chars(chars.of(char.lower() + char.upper())) for char in word))


def usual_cases(name: str) -> Node:
    """Return *name* as people write it: each part as it is declared, small, in capitals, or with
    only its first letter changed.

    Any mixture would be right as well; a model that is unsure then writes `useRS`.
    """
    return sequence(*(_cases(part) for part in re.split("(_)", name) if part))


def _cases(part: str) -> Node:
    first, rest = part[0], part[1:]
    forms = (part, part.lower(), part.upper(), first.lower() + rest, first.upper() + rest)
    return choice(*map(Text, dict.fromkeys((*forms, part.capitalize()))))


def short_names(table: str) -> Iterator[str]:
    """Yield what people call *table* for short, in small letters: its beginnings and initials."""
    words = [word for word in re.split(r"[^a-z0-9]+", table.lower()) if word[:1].isalpha()]
    for word in (words[0], "".join(one[0] for one in words)) if words else ():
        yield from (word[:length] for length in range(2, min(len(word), _SHORT) + 1))
