"""Keywords in a statement: which clause begins, and what must be settled before it may."""

from collections.abc import Callable
from dataclasses import replace

from expert.grammar.sql import scope
from expert.grammar.sql.dialects import COMMON_RESERVED
from expert.grammar.sql.scope import Bracket, Query
from expert.grammar.sql.state import State, end_from, end_item, settle, value

KEYWORDS = frozenset(word.encode() for word in COMMON_RESERVED) | frozenset(
    b"glob regexp ilike similar interval any some".split()
)
_ENDED = frozenset(b"end asc desc collate".split())
_IN_COMPOUND_ORDER = frozenset(b"by nulls".split())


def keyword(state: State, word: bytes) -> State | None:
    """Return the state after a keyword, or None when it must not stand here."""
    top = state.top
    if word == b"null":
        return value(state)
    if word in _ENDED:
        return state.key(word, False)
    if isinstance(top, Bracket):
        if word == b"as" and top.kind == "cast":
            return state.put(replace(top, typed=True))
        return state.key(word)
    if word in _CLAUSES:
        return _CLAUSES[word](state, top)
    if top.stage == "order" and top.compound and word not in _IN_COMPOUND_ORDER:
        return None
    if top.stage == "items" and word not in (b"distinct", b"all", b"as"):
        state = state.put(replace(top, item=b""))
    return state.key(word)


def select(state: State, top: Query) -> State | None:
    """Begin the list of outputs."""
    if top.target is None:
        return state.put(replace(top, stage="items")).key(b"select")
    width = top.width or len(top.target.columns)
    made = Query("items", top.opened, width, target=top.target)
    return state.put(made).key(b"select")


def _with(state: State, top: Query) -> State | None:
    if top.stage == "group":
        return state.key(b"with", False)  # of ROLLUP
    return state.put(replace(top, stage="cte")).key(b"with")


def _from(state: State, top: Query) -> State | None:
    if top.stage == "delete":
        return state.put(replace(top, stage="target")).key(b"from")
    if top.stage == "set":
        return state.put(replace(top, stage="source")).key(b"from")
    if top.stage != "items":
        return state.key(b"from")
    ended = end_item(top)
    known = any(output.startswith(b"*") for output in ended.outputs)
    if ended.width and not known and len(ended.outputs) != ended.width:
        return None
    return state.put(replace(ended, stage="source")).key(b"from")


def _join(state: State, top: Query) -> State | None:
    return _joining(state, "source", False)


def _side(state: State, top: Query) -> State | None:
    return _joining(state, "joining", False)


def _natural(state: State, top: Query) -> State | None:
    return _joining(state, "joining", True)


def _joining(state: State, stage: str, natural: bool) -> State | None:
    settled = settle(state)
    if settled is None:
        return None
    top = settled.top
    assert isinstance(top, Query)
    return settled.put(replace(top, stage=stage, natural=top.natural or natural)).key(b"join")


def _on(state: State, top: Query) -> State | None:
    if top.stage == "items":
        return state.key(b"on")  # of DISTINCT
    if top.stage == "values":
        return state.put(replace(top, stage="conflict")).key(b"on", False)
    settled = settle(state)
    if settled is None:
        return None
    assert isinstance(settled.top, Query)
    return settled.put(replace(settled.top, stage="on")).key(b"on")


def _using(state: State, top: Query) -> State | None:
    if not top.sources:  # of DELETE, which names more tables there
        settled = settle(state)
        assert settled and isinstance(settled.top, Query)
        return settled.put(replace(settled.top, stage="source")).key(b"using")
    settled = _on(state, top)
    if settled is None:
        return None
    assert isinstance(settled.top, Query)
    *before, last = settled.top.sources
    shared = {column for source in before for column in source.columns}
    return settled.key(b"using") if shared.intersection(last.columns) else None


def _clause(stage: str) -> Callable[[State, Query], State | None]:
    def begin(state: State, top: Query) -> State | None:
        ended = end_from(state)
        if ended is None:
            return None
        assert isinstance(ended.top, Query)
        return ended.put(replace(ended.top, stage=stage)).key(stage.encode())

    return begin


def _compound(state: State, top: Query) -> State | None:
    ended = end_from(state)
    if ended is None:
        return None
    done = ended.top
    assert isinstance(done, Query)
    names = frozenset(name for name in done.outputs if name) | done.aliases
    width = len(done.outputs)
    ended = _read_itself(ended, done)
    return ended.put(
        Query(
            "set-op", done.opened, width, aliases=names, ctes=done.ctes, compound=True,
            target=done.target,
        )
    ).key(b"union")  # fmt: skip


def _read_itself(state: State, query: Query) -> State:
    """Return the state in which the rest of a recursive query of WITH may read its beginning."""
    if query.opened != "cte":
        return state
    *outer, around, bracket, last = state.frames
    assert isinstance(around, Query)
    if not around.recursive or any(made.name == around.cte for made in around.ctes):
        return state
    made = scope.Source(around.cte, query.outputs)
    around = replace(around, ctes=(*around.ctes, made))
    return replace(state, frames=(*outer, around, bracket, last))


def _update(state: State, top: Query) -> State | None:
    """Begin an UPDATE, or the one of an INSERT whose row is there already."""
    if top.stage != "conflict":
        return _into(state, top)
    assert top.target
    fresh = replace(top.target, name=b"excluded")
    made = replace(top, stage="set", sources=(top.target, fresh), shared=frozenset(fresh.columns))
    return state.put(made).key(b"update")


def _into(state: State, top: Query) -> State | None:
    return state.put(replace(top, stage="target")).key(b"into")


def _delete(state: State, top: Query) -> State | None:
    return state.put(replace(top, stage="delete")).key(b"delete")


def _set(state: State, top: Query) -> State | None:
    settled = settle(state)
    if settled is None:
        return None
    assert isinstance(settled.top, Query)
    return settled.put(replace(settled.top, stage="set")).key(b"set")


def _values(state: State, top: Query) -> State | None:
    if state.last == b"default":
        return state.put(replace(top, stage="done", fresh=None)).key(b"values")
    width = top.width or len(top.target.columns if top.target else ())
    return state.put(replace(top, stage="values", fresh=None, width=width)).key(b"values")


def _returning(state: State, top: Query) -> State | None:
    ended = end_from(state) if top.stage != "values" else state
    if ended is None or top.target is None:
        return None
    return ended.put(Query("returning", sources=(top.target,), target=top.target)).key(b"returning")


_CLAUSES: dict[bytes, Callable[[State, Query], State | None]] = {
    b"select": select,
    b"with": _with,
    b"from": _from,
    b"join": _join,
    b"natural": _natural,
    b"on": _on,
    b"using": _using,
    b"where": _clause("where"),
    b"group": _clause("group"),
    b"having": _clause("having"),
    b"order": _clause("order"),
    b"limit": _clause("limit"),
    b"fetch": _clause("limit"),
    b"into": _into,
    b"update": _update,
    b"delete": _delete,
    b"set": _set,
    b"values": _values,
    b"returning": _returning,
    **dict.fromkeys((b"left", b"right", b"full", b"inner", b"outer", b"cross"), _side),
    **dict.fromkeys((b"union", b"intersect", b"except"), _compound),
}
