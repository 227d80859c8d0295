"""Cypher by its text: whether the openCypher grammar reads it, and whether two queries are one.

There is no graph to run it on, so two queries count as the same if they differ in spaces, in the
case of keywords, in the names of variables, or in what results are called.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|\w+|<>|[<>]=|=~|->|<-|\.\.|\S")
LISTED = (
    "match optional where with return order by desc asc limit skip as distinct and or xor not in "
    "contains starts ends is null true false unwind union all exists case when then else end "
    "count sum avg min max collect size"
)
KEYWORDS = frozenset(LISTED.split())
ENDS = frozenset((",", "order", "limit", "skip", "union", ""))
"""What may follow the name of a result."""
LONGEST = 2000
"""Characters of a query that is read; the parser is slow."""


def parses(query: str) -> bool:
    """Tell whether the openCypher grammar reads a query (the package antlr4-cypher)."""
    if not query.strip() or len(query) > LONGEST:
        return False
    from antlr4 import CommonTokenStream, InputStream
    from antlr4_cypher import CypherLexer, CypherParser

    mistakes = _mistakes()
    lexer = CypherLexer(InputStream(query))
    parser = CypherParser(CommonTokenStream(lexer))
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(mistakes)
    try:
        parser.script()
    except RecursionError:
        return False
    return not mistakes.found


def _mistakes() -> Any:
    """Return a listener that remembers whether anything was wrong."""
    return _listener()()


@cache
def _listener() -> Any:
    from antlr4.error.ErrorListener import ErrorListener

    class Mistakes(ErrorListener):  # type: ignore[misc]  # antlr4 publishes no type hints
        found = False

        def syntaxError(self, *_: Any) -> None:
            self.found = True

    return Mistakes


def same_query(answer: str, reference: str) -> bool:
    """Tell whether two queries differ only in what no graph can tell apart."""
    return normal(answer) == normal(reference)


def normal(query: str) -> str:
    """Return a query with one spelling: variables numbered as they come, results without names."""
    tokens = _without_names(TOKEN.findall(query.strip().rstrip(";")))
    named: dict[str, str] = {}
    bound, keys = _bound(tokens), _keys(tokens)
    made = []
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else ""
        label = before == ":" and place - 2 not in keys
        plain = place in keys or label or before in (".", "|")
        if token.lower() in KEYWORDS and not plain:
            made.append(token.lower())
        elif token in bound and not plain:
            made.append(named.setdefault(token, f"v{len(named)}"))
        else:
            made.append(f"'{token[1:-1]}'" if token[0] in "'\"" else token)
    return " ".join(made)


def _without_names(tokens: list[str]) -> list[str]:
    """Leave out the names of results that nothing else in the query uses."""
    kept, place = [], 0
    while place < len(tokens):
        name, after = (*tokens[place + 1 : place + 3], "", "")[:2]
        if tokens[place].lower() == "as" and after.lower() in ENDS and tokens.count(name) == 1:
            place += 2
        else:
            kept.append(tokens[place])
            place += 1
    return kept


def _keys(tokens: list[str]) -> set[int]:
    """Return the places of the keys of maps, which are no variables."""
    opened: list[str] = []
    found = set()
    for place, token in enumerate(tokens[:-1]):
        before = tokens[place - 1] if place else ""
        if opened and opened[-1] == "{" and before in ("{", ",") and tokens[place + 1] == ":":
            found.add(place)
        if token in ("(", "[", "{"):
            opened.append(token)
        elif token in (")", "]", "}") and opened:
            opened.pop()
    return found


def _bound(tokens: list[str]) -> set[str]:
    """Return the names that a query gives: to nodes, relationships and results."""
    names = set()
    for place in range(1, len(tokens)):
        before, token = tokens[place - 1], tokens[place]
        after = tokens[place + 1] if place + 1 < len(tokens) else ""
        opened = before in ("(", "[") and after in (":", ")", "]", "{", "*")
        if re.fullmatch(r"[A-Za-z_]\w*", token) and (opened or before.lower() == "as"):
            names.add(token)
    return names - {name for name in names if name.lower() in KEYWORDS}
