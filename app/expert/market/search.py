"""Finding experts: full-text search over what the sources offer, and all there is about one."""

import re
import sqlite3
from dataclasses import dataclass

from expert.market.market import Market
from expert.market.names import package_path, parse_named
from expert.market.records import Installed
from expert.market.sources.registry import refresh
from expert.market.universe import Available, Universe
from expert.package.container import inspect
from expert.package.semver import Version

_WORD = re.compile(r"\w+")
_MAX_WORDS = 16
_MANY = 2000
"""Ranking more matches than this takes too long, and a word so common tells little."""
_COLUMNS = "id, publisher, name, version, summary, source, size, signer IS NOT NULL AS signed"
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM offer_text WHERE offer_text MATCH ? LIMIT ?)"
_RANKED = f"""
    SELECT {_COLUMNS}
    FROM (
        SELECT rowid AS id, bm25(offer_text, 10, 2, 5, 5, 1) AS badness
        FROM offer_text WHERE offer_text MATCH ? ORDER BY badness LIMIT ?
    ) JOIN offer USING (id)
    ORDER BY badness
"""
_UNRANKED = f"""
    SELECT {_COLUMNS}
    FROM (SELECT rowid AS id FROM offer_text WHERE offer_text MATCH ? LIMIT ?) JOIN offer USING (id)
"""
_ALL = f"SELECT {_COLUMNS} FROM offer ORDER BY name, publisher, id LIMIT ?"


@dataclass(frozen=True, slots=True)
class Hit:
    """An expert that a search found, in its newest version."""

    publisher: str
    name: str
    version: str
    summary: str
    source: str
    size: int
    """Bytes to fetch."""
    signed: bool
    installed: str | None
    """The selected version that is installed."""


@dataclass(frozen=True, slots=True)
class Details:
    """All there is to know about an expert before, or after, installing it."""

    available: Available
    installed: Installed | None
    versions: tuple[str, ...]
    """Of all sources and the store, the newest first."""


def search(market: Market, text: str, limit: int = 20) -> list[Hit]:
    """Return experts whose texts have all words of *text*, or else any of them, best first.

    Words may be cut short: `sq` finds SQL. No words find everything, by name.
    """
    refresh(market, online=False)
    with market.reading() as catalogue:
        # An expert has a row for each version and source.
        rows = _rows(catalogue.connection, text, 4 * limit)
        own = {p.qualified_name: p.version for p in catalogue.installed() if p.selected}
    newest: dict[str, sqlite3.Row] = {}
    for row in rows:
        name = f"{row['publisher']}/{row['name']}"
        other = newest.setdefault(name, row)
        if row is not other and Version.parse(row["version"]) > Version.parse(other["version"]):
            newest[name] = row
    return [_hit(row, own.get(name)) for name, row in list(newest.items())[:limit]]


def _hit(row: sqlite3.Row, installed: str | None) -> Hit:
    fields = dict(row) | {"signed": bool(row["signed"]), "installed": installed}
    del fields["id"]
    return Hit(**fields)


def _rows(connection: sqlite3.Connection, text: str, limit: int) -> list[sqlite3.Row]:
    """Return offers: by all words in the name, then in any text, else by any of the words."""
    # SQLite's own query language makes errors of ordinary texts such as `c++` or an odd quote.
    words = [f'"{word}"*' for word in _WORD.findall(text)[:_MAX_WORDS]]
    if not words:
        return connection.execute(_ALL, (limit,)).fetchall()
    every, some = " AND ".join(words), " OR ".join(words)
    found: dict[int, sqlite3.Row] = {}
    for match in (f"name : ({every})", every, some):
        if len(found) < limit and (match is not some or not found):
            found |= {row["id"]: row for row in _matches(connection, match, limit)}
    return list(found.values())


def _matches(connection: sqlite3.Connection, match: str, limit: int) -> list[sqlite3.Row]:
    (count,) = connection.execute(_COUNT, (match, _MANY + 1)).fetchone()
    query = _RANKED if count <= _MANY else _UNRANKED
    return connection.execute(query, (match, limit)).fetchall()


def show(market: Market, text: str) -> Details:
    """Return all there is to know about an expert, by name or from a package file.

    A name without a version means the installed one, or else the newest.

    Raises:
        UsageError: it is not the name of an expert.
        NotFoundError: there is none.
        VerificationError: the package file is not sound.
    """
    refresh(market, online=False)
    path = package_path(text)
    with market.reading() as catalogue:
        universe = Universe.open(catalogue)
        if path is not None:
            return _details(universe, universe.add_file(inspect(path), path))
        named = parse_named(text)
        name = universe.qualify(named)
        universe.load(name)
        found = universe.found[name].values()
        selected = [p.id for p in universe.installed if p.qualified_name == name and p.selected]
        fitting = [
            one
            for one in found
            if (named.range is None and (not selected or one.candidate.id in selected))
            or (named.range is not None and one.candidate.version in named.range)
        ]
        if not fitting:
            raise universe.unknown(text)
        return _details(universe, max(fitting, key=lambda one: one.candidate.version))


def _details(universe: Universe, available: Available) -> Details:
    versions = {one.candidate.version for one in universe.found[available.candidate.name].values()}
    return Details(
        available,
        next((p for p in universe.installed if p.id == available.candidate.id), None),
        tuple(str(version) for version in sorted(versions, reverse=True)),
    )
