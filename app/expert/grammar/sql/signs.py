"""Signs in a statement: brackets open and close queries and lists, commas part what is listed."""

from dataclasses import replace

from expert.grammar.sql import scope
from expert.grammar.sql.scope import Bracket, Query
from expert.grammar.sql.state import State, end_item, end_query, settle, value

_DEEPEST = 14  # brackets and queries inside each other
AGGREGATES = frozenset(
    b"count sum avg min max total group_concat string_agg array_agg bool_or bool_and stddev "
    b"variance".split()
)
WINDOWS = frozenset(b"row_number rank dense_rank lag lead".split())


def sign(state: State, sign: bytes) -> State | None:
    match sign:
        case b"(":
            return _open(state)
        case b")":
            return _close(state)
        case b",":
            return _comma(state)
        case b";":
            return end_query(state) if len(state.frames) == 1 else None
        case b"*":
            return _star(state)
        case b"?":
            return value(state)
        case b":" | b"@" | b"$":
            return replace(state, last=sign)
        case b".":
            return state
    return replace(state, operand=True, last=b"")


def _star(state: State) -> State | None:
    top = state.top
    if state.owner is not None:
        if isinstance(top, Query) and top.stage == "returning":
            return None
        frames = scope.use_of(state.frames, state.known, state.owner, None)
        if frames is None:
            return None
        top = frames[-1]
        assert isinstance(top, Query)
        made = replace(state, frames=frames, owner=None, operand=False)
        return made.put(replace(top, item=b"*" + state.owner))
    if not state.operand:
        return replace(state, operand=True, last=b"")
    if isinstance(top, Query) and top.stage == "items":
        state = state.put(replace(top, item=b"*"))
    return replace(state, operand=False, last=b"")


def call(state: State, function: bytes) -> State | None:
    """Open the bracket of a function; aggregates and windows only where they mean something."""
    if not _may_call(state, function):
        return None
    if isinstance(state.top, Query) and state.top.stage == "items":
        state = state.put(replace(state.top, item=b""))
    return _push(state, Bracket("cast" if function == b"cast" else "call", function))


def _may_call(state: State, function: bytes) -> bool:
    if function not in AGGREGATES and function not in WINDOWS:
        return True
    query = state.frames[scope.query_of(state.frames)]
    assert isinstance(query, Query)
    if query.stage == "order" and query.compound:
        return False
    stages = ("items", "order") if function in WINDOWS else ("items", "order", "having")
    inside = state.frames[scope.query_of(state.frames) + 1 :]
    nested = any(
        isinstance(one, Bracket) and (one.function in AGGREGATES or one.kind == "over")
        for one in inside
    )
    return query.stage in stages and not nested


def _push(state: State, bracket: Bracket) -> State | None:
    if len(state.frames) >= _DEEPEST:
        return None
    return replace(state, frames=(*state.frames, bracket), operand=True, last=b"")


def _open(state: State) -> State | None:
    top = state.top
    if isinstance(top, Bracket):
        if top.typed:
            return replace(state, frames=(*state.frames, Bracket("type", typed=True)))
        state = state.put(replace(top, empty=False))
    elif top.stage == "source":
        return _push(state, Bracket("rows"))
    elif top.stage == "cte-as":
        return _push(state, Bracket("cte" if state.last == b"as" else "cte-columns"))
    elif top.stage == "on" and state.last == b"using":
        return _push(state, Bracket("using"))
    elif top.stage == "named" and top.target is not None:
        made = scope.add_source(top, top.cte)
        return _push(state.put(made), Bracket("columns")) if made else None
    elif top.stage == "values":
        return _push(state, Bracket("row"))
    elif top.stage == "conflict":
        return _push(state, Bracket("conflict"))
    elif top.stage == "items" and state.last == b"on":
        return _push(state, Bracket("distinct-on"))
    elif top.stage == "items":
        state = state.put(replace(top, item=b""))
    kinds = {b"in": "in", b"exists": "exists", b"over": "over"}
    kind = kinds.get(state.last, "value")
    query = state.frames[scope.query_of(state.frames)]
    if kind == "over" and isinstance(query, Query) and query.stage not in ("items", "order"):
        return None
    return _push(state, Bracket(kind))


def _close(state: State) -> State | None:
    top = state.top
    if isinstance(top, Query):
        ended = end_query(state)
        if ended is None or len(ended.frames) < 3:
            return None
        query = ended.top
        assert isinstance(query, Query)
        return _give(replace(ended, frames=ended.frames[:-2]), query)
    frames = state.frames[:-1]
    query = frames[-1]
    closed = replace(state, frames=frames, operand=False, last=b"")
    if top.typed:
        return closed
    if top.kind == "row" and isinstance(query, Query) and top.count != query.width:
        return None
    if top.kind == "distinct-on":
        return replace(closed, operand=True)
    if top.kind == "columns" and isinstance(query, Query):
        return closed.put(replace(query, stage="insert", width=len(top.names)))
    if top.kind == "using" and isinstance(query, Query):
        return closed.put(replace(query, shared=query.shared.union(top.names)))
    if top.kind == "cte-columns" and isinstance(query, Query):
        made = scope.Source(query.cte, top.names)
        return closed.put(replace(query, ctes=(*query.ctes, made)))
    return closed


def _give(state: State, query: Query) -> State | None:
    """Hand the columns of a finished subquery to what it stands in."""
    top, names = state.top, query.outputs
    closed = replace(state, operand=False, last=b"")
    if query.opened == "rows" and isinstance(top, Query):
        return closed.put(replace(top, stage="named", fresh=names, cte=b""))
    if query.opened == "cte" and isinstance(top, Query):
        declared = [made for made in top.ctes if made.name == top.cte]
        if declared and len(declared[0].columns) != len(names):
            return None
        ctes = top.ctes if declared else (*top.ctes, scope.Source(top.cte, names))
        return closed.put(replace(top, stage="cte-done", ctes=ctes))
    return closed


def _comma(state: State) -> State | None:
    top = state.top
    ready = replace(state, operand=True, last=b",")
    if isinstance(top, Bracket):
        count = top.count + 1
        query = state.frames[-2]
        if top.kind == "row" and isinstance(query, Query) and count > query.width:
            return None
        return ready.put(replace(top, count=count))
    if top.stage == "items":
        listed = end_item(top)
        return None if too_wide(listed, 1) else ready.put(listed)
    if top.stage == "cte-done":
        return ready.put(replace(top, stage="cte"))
    if top.stage in ("named", "on"):
        settled = settle(state)
        if settled is None or not isinstance(settled.top, Query):
            return None
        return settled.put(replace(settled.top, stage="source"))
    return ready


def too_wide(query: Query, more: int) -> bool:
    known = sum(not name.startswith(b"*") for name in query.outputs)
    return bool(query.width) and known + more > query.width
