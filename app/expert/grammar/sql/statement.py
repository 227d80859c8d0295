"""One statement, piece by piece: the way through names, signs and keywords."""

from dataclasses import replace

from expert.grammar.sql import scope
from expert.grammar.sql.keywords import KEYWORDS
from expert.grammar.sql.names import decide, expected, name, number, use
from expert.grammar.sql.scanner import Piece, Scanner
from expert.grammar.sql.scope import OPEN, Bracket, Query
from expert.grammar.sql.signs import sign
from expert.grammar.sql.state import State, end_from, end_query, value

_ALIASED = ("items", "named", "returning")
_ALIAS = 4  # characters of a qualifier whose table is still to come
_GO_ON = tuple(b"join left right full inner outer cross natural as on using and or in is".split())
_GO_ON += tuple(b"between like not then else end when over glob ilike regexp similar".split())


def step(state: State, piece: Piece) -> State | None:
    """Return the state after *piece*, or None when it must not stand here."""
    if state.held:
        after, taken = decide(state, state.held, piece)
        if after is None or taken:
            return after
        state = after
    if piece.kind == "sign":
        return sign(state, piece.text)
    if piece.kind == "number":
        return number(state, piece.text)
    if piece.kind == "'":
        return value(state)
    return name(state, piece)


def finish(state: State) -> bool:
    """Tell whether the statement may end here."""
    if state.held:
        after = use(replace(state, held=None), state.held)
        if after is None:
            return False
        state = after
    if len(state.frames) != 1 or state.owner is not None:
        return False
    ended = end_query(state)
    return ended is not None


def viable(state: State, scanner: Scanner) -> bool:
    """Tell whether the piece being read begins something that may stand here."""
    part, kind, top = scanner.text.lower(), scanner.kind, state.top
    if kind in ("", "number", "'") or state.last in (b":", b"@", b"$"):
        return True
    if any(word.startswith(part) for word in expected(state)):
        return True
    if state.owner is not None:
        columns = scope.columns_of(state.frames, state.known, state.owner)
        return any(column.startswith(part) for column in columns)
    if isinstance(top, Bracket):
        if top.typed or top.kind == "cte-columns":
            return True
        if top.kind in ("using", "columns", "conflict"):
            return _listable(state, top, part)
    elif top.stage in ("source", "target"):
        made = (one.name for _, query in scope.queries(state.frames) for one in query.ctes)
        return scope.begins(part, state.known.sorted_tables) or any(
            name.startswith(part) for name in made
        )
    elif top.stage == "cte" or (state.last == b"as" and top.stage in _ALIASED):
        return True
    elif top.stage in ("named", "on", "items") and not (state.operand and top.stage != "named"):
        return _may_go_on(state, top, part)
    if not state.operand:
        return True
    if kind != "word" and kind in state.dialect.texts:
        return True
    return _operand_begins(state, part, kind == "word")


def _listable(state: State, top: Bracket, part: bytes) -> bool:
    query = state.frames[-2]
    assert isinstance(query, Query)
    source = query.sources[-1] if top.kind == "using" else query.target
    names = source.columns if source else ()
    return any(name.startswith(part) for name in names if name not in top.names)


def _may_go_on(state: State, top: Query, part: bytes) -> bool:
    """Tell whether a word that is no operand may begin so; a FROM that lacks tables must go on."""
    if top.stage == "items" and b"from".startswith(part):
        stars = any((name or b"").startswith(b"*") for name in (*top.outputs, top.item))
        return not top.width or stars or len(top.outputs) + 1 >= top.width
    if any(word.startswith(part) for word in _GO_ON):
        return True
    if top.stage == "named" and top.fresh is not None and len(part) <= _ALIAS:
        return True
    return end_from(state) is not None


def _operand_begins(state: State, part: bytes, word: bool) -> bool:
    if word and (
        any(keyword.startswith(part) for keyword in KEYWORDS)
        or scope.begins(part, state.known.functions)
    ):
        return True
    for _, query in scope.queries(state.frames):
        if query.stage in OPEN:
            made = (name for one in query.ctes for name in (one.name, *one.columns))
            return (
                len(part) <= _ALIAS
                or scope.begins(part, state.known.sorted_columns)
                or scope.begins(part, state.known.sorted_tables)
                or any(name.startswith(part) for name in made)
                or any(name.startswith(part) for name in _around(state))
            )
        names = (name for one in query.sources for name in (one.name, *one.columns))
        if any(name.startswith(part) for name in names):
            return True
        if any(name.startswith(part) for name in query.aliases):
            return True
    return False


def _around(state: State) -> set[bytes]:
    """Return the names of all that is open around the innermost query."""
    found: set[bytes] = set()
    for _, query in scope.queries(state.frames):
        for source in (*query.sources, *query.ctes):
            found.update((source.name, *source.columns))
    return found
