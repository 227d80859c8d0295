"""Checking what is installed, removing what nothing needs, and repairing what broke."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from expert.errors import ExpertError, NotFoundError, VerificationError
from expert.market.catalogue import Catalogue
from expert.market.keyring import known_keys
from expert.market.leases import leased
from expert.market.market import Market
from expert.market.records import Installed
from expert.package.trust import KnownKey
from expert.store.database import transaction

KEPT_GENERATIONS = 5
"""How many steps back stay possible after a clean-up."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with an installed package."""

    package: str
    """Its label."""
    file: str
    """Path in the package; empty: the manifest or its signature."""
    what: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What a clean-up removed, or would."""

    packages: tuple[str, ...]
    """Labels."""
    blobs: int
    bytes: int


def verify(
    market: Market,
    packages: list[Installed],
    *,
    deep: bool,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Check installed packages: manifests, signatures and files; *deep* reads every byte.

    Without *deep*, a file counts as right that looks as it did when it was last read whole.
    """
    problems: list[Problem] = []
    total, done = sum(package.size for package in packages), 0
    with market.reading() as catalogue:
        revoked = {key.key.line for key in known_keys(catalogue.connection) if _is_revoked(key)}
        for package in packages:
            problems += _manifest_problems(catalogue, package)
            if package.signer in revoked:
                problems.append(Problem(package.label, "", "signed by a key that was revoked"))
            for path, digest in catalogue.files(package.id).items():
                if not _is_right(market, catalogue, digest, deep=deep):
                    what = "damaged" if market.store.blobs.stamp(digest) else "missing"
                    problems.append(Problem(package.label, path, what))
            done += package.size
            if progress is not None:
                progress(done, total)
    return problems


def _is_revoked(key: KnownKey) -> bool:
    return key.state == "revoked"


def _manifest_problems(catalogue: Catalogue, package: Installed) -> list[Problem]:
    from expert.package import sshsig
    from expert.package.codec import decode_manifest, package_id

    query = "SELECT signature FROM package WHERE id = ?"
    row = catalogue.connection.execute(query, (package.id,)).fetchone()
    if row is None:
        return [Problem(package.label, "", "removed meanwhile")]
    signature = row["signature"]
    try:
        decode_manifest(package.manifest_bytes)
        if signature is not None:
            signer = sshsig.verify(package.manifest_bytes, signature, sshsig.MANIFEST).line
            if signer != package.signer:
                raise VerificationError("another key than recorded signed it")
        if package_id(package.manifest_bytes) != package.id:
            raise VerificationError("the manifest has another hash than recorded")
    except ExpertError as error:
        return [Problem(package.label, "", error.what)]
    return []


def _is_right(market: Market, catalogue: Catalogue, digest: str, *, deep: bool) -> bool:
    stamp = market.store.blobs.stamp(digest)
    if not deep and stamp is not None and stamp == catalogue.stamp(digest):
        return True
    return stamp is not None and market.store.blobs.is_sound(digest)


def installed_file(market: Market, package: Installed, path: str) -> Path:
    """Return where a file of an installed package is, refusing it if it is damaged.

    It is read whole only if it does not look as it did when that was last done.

    Raises:
        NotFoundError: the package was removed since it was looked up.
        VerificationError: the file is damaged or missing.
    """
    with market.catalogue() as catalogue:
        digest = catalogue.files(package.id).get(path)
        if digest is None:
            raise NotFoundError(f"{package.label} was removed meanwhile.", "", "Install it again.")
        blobs = market.store.blobs
        stamp = blobs.stamp(digest)
        if stamp is None or stamp != catalogue.stamp(digest):
            if not blobs.is_sound(digest):
                raise VerificationError(
                    f"The file {path} of {package.label} is damaged or missing.",
                    "Its contents do not have the hash that was signed.",
                    "Repair it with `expert doctor --repair`, or install the expert again.",
                )
            if stamp is not None:
                catalogue.set_stamp(digest, stamp)
        return blobs.path(digest)


def collect(market: Market, *, dry_run: bool = False, keep: int = KEPT_GENERATIONS) -> Removal:
    """Remove generations beyond the last *keep*, then packages and blobs that nothing needs.

    Raises:
        ResourceError: the lock, the disk or the database failed.
    """
    with market.catalogue() as catalogue, market.store.changing():
        connection = catalogue.connection
        with transaction(connection):
            kept = _kept_generations(catalogue, keep)
            marks = ", ".join("?" * len(kept))
            needed = leased(connection)
            needed |= {
                row[0]
                for row in connection.execute(
                    f"SELECT package FROM member WHERE generation IN ({marks})", kept
                )
            }
            rows = connection.execute("SELECT id, publisher, name, version FROM package").fetchall()
            gone = [row for row in rows if row[0] not in needed]
            if not dry_run:
                query = f"DELETE FROM generation WHERE number NOT IN ({marks})"
                connection.execute(query, kept)
                ids = [(row[0],) for row in gone]
                connection.executemany("DELETE FROM package WHERE id = ?", ids)
                query = "DELETE FROM blob_stamp WHERE sha256 NOT IN (SELECT sha256 FROM file)"
                connection.execute(query)
        labels = tuple(f"{row[1]}/{row[2]}@{row[3]}" for row in gone)
        return _remove_blobs(market, catalogue, labels, {row[0] for row in gone}, dry_run=dry_run)


def _kept_generations(catalogue: Catalogue, keep: int) -> list[int]:
    """Return the generation in force and the ones it came from."""
    parents = {found.number: found.parent for found in catalogue.generations()}
    kept: list[int] = []
    number: int | None = catalogue.active()
    while number is not None and number in parents and len(kept) <= keep:
        kept.append(number)
        number = parents[number]
    return kept


def _remove_blobs(
    market: Market, catalogue: Catalogue, labels: tuple[str, ...], gone: set[str], *, dry_run: bool
) -> Removal:
    rows = catalogue.connection.execute("SELECT package, sha256 FROM file")
    needed = {row[1] for row in rows if row[0] not in gone}
    blobs = market.store.blobs
    loose = [digest for digest in blobs if digest not in needed]
    stamps = [stamp for digest in loose if (stamp := blobs.stamp(digest)) is not None]
    if not dry_run:
        for digest in loose:
            blobs.remove(digest)
    return Removal(labels, len(loose), sum(stamp.size for stamp in stamps))
