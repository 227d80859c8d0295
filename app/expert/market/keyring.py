"""The keys this user has seen, in the database; the shipped experts' key is built in."""

import sqlite3
from collections.abc import Iterable
from typing import Literal, TypeAlias

from expert.market.catalogue import now
from expert.package.keys import PublicKey
from expert.package.trust import KnownKey, Statement

Origin: TypeAlias = Literal["first use", "rotation", "by hand"]

SHIPPED_PUBLISHER = "expert"
SHIPPED_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAr+/wS/7v7YAw6lpZ+go9ELjo88rNny8zPzqn2wVjdL"
"""Signs the experts that ship with Expert."""


def known_keys(connection: sqlite3.Connection) -> list[KnownKey]:
    """Return all keys seen, by publisher, and the built-in one unless something replaced it."""
    rows = connection.execute(
        "SELECT publisher, key, state, reason FROM publisher_key ORDER BY publisher, since, key"
    )
    known = [KnownKey(row[0], PublicKey.parse(row[1]), row[2], row[3]) for row in rows]
    if all(entry.publisher != SHIPPED_PUBLISHER for entry in known):
        known.append(KnownKey(SHIPPED_PUBLISHER, PublicKey.parse(SHIPPED_KEY)))
    return known


def pin_key(connection: sqlite3.Connection, publisher: str, key: PublicKey, origin: Origin) -> None:
    """Trust *key* for *publisher*; the key trusted so far retires."""
    _keep_builtin(connection, publisher)
    connection.execute(
        "UPDATE publisher_key SET state = 'retired' WHERE publisher = ? AND state = 'active'",
        (publisher,),
    )
    connection.execute(
        "INSERT INTO publisher_key VALUES (?, ?, 'active', ?, '', ?) "
        "ON CONFLICT DO UPDATE SET state = 'active', origin = excluded.origin, reason = ''",
        (publisher, key.line, origin, now()),
    )


def revoke_key(connection: sqlite3.Connection, publisher: str, key: PublicKey, reason: str) -> None:
    """Never trust *key* of *publisher* again."""
    _keep_builtin(connection, publisher)
    connection.execute(
        "INSERT INTO publisher_key VALUES (?, ?, 'revoked', 'by hand', ?, ?) "
        "ON CONFLICT DO UPDATE SET state = 'revoked', reason = excluded.reason",
        (publisher, key.line, reason, now()),
    )


def follow(connection: sqlite3.Connection, steps: Iterable[Statement]) -> None:
    """Take over the keys of verified rotations, in order."""
    for step in steps:
        assert step.successor is not None
        pin_key(connection, step.publisher, PublicKey.parse(step.successor), "rotation")


def _keep_builtin(connection: sqlite3.Connection, publisher: str) -> None:
    """Write the built-in key down, because rows about its publisher make it count no more."""
    if publisher == SHIPPED_PUBLISHER:
        connection.execute(
            "INSERT OR IGNORE INTO publisher_key VALUES (?, ?, 'active', 'by hand', '', ?)",
            (publisher, SHIPPED_KEY, now()),
        )
