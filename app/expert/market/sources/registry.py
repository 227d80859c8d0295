"""The sources a user has, and what they were last seen to offer, in the database."""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from expert.errors import ExpertError, NotFoundError, UsageError
from expert.market.catalogue import now
from expert.market.market import Market
from expert.market.sources.base import Offer, Rejected, Source
from expert.market.sources.folder import FolderSource
from expert.market.sources.git import GitSource, is_git_address
from expert.package.container import Preview
from expert.package.manifest import Manifest
from expert.package.trust import Statement, read_statement
from expert.paths import expanded
from expert.store.database import transaction

SHIPPED = "shipped"
RESERVED = (SHIPPED, "file")
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A source in the user's list."""

    name: str
    kind: str
    """`folder`, `git` or `shipped`."""
    location: str
    refreshed: str
    """When it was last read, in UTC; empty: never."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What reading a source found."""

    name: str
    packages: int
    rejected: tuple[Rejected, ...]
    error: ExpertError | None = None
    """Why it could not be read at all."""


def list_sources(market: Market) -> list[SourceEntry]:
    """Return the user's sources, the shipped experts first."""
    with market.connection() as connection:
        _add_shipped(market, connection)
        query = "SELECT name, kind, location, refreshed FROM source ORDER BY kind != ?, name"
        return [SourceEntry(*row) for row in connection.execute(query, (SHIPPED,))]


def add_source(market: Market, name: str, location: str) -> SourceEntry:
    """Add a folder or git repository to the sources; it is read by the next refresh.

    Raises:
        UsageError: the name is taken or unusable, or the location is neither.
    """
    folder = expanded(location)
    if is_git_address(location):
        entry = SourceEntry(name, "git", location, "")
    elif folder.is_dir():
        entry = SourceEntry(name, "folder", str(folder.absolute()), "")
    else:
        raise UsageError(
            f"{location!a} is neither a folder nor the address of a git repository.",
            "",
            "Give a path, or an address like https://example.org/experts.git",
        )
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise UsageError(
            f"{name!a} cannot be a source's name.",
            f"Names are letters, digits and dashes, and not {' or '.join(RESERVED)}.",
            "Choose another one.",
        )
    with market.connection() as connection, transaction(connection):
        _add_shipped(market, connection)
        if connection.execute("SELECT 1 FROM source WHERE name = ?", (name,)).fetchone():
            raise UsageError(f"There is a source {name} already.", "", "Choose another name.")
        query = "INSERT INTO source (name, kind, location) VALUES (?, ?, ?)"
        connection.execute(query, (name, entry.kind, entry.location))
    return entry


def remove_source(market: Market, name: str) -> None:
    """Forget a source; what was installed from it stays.

    Raises:
        NotFoundError: there is none of that name.
    """
    with market.connection() as connection, transaction(connection):
        query = "SELECT location FROM offer WHERE source = ?"
        offered = [row[0] for row in connection.execute(query, (name,))]
        _forget(connection, name, offered)
        if not connection.execute("DELETE FROM source WHERE name = ?", (name,)).rowcount:
            raise NotFoundError(f"There is no source {name!a}.", "", "See `expert source list`.")


def open_source(market: Market, entry: SourceEntry) -> Source:
    """Return the source that an entry describes."""
    if entry.kind == "git":
        return GitSource(entry.location, market.cache)
    return FolderSource(Path(entry.location))


def refresh(market: Market, names: Iterable[str] = (), *, online: bool) -> list[Refreshed]:
    """Read sources again, all of them or those of *names*; only the local ones unless *online*.

    A source that cannot be read keeps what it was last seen to offer.

    Raises:
        NotFoundError: a name is unknown.
    """
    entries, wanted = list_sources(market), set(names)
    for name in wanted - {entry.name for entry in entries}:
        raise NotFoundError(f"There is no source {name!a}.", "", "See `expert source list`.")
    done = []
    for entry in entries:
        source = open_source(market, entry)
        if (not wanted or entry.name in wanted) and (online or source.local):
            done.append(_refresh(market, entry, source))
    return done


def source_troubles(refreshed: Iterable[Refreshed]) -> Iterator[str]:
    """Yield a sentence for each source, or file at one, that could not be read."""
    for source in refreshed:
        if source.error is not None:
            yield f"The source {source.name} could not be read: {source.error.what}"
        for rejected in source.rejected:
            yield f"Left out {rejected.location!a} from {source.name}: {rejected.why}"


def _refresh(market: Market, entry: SourceEntry, source: Source) -> Refreshed:
    try:
        source.update()
        stamp = source.stamp()
        with market.connection() as connection:
            row = connection.execute(
                "SELECT stamp, (SELECT count(*) FROM offer WHERE offer.source = s.name) "
                "FROM source AS s WHERE name = ?",
                (entry.name,),
            ).fetchone()
            if row["stamp"] == stamp:
                return Refreshed(entry.name, row[1], ())
            return _read(connection, entry, source, stamp)
    except ExpertError as error:
        return Refreshed(entry.name, 0, (), error)


def _read(
    connection: sqlite3.Connection, entry: SourceEntry, source: Source, stamp: str
) -> Refreshed:
    query = "SELECT location, stamp FROM offer WHERE source = ?"
    known = {row[0]: row[1] for row in connection.execute(query, (entry.name,))}
    found = list(source.offers(known))
    offers = [offer for offer in found if isinstance(offer, Offer)]
    statements = list(source.statements())
    with transaction(connection):
        present = {offer.location for offer in offers if offer.preview is None}
        _forget(connection, entry.name, [where for where in known if where not in present])
        for offer in offers:
            if offer.preview is not None:
                _insert(connection, entry.name, offer, offer.preview)
        connection.execute("DELETE FROM statement WHERE source = ?", (entry.name,))
        rows = [(entry.name, data) for data in statements]
        connection.executemany("INSERT OR IGNORE INTO statement VALUES (?, ?)", rows)
        query = "UPDATE source SET stamp = ?, refreshed = ? WHERE name = ?"
        connection.execute(query, (stamp, now(), entry.name))
    rejected = tuple(other for other in found if isinstance(other, Rejected))
    return Refreshed(entry.name, len(offers), rejected)


def _forget(connection: sqlite3.Connection, source: str, locations: Iterable[str]) -> None:
    """Delete offers with their texts; a trigger may not touch a full-text table."""
    one = "SELECT id FROM offer WHERE source = ? AND location = ?"
    rows = [(source, location) for location in locations]
    connection.executemany(f"DELETE FROM offer_text WHERE rowid IN ({one})", rows)
    connection.executemany("DELETE FROM offer WHERE source = ? AND location = ?", rows)


def _insert(connection: sqlite3.Connection, source: str, offer: Offer, preview: Preview) -> None:
    manifest = preview.manifest
    signer = None if preview.signer is None else preview.signer.line
    # The first of two files with one name and version counts; they are sorted.
    cursor = connection.execute(
        "INSERT OR IGNORE INTO offer (source, package, publisher, name, version, summary, "
        "manifest, signer, location, stamp, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(source, preview.id, manifest.publisher, manifest.name, manifest.version),
            *(manifest.summary, preview.manifest_bytes, signer),
            *(offer.location, offer.stamp, preview.total_size),
        ),
    )
    if cursor.rowcount:
        query = "INSERT INTO offer_text (rowid, name, publisher, summary, tags, examples) "
        connection.execute(
            query + "VALUES (?, ?, ?, ?, ?, ?)", (cursor.lastrowid, *_text(manifest))
        )


def _text(manifest: Manifest) -> tuple[str, str, str, str, str]:
    """Return what a search looks through."""
    routing = manifest.routing
    examples = (*routing.keywords, *routing.examples) if routing is not None else ()
    # Each word once: how often an example uses it says nothing, and costs time.
    words = dict.fromkeys(" ".join(examples).split())
    return (
        manifest.name,
        manifest.publisher,
        manifest.summary,
        " ".join((*manifest.tags, *manifest.capabilities)),
        " ".join(words),
    )


def known_statements(connection: sqlite3.Connection) -> list[Statement]:
    """Return what publishers say about their keys, leaving out what is not signed as it must be."""
    statements = []
    for (data,) in connection.execute("SELECT DISTINCT data FROM statement"):
        try:
            statements.append(read_statement(data))
        except ExpertError:
            continue
    return statements


def _add_shipped(market: Market, connection: sqlite3.Connection) -> None:
    """Make the experts that come with Expert a source, wherever this version keeps them."""
    if market.shipped is None:
        return
    location = str(market.shipped())
    query = "SELECT location FROM source WHERE name = ?"
    row = connection.execute(query, (SHIPPED,)).fetchone()
    if row is not None and row[0] == location:
        return
    connection.execute(
        "INSERT INTO source (name, kind, location) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET location = excluded.location, stamp = ''",
        (SHIPPED, SHIPPED, location),
    )
