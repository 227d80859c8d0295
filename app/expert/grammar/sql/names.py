"""Names and values in a statement: which of them is a column, a table, a function or an alias."""

from dataclasses import replace

from expert.grammar.sql import scope
from expert.grammar.sql.keywords import KEYWORDS, keyword
from expert.grammar.sql.scanner import Piece
from expert.grammar.sql.scope import Bracket, Query
from expert.grammar.sql.signs import call
from expert.grammar.sql.state import State, column, value

_CONSTANTS = frozenset(b"true false current_date current_time current_timestamp".split())
_UNITS = frozenset(b"extract timestampdiff".split())
_TYPED_TEXTS = frozenset(b"date time timestamp".split())
_ALSO_FUNCTIONS = frozenset(b"left right".split())
_VALUES = frozenset(("items", "where", "on", "set", "group", "having", "order", "returning"))
_NONE: frozenset[bytes] = frozenset()
_AT_START = {
    b"": frozenset((b"replace",)),
    b"insert": frozenset((b"ignore",)),
    b"or": frozenset((b"ignore", b"replace")),
}
"""Words that are no names at the beginning of a statement, by what stands before them."""
_AFTER = {b"limit": frozenset((b"first", b"next"))}
"""The same elsewhere."""
_COMPLETE = frozenset(b"nulls first last rows row only nocase binary rtrim rollup".split())
"""Words after which no value follows."""


def decide(state: State, held: Piece, piece: Piece) -> tuple[State | None, bool]:
    """Say what the held name is, now that *piece* follows; and whether that takes the piece."""
    free, name = replace(state, held=None), held.text.lower()
    if piece == Piece("sign", b"."):
        return replace(free, owner=name), True
    if piece == Piece("sign", b"("):
        return call(free, name), True
    if piece.kind == "'" and name in _TYPED_TEXTS:
        return value(free), True
    return use(free, held), False


def use(state: State, held: Piece) -> State | None:
    name = held.text.lower()
    frames = scope.use(state.frames, state.known, name)
    if frames is not None:
        return column(replace(state, frames=frames), name)
    if held.kind == "word":
        return value(state) if name in _CONSTANTS else None
    top = state.top
    if isinstance(top, Query) and top.stage == "set" and state.last in (b"set", b"update", b","):
        return None  # a column to be set, which no text can be
    return value(state) if held.kind in state.dialect.texts else None


def number(state: State, text: bytes) -> State | None:
    top = state.top
    if isinstance(top, Query) and top.stage in ("group", "order") and state.last in (b"by", b","):
        if not text.isdigit() or not 1 <= int(text) <= len(top.outputs):
            return None  # a place in the list of outputs
        return replace(state, operand=False, last=b"")
    return value(state)


def name(state: State, piece: Piece) -> State | None:
    """A word, or a name in quotes."""
    word, top = piece.text.lower(), state.top
    if state.last in (b":", b"@", b"$"):
        return replace(state, operand=False, last=b"")
    if state.owner is not None:
        frames = scope.use_of(state.frames, state.known, state.owner, word)
        return column(replace(state, frames=frames, owner=None), word) if frames else None
    if isinstance(top, Bracket):
        if top.typed:
            return state
        if top.kind in ("using", "columns", "conflict", "cte-columns"):
            return _listed(state, top, word)
        if top.empty and piece.kind == "word":
            if word in (b"select", b"with") and top.kind != "call":
                return keyword(_open_query(state, top), word)
            if top.kind == "call" and top.function in _UNITS:
                return replace(state.put(replace(top, empty=False)), operand=False)
        state = state.put(replace(top, empty=False))
    elif (placed := place(state, top, piece)) is not None:
        return placed[0]
    if piece.kind == "word":
        if word in expected(state):
            return state.key(word)
        if _is_keyword(state, word):
            return keyword(state, word)
    if not state.operand:
        ended = word in _COMPLETE or (isinstance(top, Query) and top.stage == "conflict")
        return state.key(word, not ended)
    return replace(state, held=piece)


def _is_keyword(state: State, word: bytes) -> bool:
    top = state.top
    value_next = isinstance(top, Bracket) or (state.operand and top.stage in _VALUES)
    if word in _ALSO_FUNCTIONS and value_next:
        return False
    if word == b"values" and isinstance(top, Query) and top.stage == "set":
        return False
    return word in KEYWORDS or (word == b"fetch" and "fetch" in state.dialect.reserved)


def expected(state: State) -> frozenset[bytes]:
    """Return the words that mean something at this place alone."""
    top = state.top
    if isinstance(top, Query) and top.stage == "start":
        return _AT_START.get(state.last, _NONE)
    return _AFTER.get(state.last, _NONE)


def place(state: State, top: Query, piece: Piece) -> tuple[State | None] | None:
    """Take a name where a query expects one of another kind than a column, else return None."""
    word = piece.text.lower()
    keyword = piece.kind == "word" and word in KEYWORDS
    if top.stage in ("source", "target") and not keyword:
        return (_table(state, top, word),)
    if top.stage == "named" and not keyword:
        named = scope.add_source(top, word) if top.fresh is not None else None
        return (state.put(named).key(b"") if named else None,)
    if top.stage == "cte" and state.last == b"with" and word == b"recursive":
        return (state.put(replace(top, recursive=True)).key(word),)
    if top.stage == "cte" and not keyword:
        taken = any(made.name == word for made in top.ctes) or word in state.known.tables
        return (None if taken else state.put(replace(top, stage="cte-as", cte=word)),)
    if top.stage == "items" and state.last == b"as" and not keyword:
        return (state.put(replace(top, item=word, aliases=top.aliases | {word})).key(b"", False),)
    return None


def _table(state: State, top: Query, name: bytes) -> State | None:
    found = scope.relation(state.frames, state.known, name)
    if found is None or len(top.sources) >= 12:
        return None
    if top.stage == "target":
        made = replace(top, stage="named", target=found, fresh=found.columns, cte=name)
        return replace(state.put(made), last=b"", chosen=state.chosen + 1)
    made = replace(top, stage="named", fresh=found.columns, cte=name)
    return replace(state.put(made), last=b"", chosen=state.chosen + 1)


def _listed(state: State, top: Bracket, name: bytes) -> State | None:
    """Take a name in a list of columns: of USING, of INSERT, or of a table that WITH makes."""
    query = state.frames[-2]
    assert isinstance(query, Query)
    if name in top.names:
        return None
    if top.kind == "using":
        holders = sum(name in source.columns for source in query.sources[:-1])
        if name not in query.sources[-1].columns or (holders != 1 and name not in query.shared):
            return None
    if top.kind in ("columns", "conflict") and (
        query.target is None or name not in query.target.columns
    ):
        return None
    return state.put(replace(top, names=(*top.names, name)))


def _open_query(state: State, top: Bracket) -> State:
    width = 1 if top.kind in ("value", "in") else 0
    opened = Query("start", top.kind, width)
    frames = (*state.frames[:-1], replace(top, empty=False), opened)
    return replace(state, frames=frames, operand=True, last=b"")
