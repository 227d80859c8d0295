"""Everything that could be installed: what is installed, what sources offer, and given files.

Each candidate comes with where to get it and how its signer stands. Where trusted signers offer an
expert, what others offer under its name does not count.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from expert.errors import ExpertError, NotFoundError
from expert.market.catalogue import Catalogue
from expert.market.keyring import known_keys
from expert.market.names import Named, suggestion
from expert.market.records import Installed
from expert.market.resolver import Candidate
from expert.market.sources.registry import SHIPPED, known_statements
from expert.package.container import Preview
from expert.package.keys import PublicKey
from expert.package.manifest import Manifest
from expert.package.trust import KnownKey, Standing, Statement, Verdict, judge

FILE = "file"
"""What a package given by its path has as its source."""
IMPORTED = "hf:"
"""How the source of an expert begins that was made of an adapter on the hub."""
ACCEPTABLE = (Standing.TRUSTED, Standing.ROTATED, Standing.NEW)


@dataclass(frozen=True, slots=True)
class Available:
    """A candidate, and how to get it."""

    candidate: Candidate
    manifest: Manifest
    signer: PublicKey | None
    verdict: Verdict
    size: int
    """Bytes to fetch; 0 if it is in the store."""
    source: str
    location: str
    stored: bool
    """The store has it, active or not."""

    @property
    def is_file(self) -> bool:
        """Whether the user gave the package file itself, or had it made."""
        return self.source == FILE or self.is_imported

    @property
    def is_imported(self) -> bool:
        """Whether it was made on this machine of something nobody signed."""
        return self.source.startswith(IMPORTED)


@dataclass(slots=True)
class Universe:
    """Candidates by qualified name, read from the database as they are needed."""

    connection: sqlite3.Connection
    installed: Sequence[Installed]
    known: list[KnownKey] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    found: dict[str, dict[str, Available]] = field(default_factory=dict)
    """By qualified name and package id."""
    passed_over: list[Available] = field(default_factory=list)
    """Offers by signers that do not count beside trusted ones."""

    @classmethod
    def open(cls, catalogue: Catalogue) -> "Universe":
        """Return the universe around what is installed."""
        connection = catalogue.connection
        known, statements = known_keys(connection), known_statements(connection)
        return cls(connection, catalogue.installed(), known, statements)

    def add_file(self, preview: Preview, path: Path, source: str = FILE) -> Available:
        """Add a package file; it takes the place of the same version from elsewhere."""
        manifest = preview.manifest
        self.load(manifest.qualified_name)
        made = Available(
            Candidate.of(preview.id, manifest),
            manifest,
            preview.signer,
            judge(manifest.publisher, preview.signer, self.known, self.statements),
            preview.total_size,
            source,
            str(path),
            Catalogue(self.connection).has(preview.id, preview.signer),
        )
        own = self.found[manifest.qualified_name]
        for package, other in list(own.items()):
            if other.candidate.version == made.candidate.version:
                del own[package]
        own[preview.id] = made
        return made

    def pool(self, names: Iterable[str]) -> dict[str, list[Candidate]]:
        """Return all candidates of *names*, and of everything they may require."""
        agenda = list(dict.fromkeys(names))
        for name in agenda:
            self.load(name)
            for available in self.found[name].values():
                more = available.manifest.requires
                agenda += [other for other in more if other not in agenda]
        return {
            name: [available.candidate for available in self.found[name].values()]
            for name in agenda
        }

    def available(self, candidate: Candidate) -> Available:
        """Return how to get a candidate."""
        return self.found[candidate.name][candidate.id]

    def load(self, name: str) -> None:
        """Read what there is of a qualified name, once."""
        if name in self.found:
            return
        publisher, _, short = name.partition("/")
        stored = [self._stored(p) for p in self.installed if p.qualified_name == name]
        rows = self.connection.execute(
            "SELECT package, manifest, signer, size, source, location, "
            "EXISTS (SELECT 1 FROM package AS p WHERE (p.id, p.signer) = (package, offer.signer)) "
            "AS stored FROM offer WHERE publisher = ? AND name = ? ORDER BY source != ?, source",
            (publisher, short, SHIPPED),
        )
        offered = [self._offered(row) for row in rows]
        versions = {available.candidate.version: available for available in stored}
        for available in self._counting(offered, anyway=not stored):
            versions.setdefault(available.candidate.version, available)
        self.found[name] = {one.candidate.id: one for one in versions.values()}

    def _counting(self, offered: list[Available], *, anyway: bool) -> list[Available]:
        """Leave out what nobody may install, unless there is nothing else to speak of."""
        good = [one for one in offered if one.verdict.standing in ACCEPTABLE]
        if anyway and not good:
            return offered
        self.passed_over += [one for one in offered if one not in good]
        return good

    def _stored(self, package: Installed) -> Available:
        signer = None if package.signer is None else PublicKey.parse(package.signer)
        candidate = Candidate.of(package.id, package.manifest)
        verdict = judge(package.publisher, signer, self.known, self.statements)
        return Available(candidate, package.manifest, signer, verdict, 0, package.source, "", True)

    def _offered(self, row: sqlite3.Row) -> Available:
        manifest = msgspec.json.decode(row["manifest"], type=Manifest)
        signer = None if row["signer"] is None else PublicKey.parse(row["signer"])
        return Available(
            Candidate.of(row["package"], manifest),
            manifest,
            signer,
            judge(manifest.publisher, signer, self.known, self.statements),
            row["size"],
            row["source"],
            row["location"],
            bool(row["stored"]),
        )

    def qualify(self, named: Named) -> str:
        """Return the qualified name that someone means, installed or offered.

        Raises:
            NotFoundError: there is none.
            ExpertError: several publishers have one of that name.
        """
        if named.publisher is not None:
            return f"{named.publisher}/{named.name}"
        own = {p.qualified_name for p in self.installed if p.name == named.name and p.selected}
        if len(own) == 1:
            return own.pop()
        rows = self.connection.execute(
            "SELECT DISTINCT publisher || '/' || name FROM offer WHERE name = ? ORDER BY 1",
            (named.name,),
        )
        offered = [row[0] for row in rows]
        if len(offered) == 1:
            return str(offered[0])
        if offered:
            raise ExpertError(
                f"{named.name} can mean several experts.",
                f"There are {', '.join(offered)}.",
                "Name the publisher as well.",
            )
        raise self.unknown(named.name)

    def unknown(self, name: str) -> NotFoundError:
        """Return the refusal of a name that nothing has, with the closest one there is."""
        rows = self.connection.execute("SELECT DISTINCT publisher, name FROM offer").fetchall()
        names = [row[1] for row in rows] + [f"{row[0]}/{row[1]}" for row in rows]
        return NotFoundError(
            f"There is no expert {name}.",
            suggestion(name, names) or "No source has one of that name.",
            "See `expert search`, or add a source that has it.",
        )
