"""Carrying experts, base models and rotations of keys to machines with no network."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from expert.errors import ExpertError, ResourceError, UsageError, VerificationError
from expert.market.bundle_file import (
    BundleIndex,
    BundleMember,
    describe,
    unpack_bundle,
    write_bundle,
)
from expert.market.catalogue import Catalogue
from expert.market.commit import Progress
from expert.market.health import installed_file
from expert.market.install import Confirm, Done, carry_out
from expert.market.market import Market
from expert.market.members import closure
from expert.market.names import pick
from expert.market.plan import Options, Plan, plan_install
from expert.market.records import Installed
from expert.market.resolver import Requirement
from expert.market.universe import Universe
from expert.package.container import inspect
from expert.package.pack import assemble
from expert.package.ranges import Range
from expert.package.trust import read_statement
from expert.store.blobs import file_digest


@dataclass(frozen=True, slots=True)
class Unbundled:
    """What installing a bundle did."""

    done: Done
    bases: tuple[Path, ...]
    """Base models that are now in the models folder."""


def create_bundle(
    market: Market,
    target: Path,
    names: Sequence[str],
    bases: Sequence[Path],
    progress: Progress | None = None,
) -> BundleIndex:
    """Write installed experts with all they need, and base model files, into one file.

    Raises:
        NotFoundError: an expert is not installed.
        VerificationError: a file of one is damaged.
        UsageError: a base model file has an unusable name or size.
        ResourceError: the bundle cannot be written.
    """
    with market.reading() as catalogue:
        installed, edges = catalogue.installed(), catalogue.edges()
        asked = {pick(installed, name).id for name in names}
        needed = closure(asked, edges)
        packages = [package for package in installed if package.id in needed]
        rows = catalogue.connection.execute("SELECT DISTINCT data FROM statement").fetchall()
    members: list[tuple[BundleMember, Path]] = []
    with _scratch(target.absolute().parent) as folder:
        for package in packages:
            path = _package_file(market, package, folder)
            members.append((describe("package", path, requested=package.id in asked), path))
        members += [(describe("base", path, requested=True), path) for path in bases]
        statements = [text for (data,) in rows if (text := _sound_statement(data)) is not None]
        write_bundle(target, members, statements, progress)
    return BundleIndex(1, tuple(member for member, _ in members), tuple(statements))


def _package_file(market: Market, package: Installed, folder: Path) -> Path:
    """Write the package file of an installed expert again."""
    with market.reading() as catalogue:
        query = "SELECT signature FROM package WHERE id = ?"
        (signature,) = catalogue.connection.execute(query, (package.id,)).fetchone()
    target = folder / f"{package.publisher}-{package.name}-{package.version}.expert"
    assemble(
        package.manifest_bytes,
        signature,
        lambda path: installed_file(market, package, path),
        target,
    )
    return target


def _sound_statement(data: bytes) -> str | None:
    try:
        read_statement(data)
        return data.decode()
    except ExpertError:
        return None


def install_bundle(
    market: Market,
    path: Path,
    models: Path,
    options: Options,
    confirm: Confirm,
    progress: Progress | None = None,
) -> Unbundled:
    """Install everything in a bundle: experts as by `install`, base models into *models*.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: it is damaged, or a package is not signed as it must be.
        UsageError: another base model has one of the names.
        ResourceError: the disk failed.
    """
    with _scratch(market.cache) as folder:
        index = unpack_bundle(path, folder, progress)
        statements = [read_statement(text.encode()) for text in index.statements]
        packages = [member for member in index.members if member.kind == "package"]
        bases = [member for member in index.members if member.kind == "base"]
        for member in bases:
            _refuse_other(models / member.name, member)

        def plan(catalogue: Catalogue) -> Plan:
            universe = Universe.open(catalogue)
            universe.statements += statements
            roots = list(_roots(universe, packages, folder))
            return plan_install(catalogue, universe, roots, options)

        done = carry_out(market, plan, confirm, progress)
        if done.generation is None and not done.plan.is_empty:
            return Unbundled(done, ())
        return Unbundled(done, tuple(_place(folder, models, member) for member in bases))


def _roots(
    universe: Universe, packages: Sequence[BundleMember], folder: Path
) -> Iterator[Requirement]:
    """Yield what is wanted for itself, with everything in the bundle added to choose from."""
    for member in packages:
        path = folder / member.path
        candidate = universe.add_file(inspect(path), path).candidate
        if member.requested:
            yield Requirement(candidate.name, Range.parse(f"={candidate.version}"))


def _refuse_other(place: Path, member: BundleMember) -> None:
    if place.exists() and file_digest(place) != member.sha256:
        raise UsageError(
            f"There is another base model {place}.",
            "The bundle has one of the same name with other content.",
            "Move yours away, or rename it.",
        )


def _place(folder: Path, models: Path, member: BundleMember) -> Path:
    """Put an unpacked base model where models are."""
    place = models / member.name
    try:
        models.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not place.exists():
            _move(folder / member.path, place)
    except OSError as error:
        raise ResourceError(
            f"The base model cannot be put into {models}.",
            f"{error.strerror or error}.",
            "Free some disk space.",
        ) from error
    if file_digest(place) != member.sha256:
        raise VerificationError(f"{place} is damaged.", "", "Remove it, and install again.")
    return place


def _move(source: Path, target: Path) -> None:
    """Move a file so that the target appears as a whole, even from another disk."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    with ExitStack() as stack:
        stack.callback(draft.unlink, missing_ok=True)
        shutil.move(source, draft)
        draft.replace(target)


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """Yield a temporary folder on the disk of *beside*."""
    try:
        beside.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=beside, prefix=".bundle.") as name:
            yield Path(name)
    except OSError as error:
        raise ResourceError(
            f"Cannot write in {beside}.",
            f"{error.strerror or error}.",
            "Free some disk space, or choose another place.",
        ) from error
