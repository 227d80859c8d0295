"""What brings an unfinished query to its end: names that fit, tables that it lacks, and the rest of
what is open.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from expert.grammar.sql import scope
from expert.grammar.sql.names import use
from expert.grammar.sql.scanner import Scanner
from expert.grammar.sql.scope import OPEN, Bracket, Query, Source
from expert.grammar.sql.state import State
from expert.grammar.sql.statement import step

_VALUE = b"1"
_CASE = (b"end", b"then 1 end", b"when 1 then 1 end")
_REST = (*_CASE, b"by ", b"and 1", b"limit 1")
"""What an open CASE, half a keyword, BETWEEN, or a space at the end lacks; after brackets, for some
always fit.
"""
_WORDS = (
    b"select ", b"from ", b"where 1", b"group by ", b"order by ", b"limit 1", b"having 1", b"join ",
    b"between 1 and 1", b"exists (select 1)", b"else 1 end", b"case when 1 then 1 end", *_CASE,
    b"with x as (select 1) select * from x",
)  # fmt: skip
"""How a word that was begun may go on."""
_ONLY = {"joining": b"join ", "set-op": b"select ", "cte": b"x as (select 1) select * from x"}
"""What must follow at a stage."""


def ways(state: State, scanner: Scanner) -> Iterator[bytes]:
    """Yield texts that bring a statement nearer to its end; not all of them may stand there.

    A text that only makes the answer longer comes after those that close something: a search that
    takes the first way again and again must not go on for ever.
    """
    part, kind = scanner.text.lower(), scanner.kind
    if kind in ("'", '"', "`") and not scanner.closed:
        begun = (name for name in _names(state) if name.startswith(part)) if kind != "'" else ()
        yield from (name[len(part) :] + kind.encode() for name in begun)
        yield kind.encode()
        return
    if not kind and _is_new(state):
        yield from (b"SELECT * FROM " + table for table in _tables(state))
        return
    if not kind:
        yield from _names(state)
    whole = _whole(state, scanner)
    gaps = (b" ",) if kind else (b" ", b"")  # a space may be there already
    if whole is not None:
        yield from (gap + text for text in _clauses(whole) for gap in gaps)
        if len(whole.frames) > 1:
            yield b")"
    if kind == "word":
        calls = (name + b"(1)" for name in state.known.functions)
        words = (*_names(state), *_WORDS, *(calls if state.operand else ()))
        yield from (word[len(part) :] for word in words if word.startswith(part) and word != part)
    if whole is not None:
        more = (*(_names(whole) if kind else ()), *_REST)
        yield from (gap + text for text in more for gap in gaps)


def _is_new(state: State) -> bool:
    """Tell whether nothing is written yet of the statement, or of a query in brackets."""
    return isinstance(state.top, Query) and state.top.stage == "start" and not state.last


def _whole(state: State, scanner: Scanner) -> State | None:
    """Return the state after the piece that is being read, if it may end there."""
    whole: State | None = state
    for piece in scanner.end() or ():
        whole = step(whole, piece) if whole else None
    if whole is not None and whole.held is not None:
        return use(replace(whole, held=None), whole.held)
    return whole if whole is not None and whole.owner is None else None


def _names(state: State) -> Iterable[bytes]:
    """Return what may stand where a name or a value is expected, the most useful first."""
    top = state.top
    if state.owner is not None:
        named = scope.relation(state.frames, state.known, state.owner)
        own = named.columns if named else ()
        return (*own, *sorted(scope.columns_of(state.frames, state.known, state.owner)))
    if isinstance(top, Query) and top.stage in ("source", "target"):
        tables = (*_lacked(state, top), *_tables(state))
        return dict.fromkeys(text.split(b" ")[0] for text in tables)
    if isinstance(top, Query) and top.stage == "named" and state.last == b"as":
        return (owner for owner, _ in _lacking(top) if owner)
    if not state.operand:
        return ()
    for _, query in scope.queries(state.frames):
        sources = tuple(_relations(state)) if query.stage in OPEN else query.sources
        if sources:
            columns = dict.fromkeys(name for source in sources for name in source.columns)
            return (*columns, _VALUE, *(source.name + b"." for source in sources))
    return (_VALUE,)


def _clauses(state: State) -> Iterator[bytes]:
    """Yield the clauses that a statement still needs."""
    top = state.top
    if isinstance(top, Bracket):
        return
    if top.stage in _ONLY:
        yield _ONLY[top.stage]
    elif top.stage == "cte-as":
        yield b"as (select 1) select * from " + top.cte
    elif top.stage == "cte-done":
        yield b"select * from " + top.ctes[-1].name
    elif top.stage == "items":
        yield from (b"FROM " + text for text in (*_lacked(state, top), *_tables(state)))
    elif top.stage in ("named", "on"):
        yield from (b"JOIN " + text for text in _lacked(state, top))


def _lacking(query: Query) -> list[tuple[bytes, scope.Names]]:
    """Return what a query uses that no table of it has: columns by the name before their dot."""
    named = {source.name for source in query.sources}
    held = {column for source in query.sources for column in source.columns}
    if query.fresh is not None:
        named.add(query.cte)
        held.update(query.fresh)
    loose = [(b"", frozenset((name,))) for name in sorted(query.loose - held)]
    return [(owner, columns) for owner, columns in query.wanted if owner not in named] + loose


def _lacked(state: State, query: Query) -> Iterator[bytes]:
    """Yield tables that have what a query lacks, called as it calls them."""
    lacking = _lacking(query)
    loose = frozenset(name for owner, names in lacking if not owner for name in names)
    for owner, columns in lacking:
        having = [one for one in _relations(state) if columns.issubset(one.columns)]
        if not owner:
            having.sort(key=lambda one: -len(loose.intersection(one.columns)))
            yield from (one.name for one in having)
        elif any(one.name == owner for one in having):
            yield owner
        else:
            yield from (one.name + b" AS " + owner for one in having)


def _tables(state: State) -> Iterator[bytes]:
    return (one.name for one in _relations(state))


def _relations(state: State) -> Iterator[Source]:
    return scope.relations(state.frames, state.known)
