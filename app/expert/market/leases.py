"""Packages that running processes use, so that none of them is removed under their feet.

A process is known by its number and its start time, because numbers are used again.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from expert.market.market import Market
from expert.store.database import transaction


def hold(market: Market, packages: Sequence[str]) -> None:
    """Keep *packages*, by id, from being removed until this process ends.

    Raises:
        ResourceError: the database cannot be written.
    """
    owner = (os.getpid(), start_time(os.getpid()) or "")
    with market.connection() as connection, transaction(connection):
        query = "INSERT OR IGNORE INTO lease VALUES (?, ?, ?)"
        connection.executemany(query, [(*owner, package) for package in packages])


@contextmanager
def lease(market: Market, packages: Sequence[str]) -> Iterator[None]:
    """Keep *packages*, by id, from being removed while the block runs."""
    owner = (os.getpid(), start_time(os.getpid()) or "")
    rows = [(*owner, package) for package in packages]
    with market.connection() as connection, transaction(connection):
        connection.executemany("INSERT OR IGNORE INTO lease VALUES (?, ?, ?)", rows)
    try:
        yield
    finally:
        with market.connection() as connection, transaction(connection):
            query = "DELETE FROM lease WHERE (pid, started, package) = (?, ?, ?)"
            connection.executemany(query, rows)


def leased(connection: sqlite3.Connection) -> set[str]:
    """Return the packages in use; forgets the leases of processes that have ended."""
    alive = set()
    for pid, started, package in connection.execute("SELECT * FROM lease").fetchall():
        if start_time(pid) == started:
            alive.add(package)
        else:
            query = "DELETE FROM lease WHERE (pid, started) = (?, ?)"
            connection.execute(query, (pid, started))
    return alive


def start_time(pid: int) -> str | None:
    """Return when a process started, None if there is none; where unknown, an empty text."""
    try:
        # Field 22 of proc(5), counted behind the name, which may itself hold spaces.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    return "" if _exists(pid) else None


def _exists(pid: int) -> bool:
    if os.name == "nt":
        return True  # Signal 0 would end the process there; a stale lease only delays `gc`.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
