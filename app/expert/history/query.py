"""What people type into a search, as an expression that FTS5 always accepts.

Words must all be there; `"…"` is a phrase, `word*` a beginning, `-word` or `NOT word` excludes, and
`OR` stands between alternatives. Anything else is text to be found, never a syntax error. Terms
become FTS5 strings (https://sqlite.org/fts5.html, section 3.1), in which no operator is left.
"""

import re
import unicodedata
from dataclasses import dataclass

MOST_TERMS = 32
"""More would only make the search slow."""

_PIECE = re.compile(r'(-?)"([^"]*)"?(\*?)|(\S+)')


@dataclass(frozen=True, slots=True)
class _Term:
    text: str
    excluded: bool = False

    @property
    def fts(self) -> str:
        beginning = "*" if self.text.endswith("*") else ""
        return '"' + self.text.replace('"', '""').replace("\0", " ") + '"' + beginning


def match_expression(query: str) -> str | None:
    """Return the FTS5 expression of *query*; None if it holds nothing that is indexed."""
    groups: list[list[_Term]] = [[]]
    negate = False
    for piece in _PIECE.finditer(_storable(query)):
        minus, phrase, star, word = piece.groups()
        if word in ("AND", "OR", "NOT"):
            if word == "OR":
                groups.append([])
            negate = word == "NOT"
            continue
        excluded = negate or bool(minus)
        if word is None:
            text = phrase + star
        else:
            excluded = excluded or (word.startswith("-") and len(word) > 1)
            text = word
        negate = False
        if _is_indexed(text) and sum(map(len, groups)) < MOST_TERMS:
            groups[-1].append(_Term(text, excluded))
    found = [_group(group) for group in groups if group]
    return " OR ".join(found) or None


def _group(terms: list[_Term]) -> str:
    """Return the expression of terms that must all hold; alone, an excluded one is a word."""
    wanted = [term.fts for term in terms if not term.excluded]
    if not wanted:
        return f"({' AND '.join(term.fts for term in terms)})"
    unwanted = "".join(f" NOT {term.fts}" for term in terms if term.excluded)
    return f"(({' AND '.join(wanted)}){unwanted})"


def _is_indexed(text: str) -> bool:
    """Tell whether *text* has a character that the tokenizer unicode61 keeps."""
    kinds = map(unicodedata.category, text)
    return any(kind[0] in "LN" or kind == "Co" for kind in kinds)


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
