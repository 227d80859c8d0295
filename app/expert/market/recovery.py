"""A second copy of what the user decided, for the day the database is destroyed.

Trusted keys, pins, sources and the names of what is installed are few; they are kept in a small
file beside the database. Everything else can be fetched again.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from expert.errors import ExpertError, ResourceError
from expert.market.catalogue import Catalogue
from expert.market.install import install
from expert.market.market import Market
from expert.market.plan import Options
from expert.package.keys import PublicKey
from expert.store.database import transaction
from expert.store.locks import exclusive
from expert.store.store import Store

PATIENCE = 2.0
"""Seconds to wait for the store; whoever holds it longer writes the note when it is done."""


class Key(msgspec.Struct, frozen=True, array_like=True):
    """A publisher's key, as the database has it."""

    publisher: str
    key: str
    state: str
    origin: str
    reason: str
    since: str


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A source."""

    name: str
    kind: str
    location: str


class Expert(msgspec.Struct, frozen=True, array_like=True):
    """An expert that is active because the user asked for it."""

    name: str
    version: str


class Note(msgspec.Struct, frozen=True):
    """What cannot be fetched again."""

    keys: tuple[Key, ...] = ()
    pins: dict[str, str] = {}
    sources: tuple[Place, ...] = ()
    experts: tuple[Expert, ...] = ()
    """Selected ones last."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came back after the database was lost."""

    experts: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """What no source has any more, or only unsigned."""


def note_path(store: Store) -> Path:
    """Return where a store's note is."""
    return store.root / "experts.json"


def write_note(store: Store, connection: sqlite3.Connection) -> None:
    """Bring the note up to date; a note that cannot be written is no reason to fail."""
    path = note_path(store)
    if _bytes(connection) == _old(path):
        return
    draft = path.with_name(f".{path.name}")
    try:
        with exclusive(store.lock, PATIENCE):
            draft.write_bytes(_bytes(connection))
            store.files.sync(draft)
            store.files.rename(draft, path)
            store.files.sync_folder(path.parent)
    except (ResourceError, OSError):
        return


def read_note(store: Store) -> Note:
    """Return the note; an empty one if there is none that can be read."""
    try:
        return msgspec.json.decode(_old(note_path(store)) or b"{}", type=Note)
    except (msgspec.MsgspecError, RecursionError):
        return Note()


def recover(market: Market, note: Note) -> Recovered:
    """Put back what *note* holds into a new database, and install again what can be had.

    Raises:
        ResourceError: the database cannot be written.
    """
    with market.connection() as connection, transaction(connection):
        rows = [msgspec.to_builtins(key) for key in note.keys if _is_sound(key)]
        query = "INSERT OR IGNORE INTO publisher_key VALUES (?, ?, ?, ?, ?, ?)"
        connection.executemany(query, rows)
        connection.executemany("INSERT OR IGNORE INTO pin VALUES (?, ?)", note.pins.items())
        query = "INSERT OR IGNORE INTO source (name, kind, location) VALUES (?, ?, ?)"
        connection.executemany(query, [msgspec.to_builtins(place) for place in note.sources])
    back, missing = [], []
    for expert in note.experts:
        label = f"{expert.name}@{expert.version}"
        try:
            install(market, [f"{expert.name}@={expert.version}"], Options(), _is_trusted)
            back.append(label)
        except ExpertError:
            missing.append(label)
    return Recovered(tuple(back), tuple(missing))


def _is_trusted(plan: object) -> bool:
    """Agree to what keys that were trusted before have signed, and to nothing else."""
    from expert.market.plan import Plan

    assert isinstance(plan, Plan)
    return not plan.new_publishers


def _is_sound(key: Key) -> bool:
    try:
        return PublicKey.parse(key.key).line == key.key
    except ExpertError:
        return False


def _bytes(connection: sqlite3.Connection) -> bytes:
    catalogue = Catalogue(connection)
    asked = sorted(
        (package for package in catalogue.installed() if package.requested),
        key=lambda package: (package.selected, package.label),
    )
    note = Note(
        tuple(Key(*row) for row in _rows(connection, "SELECT * FROM publisher_key")),
        dict(sorted(catalogue.pins().items())),
        tuple(Place(*row) for row in _rows(connection, "SELECT name, kind, location FROM source")),
        tuple(Expert(package.qualified_name, package.version) for package in asked),
    )
    return msgspec.json.format(msgspec.json.encode(note), indent=1) + b"\n"


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[tuple[str, ...]]:
    return (tuple(row) for row in connection.execute(f"{query} ORDER BY 1, 2"))


def _old(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
