"""One statement as it is read: what is open, and what the last pieces leave undecided."""

from dataclasses import dataclass, replace

from expert.grammar.sql import scope
from expert.grammar.sql.dialects import Dialect
from expert.grammar.sql.scanner import Piece
from expert.grammar.sql.scope import Frame, Frames, Known, Query

_OPEN_STAGES = "start source target cte cte-as cte-done joining set-op delete insert"
UNFINISHED = frozenset(_OPEN_STAGES.split())


@dataclass(frozen=True, slots=True)
class State:
    """A statement up to a piece: what is open, and what the last pieces leave undecided."""

    frames: Frames
    known: Known
    dialect: Dialect
    held: Piece | None = None
    """A name that is a column, a function or a qualifier, as the next piece will tell."""
    owner: bytes | None = None
    """The qualifier, when its dot was read."""
    operand: bool = True
    """Whether a value is expected next."""
    last: bytes = b""
    """The last keyword, or sign before a name of another kind."""
    chosen: int = 0
    """How many tables were chosen."""

    @property
    def top(self) -> Frame:
        """The innermost thing that is open."""
        return self.frames[-1]

    def put(self, frame: Frame) -> "State":
        """Return the state with the innermost frame replaced."""
        return replace(self, frames=(*self.frames[:-1], frame))

    def key(self, word: bytes, operand: bool = True) -> "State":
        """Return the state after a keyword."""
        return replace(self, last=word, operand=operand)


def column(state: State, name: bytes) -> State:
    """Note that a column was used: alone, it names an output."""
    if isinstance(state.top, Query) and state.top.stage == "items":
        state = state.put(replace(state.top, item=name if state.top.item is None else b""))
    return replace(state, operand=False, last=b"")


def value(state: State) -> State | None:
    top = state.top
    if isinstance(top, Query):
        if top.stage == "items":
            state = state.put(replace(top, item=b""))
        if state.operand and top.stage == "order" and top.compound:
            return None
    return replace(state, operand=False, last=b"")


def end_item(query: Query) -> Query:
    return replace(query, outputs=(*query.outputs, query.item or b""), item=None)


def settle(state: State) -> State | None:
    """Give the source that was read last its own name, if it was given no other."""
    top = state.top
    assert isinstance(top, Query)
    if top.fresh is None:
        return state
    if not top.cte and state.dialect.name != "sqlite":
        return None  # a subquery in FROM must have a name
    named = scope.add_source(top, top.cte)
    return state.put(named) if named else None


def end_from(state: State) -> State | None:
    """Return the state when the tables of the innermost query are all there."""
    top = state.top
    assert isinstance(top, Query)
    if top.stage == "items":
        state = state.put(end_item(top))
    elif top.stage not in ("named", "on"):
        return state
    settled = settle(state)
    frames = scope.close_from(settled.frames, settled.known) if settled else None
    return replace(settled, frames=frames) if settled and frames else None


def end_query(state: State) -> State | None:
    """Return the state when the innermost query is complete."""
    top = state.top
    if not isinstance(top, Query) or top.stage in UNFINISHED:
        return None
    return end_from(state)
