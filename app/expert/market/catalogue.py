"""What is installed: packages, generations and the choices between them, in the database."""

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from expert.market.records import Edge, Generation, Installed, Member, Trust
from expert.store.blobs import Stamp

if TYPE_CHECKING:
    from expert.package.container import Preview  # with all it needs; `list` does not
    from expert.package.keys import PublicKey

_INSTALLED = """
    SELECT id, publisher, name, version, summary, size, manifest AS manifest_bytes, signer, trust,
           source, installed, requested, selected
    FROM member JOIN package ON package.id = member.package
    WHERE generation = ?
    ORDER BY name, publisher
"""


class Catalogue:
    """Reads what is installed; its changes belong inside a `transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    # Reading -----------------------------------------------------------------------------------

    def active(self) -> int:
        """Return the number of the generation in force."""
        row = self.connection.execute("SELECT generation FROM active").fetchone()
        return int(row[0])

    def installed(self, generation: int | None = None) -> list[Installed]:
        """Return a generation's packages by name, newer versions first."""
        number = self.active() if generation is None else generation
        rows = self.connection.execute(_INSTALLED, (number,))
        packages = [_installed(row) for row in rows]
        packages.sort(key=lambda package: package.parsed_version, reverse=True)
        packages.sort(key=lambda package: (package.name, package.publisher))
        return packages

    def edges(self, generation: int | None = None) -> list[Edge]:
        """Return which package answers which requirement in a generation."""
        number = self.active() if generation is None else generation
        query = "SELECT package, requires, target FROM edge WHERE generation = ?"
        return [Edge(*row) for row in self.connection.execute(query, (number,))]

    def generations(self) -> list[Generation]:
        """Return all generations, the newest first."""
        active = self.active()
        query = "SELECT number, parent, reason, created FROM generation ORDER BY number DESC"
        rows = self.connection.execute(query)
        return [Generation(**dict(row), active=row["number"] == active) for row in rows]

    def files(self, package: str) -> dict[str, str]:
        """Return the hash of each file of a package, by its path."""
        query = "SELECT path, sha256 FROM file WHERE package = ? ORDER BY path"
        return {row[0]: row[1] for row in self.connection.execute(query, (package,))}

    def has(self, package: str, signer: "PublicKey | None") -> bool:
        """Tell whether the store has a package, active or not, signed by this key or any."""
        row = self.connection.execute("SELECT signer FROM package WHERE id = ?", (package,))
        found = row.fetchone()
        return found is not None and (signer is None or found[0] == signer.line)

    def other_content(self, preview: "Preview") -> str | None:
        """Return the id of a package of the same name and version with other content, if any."""
        manifest = preview.manifest
        query = "SELECT id FROM package WHERE (publisher, name, version) = (?, ?, ?) AND id != ?"
        names = (manifest.publisher, manifest.name, manifest.version, preview.id)
        row = self.connection.execute(query, names).fetchone()
        return None if row is None else str(row[0])

    def pins(self) -> dict[str, str]:
        """Return the ranges that updates stay within, by qualified name."""
        return {row[0]: row[1] for row in self.connection.execute("SELECT name, range FROM pin")}

    def stamp(self, digest: str) -> Stamp | None:
        """Return how a blob looked when it was last read whole."""
        query = "SELECT size, mtime_ns, ctime_ns, inode FROM blob_stamp WHERE sha256 = ?"
        row = self.connection.execute(query, (digest,)).fetchone()
        return None if row is None else Stamp(*row)

    # Changing ----------------------------------------------------------------------------------

    def add_package(self, preview: "Preview", trust: Trust, source: str) -> None:
        """Record a package whose files are in the store, or a known one's new signature."""
        manifest = preview.manifest
        signer = None if preview.signer is None else preview.signer.line
        self.connection.execute(
            "INSERT INTO package VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET signature = excluded.signature, "
            "signer = excluded.signer, trust = excluded.trust, source = excluded.source",
            (
                *(preview.id, manifest.publisher, manifest.name, manifest.version),
                *(manifest.summary, manifest.unpacked_size, preview.manifest_bytes),
                *(preview.signature, signer, trust, source, now()),
            ),
        )
        rows = [(preview.id, file.path, file.sha256, file.size) for file in manifest.files]
        self.connection.executemany("INSERT OR IGNORE INTO file VALUES (?, ?, ?, ?)", rows)

    def add_generation(self, reason: str, members: Iterable[Member], edges: Iterable[Edge]) -> int:
        """Record a new generation, put it in force, and return its number."""
        parent = self.active()
        query = "INSERT INTO generation (parent, reason, created) VALUES (?, ?, ?)"
        number = self.connection.execute(query, (parent, reason, now())).lastrowid
        assert number is not None
        rows = [(number, *astuple(member)) for member in members]
        self.connection.executemany("INSERT INTO member VALUES (?, ?, ?, ?)", rows)
        links = [(number, *astuple(edge)) for edge in edges]
        self.connection.executemany("INSERT INTO edge VALUES (?, ?, ?, ?)", links)
        self.activate(number)
        return number

    def activate(self, generation: int) -> None:
        """Put a generation in force."""
        self.connection.execute("UPDATE active SET generation = ?", (generation,))

    def set_pin(self, name: str, text: str | None) -> None:
        """Keep updates of a qualified name within a range, or let them go."""
        self.connection.execute("DELETE FROM pin WHERE name = ?", (name,))
        if text is not None:
            self.connection.execute("INSERT INTO pin VALUES (?, ?)", (name, text))

    def set_stamp(self, digest: str, stamp: Stamp) -> None:
        """Record how a blob looks that was just read whole."""
        query = "INSERT OR REPLACE INTO blob_stamp VALUES (?, ?, ?, ?, ?)"
        self.connection.execute(query, (digest, *astuple(stamp)))

    def record(self, action: str, subject: str, **detail: object) -> None:
        """Append to the list of events."""
        import msgspec

        query = "INSERT INTO event (time, action, subject, detail) VALUES (?, ?, ?, ?)"
        text = msgspec.json.encode(detail).decode()
        self.connection.execute(query, (now(), action, subject, text))


def _installed(row: sqlite3.Row) -> Installed:
    fields = dict(row)
    flags = {flag: bool(fields[flag]) for flag in ("requested", "selected")}
    return Installed(**(fields | flags))


def now() -> str:
    """Return the present second in UTC, as ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
