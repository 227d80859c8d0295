"""Repairing a market: damaged files are fetched again, a destroyed database is put aside."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from expert.errors import ExpertError, VerificationError
from expert.market.commit import Addition, restore
from expert.market.health import Problem, verify
from expert.market.market import Market
from expert.market.records import Installed
from expert.market.recovery import Recovered, read_note, recover
from expert.market.sources.registry import list_sources, open_source
from expert.package.container import inspect
from expert.store.database import translated


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was wrong, and what became of it."""

    restored: tuple[str, ...]
    """Packages whose files were fetched again."""
    left: tuple[Problem, ...]
    """What could not be repaired."""
    put_aside: Path | None = None
    """The damaged database, if it had to be replaced."""
    recovered: Recovered = Recovered()
    """What came back after that."""


def repair(market: Market) -> Repaired:
    """Repair what can be repaired without the network.

    Raises:
        ResourceError: the lock or the disk failed.
    """
    note = read_note(market.store)
    put_aside = _replace_database(market)
    recovered = Recovered() if put_aside is None else recover(market, note)
    packages = _all_packages(market)
    broken = {problem.package for problem in verify(market, packages, deep=True) if problem.file}
    for package in packages:
        if package.label in broken:
            _fetch_again(market, package)
    left = verify(market, packages, deep=True)
    gone = {problem.package for problem in left if problem.file}
    return Repaired(tuple(sorted(broken - gone)), tuple(left), put_aside, recovered)


def _replace_database(market: Market) -> Path | None:
    """Put a database aside that cannot be read; its blobs stay, and are used again."""
    path = market.store.database
    try:
        with market.connection() as connection, translated(path):
            if _is_whole(connection):
                return None
            connection.execute("REINDEX")
            if _is_whole(connection):
                return None
    except VerificationError as error:
        # Another program's database, or a newer Expert's, is not ours to put aside.
        if not isinstance(error.__cause__, sqlite3.DatabaseError):
            raise
    with market.store.changing():
        number = 1
        while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
            number += 1
        for ending in ("-wal", "-shm"):
            side = path.with_name(path.name + ending)
            if side.exists():
                side.replace(aside.with_name(aside.name + ending))
        path.replace(aside)
    return aside


def _is_whole(connection: sqlite3.Connection) -> bool:
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    return bool(verdict == "ok")


def _all_packages(market: Market) -> list[Installed]:
    """Return the packages of every generation, once."""
    with market.reading() as catalogue:
        found = {
            package.id: package
            for generation in catalogue.generations()
            for package in catalogue.installed(generation.number)
        }
    return list(found.values())


def _fetch_again(market: Market, package: Installed) -> None:
    entries = {entry.name: entry for entry in list_sources(market)}
    with market.connection() as connection:
        query = "SELECT source, location FROM offer WHERE package = ?"
        places = connection.execute(query, (package.id,)).fetchall()
    for source, location in places:
        try:
            path = open_source(market, entries[source]).fetch(location, None)
            signer = inspect(path).signer
            restore(market, Addition(path, package.id, signer, package.trust, source))
            return
        except ExpertError:
            continue  # Another source may still have it whole.
