"""Which names mean something at a place of a SQL statement.

A query is *open* until its FROM is read: what it has used by then is kept, and the tables must
provide it. Names are looked for in the query, then in those around it.
"""

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from expert.grammar.sql.schema import Schema, fold

_LONGEST_ALIAS = 4
_MOST_SOURCES = 12
OPEN = ("start", "items")
NO_TABLES = ("values", "cte", "cte-as", "cte-done")
NAMING = ("group", "having", "order")

Names: TypeAlias = frozenset[bytes]
NOTHING: Names = frozenset()


@dataclass(frozen=True, slots=True)
class Source:
    """Rows that a query reads: what they are called, and their columns."""

    name: bytes
    columns: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A query, or another statement, as far as it was read."""

    stage: str
    opened: str = "root"
    """What it stands in: root, value, exists, rows (in FROM) or cte (in WITH)."""
    width: int = 0
    """How many columns it must have; 0 is any number."""
    sources: tuple[Source, ...] = ()
    fresh: tuple[bytes, ...] | None = None
    """Columns of the source whose name is still to come."""
    wanted: tuple[tuple[bytes, Names], ...] = ()
    """What an open query has used, by the name before the dot."""
    loose: Names = NOTHING
    """What an open query has used without one."""
    outputs: tuple[bytes, ...] = ()
    item: bytes | None = None
    """The name of the output being written: empty if it has none, None before it begins."""
    aliases: Names = NOTHING
    ctes: tuple[Source, ...] = ()
    cte: bytes = b""
    shared: Names = NOTHING
    """Columns joined by USING, which are not ambiguous."""
    natural: bool = False
    """Whether the next source is joined by the names that it shares."""
    compound: bool = False
    target: Source | None = None
    """The table that a statement changes."""
    recursive: bool = False
    """Whether the queries of WITH may read themselves."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """An open parenthesis that is no query (yet)."""

    kind: str
    function: bytes = b""
    empty: bool = True
    typed: bool = False
    """Whether a type's name is being written in it."""
    count: int = 1
    names: tuple[bytes, ...] = ()


Frame: TypeAlias = Query | Bracket
Frames: TypeAlias = tuple[Frame, ...]


@dataclass(frozen=True)
class Known:
    """The tables of a schema by their folded names."""

    tables: dict[bytes, Source]
    sorted_tables: tuple[bytes, ...]
    sorted_columns: tuple[bytes, ...]
    columns: Names
    functions: tuple[bytes, ...]


def known(schema: Schema, functions: Iterable[str]) -> Known:
    """Index *schema*, and the *functions* of the dialect."""
    tables = {
        fold(table.name): Source(
            fold(table.name), tuple(fold(column.name) for column in table.columns)
        )
        for table in schema.tables
    }
    columns = frozenset(column for table in tables.values() for column in table.columns)
    names = tuple(sorted(fold(name) for name in functions))
    return Known(tables, tuple(sorted(tables)), tuple(sorted(columns)), columns, names)


def begins(prefix: bytes, ordered: tuple[bytes, ...]) -> bool:
    """Tell whether *prefix* begins one of the *ordered* names."""
    place = bisect.bisect_left(ordered, prefix)
    return place < len(ordered) and ordered[place].startswith(prefix)


def query_of(frames: Frames) -> int:
    """Return the place of the innermost query."""
    return max(index for index, frame in enumerate(frames) if isinstance(frame, Query))


def swap(frames: Frames, index: int, frame: Frame) -> Frames:
    """Return *frames* with the one at *index* replaced."""
    return (*frames[:index], frame, *frames[index + 1 :])


def queries(frames: Frames) -> Iterator[tuple[int, Query]]:
    """Yield the open queries from the innermost outward, each with its place."""
    for index in reversed(range(len(frames))):
        frame = frames[index]
        if isinstance(frame, Query):
            yield index, frame


def relations(frames: Frames, known: Known) -> Iterator[Source]:
    """Yield what FROM can name here: tables that WITH made, then those of the schema."""
    for _, query in queries(frames):
        yield from query.ctes
    yield from known.tables.values()


def relation(frames: Frames, known: Known, name: bytes) -> Source | None:
    """Return the table of that name."""
    for _, query in queries(frames):
        for made in query.ctes:
            if made.name == name:
                return made
    return known.tables.get(name)


def use(frames: Frames, known: Known, name: bytes) -> Frames | None:
    """Return *frames* after a column without a qualifier was used, or None if there is none."""
    for index, query in queries(frames):
        if query.stage in OPEN:
            made = (one for _, q in queries(frames) for cte in q.ctes for one in cte.columns)
            if name not in known.columns and name not in made:
                return None
            return swap(frames, index, replace(query, loose=query.loose | {name}))
        if query.stage == "order" and query.compound:
            return frames if name in query.aliases else None
        found = _providers(query, name)
        if found == 1 or (found and name in query.shared):
            if query.stage != "on":
                return frames
            # a table that follows may have it too
            return swap(frames, index, replace(query, loose=query.loose | {name}))
        if found:
            return None  # ambiguous
        if name in query.aliases and query.stage in NAMING:
            return frames
    return None


def _providers(query: Query, name: bytes) -> int:
    if query.stage in NO_TABLES:
        return 0
    return sum(name in source.columns for source in query.sources)


def use_of(frames: Frames, known: Known, owner: bytes, name: bytes | None) -> Frames | None:
    """The same for `owner.name`, or for `owner.*` if *name* is None."""
    for index, query in queries(frames):
        if query.stage == "order" and query.compound:
            return None
        for source in query.sources:
            if source.name == owner:
                return frames if name is None or name in source.columns else None
        if query.stage in OPEN:
            wanted = dict(query.wanted)
            columns = wanted.get(owner, NOTHING) | ({name} if name is not None else NOTHING)
            if not _can_provide(frames[: index + 1], known, owner, columns):
                return None
            wanted[owner] = columns
            if len(wanted) > _MOST_SOURCES:
                return None
            frames = swap(frames, index, replace(query, wanted=tuple(wanted.items())))
            return frames
    return None


def _can_provide(outer: Frames, known: Known, owner: bytes, columns: Names) -> bool:
    """Tell whether a table that can be called *owner* has all the *columns*."""
    around = (source for _, query in queries(outer) for source in query.sources)
    if any(source.name == owner and columns.issubset(source.columns) for source in around):
        return True
    named = relation(outer, known, owner)
    if named and columns.issubset(named.columns):
        return True
    if len(owner) > _LONGEST_ALIAS:
        return False
    return any(columns.issubset(one.columns) for one in relations(outer, known))


def columns_of(frames: Frames, known: Known, owner: bytes) -> Iterable[bytes]:
    """Yield the columns that may follow `owner.`, and more."""
    for index, query in queries(frames):
        for source in query.sources:
            if source.name == owner:
                return source.columns
        if query.stage in OPEN:
            wanted = dict(query.wanted).get(owner, NOTHING)
            some = [
                one for one in relations(frames[: index + 1], known) if wanted.issubset(one.columns)
            ]
            around = [s for _, q in queries(frames[:index]) for s in q.sources if s.name == owner]
            if len(owner) > _LONGEST_ALIAS:
                some = [one for one in some if one.name == owner]
            return {column for one in (*some, *around) for column in one.columns}
    return ()


def add_source(query: Query, name: bytes) -> Query | None:
    """Return *query* with its fresh source called *name*, or None if that cannot be."""
    if query.fresh is None:
        return query
    columns = query.fresh
    if any(source.name == name for source in query.sources if name):
        return None
    if not dict(query.wanted).get(name, NOTHING).issubset(columns):
        return None
    sources = (*query.sources, Source(name, columns))
    shared = {one for one in columns if query.natural and _providers(query, one)}
    ambiguous = any(_providers(query, one) > 1 and one not in query.shared for one in shared)
    if ambiguous or len(sources) > _MOST_SOURCES:
        return None
    return replace(query, sources=sources, fresh=None, natural=False, shared=query.shared | shared)


def close_from(frames: Frames, known: Known) -> Frames | None:
    """Return *frames* when the FROM of the innermost query ends, or None if it must not yet.

    What the query used is looked up in its tables; what they lack, in the queries around it.
    """
    index = query_of(frames)
    query = frames[index]
    assert isinstance(query, Query)
    if not query.sources and any(name.startswith(b"*") for name in query.outputs):
        return None
    outer = frames[:index]
    for owner, columns in query.wanted:
        own = [source for source in query.sources if source.name == owner]
        if own and not columns.issubset(own[0].columns):
            return None
        if own:
            continue
        for column in columns or {None}:
            found = use_of(outer, known, owner, column)
            if found is None:
                return None
            outer = found
    for name in query.loose:
        provided = _providers(query, name)
        if provided > 1 and name not in query.shared:
            return None
        if not provided:
            found = use(outer, known, name)
            if found is None:
                return None
            outer = found
    outputs = tuple(_expanded(query))
    if query.width and len(outputs) != query.width:
        return None
    closed = replace(query, wanted=(), loose=NOTHING, outputs=outputs)
    return (*outer, closed, *frames[index + 1 :])


def _expanded(query: Query) -> Iterator[bytes]:
    """Yield the names of the outputs, stars replaced by the columns they stand for."""
    for name in query.outputs:
        if not name.startswith(b"*"):
            yield name
            continue
        seen: set[bytes] = set()
        for source in query.sources:
            if name in (b"*", b"*" + source.name):
                joined = seen & query.shared
                yield from (column for column in source.columns if column not in joined)
                seen.update(source.columns)
