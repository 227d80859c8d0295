"""Puts a change of what is installed into force: all of it, or nothing.

Under the lock: every byte of the new packages is checked on its way into staging, the files become
blobs, and one transaction records packages, keys and the new generation. A process killed at any
point leaves the old state, and rubbish that the next change or `gc` removes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from expert.errors import VerificationError
from expert.market.catalogue import Catalogue
from expert.market.keyring import follow, pin_key
from expert.market.market import Market
from expert.market.records import Edge, Member, Trust
from expert.package.container import Preview
from expert.package.keys import PublicKey
from expert.package.manifest import File
from expert.package.trust import Statement
from expert.store.database import transaction

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Addition:
    """A package file to be stored."""

    path: Path | None
    """None: the store is expected to have it."""
    id: str
    """What it must contain."""
    signer: PublicKey | None
    """Who must have signed it, as the user agreed to."""
    trust: Trust
    source: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A publisher's key to be trusted from now on."""

    publisher: str
    key: PublicKey
    rotations: tuple[Statement, ...] = ()
    """How the trusted key handed over to it; none: the user saw and accepted it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A next generation, and what must be stored for it."""

    reason: str
    members: tuple[Member, ...]
    edges: tuple[Edge, ...]
    additions: tuple[Addition, ...] = ()
    keys: tuple[NewKey, ...] = ()


@dataclass(frozen=True, slots=True)
class _Staged:
    addition: Addition
    preview: Preview
    files: list[tuple[Path, str]]
    """Unpacked files with their hashes."""


def commit(
    market: Market, change: Change, based_on: int, progress: Progress | None = None
) -> int | None:
    """Put *change* into force, unless another one came between; return the new generation.

    Args:
        market: where.
        change: what; it was worked out from the generation *based_on*.
        based_on: the change is dropped, and None returned, if this is no longer in force, or if
            a package that the store was expected to have is gone.
        progress: is told bytes done and bytes in all, package by package.

    Raises:
        NotFoundError: a package file is gone.
        VerificationError: a package is damaged, or not the one that was announced.
        ResourceError: the lock, the disk or the database failed.
    """
    with market.catalogue() as catalogue, market.store.changing() as staging:
        new = [one for one in change.additions if not catalogue.has(one.id, one.signer)]
        if catalogue.active() != based_on or any(addition.path is None for addition in new):
            return None
        staged = [
            _stage(market, addition, staging / str(number), progress)
            for number, addition in enumerate(new)
        ]
        market.store.blobs.adopt(pair for package in staged for pair in package.files)
        return _record(market, catalogue, change, staged)


def restore(market: Market, addition: Addition) -> None:
    """Bring the files of a stored package back from its package file.

    Raises:
        as `commit`.
    """
    with market.catalogue() as catalogue, market.store.changing() as staging:
        staged = _stage(market, addition, staging / "0", None)
        market.store.blobs.adopt(staged.files)
        with transaction(catalogue.connection):
            _stamp(market, catalogue, staged)
            catalogue.record("restore", staged.preview.manifest.label, id=addition.id)


def _stage(market: Market, addition: Addition, folder: Path, progress: Progress | None) -> _Staged:
    """Unpack a package into staging, checking all of it."""
    from expert.market.weights import check_weights
    from expert.package.validate import validate

    assert addition.path is not None
    market.store.files.make_folder(folder)
    places: dict[str, Path] = {}

    def create(file: File) -> BinaryIO:
        places[file.path] = folder / str(len(places))
        return places[file.path].open("xb")

    preview = validate(addition.path, create, progress)
    if (preview.id, preview.signer) != (addition.id, addition.signer):
        raise VerificationError(
            f"{addition.path} is not the package that was announced.",
            "Its contents or its signer changed since it was looked at.",
            "Refresh the source, then try again.",
        )
    check_weights(preview.manifest, places)
    files = [(places[file.path], file.sha256) for file in preview.manifest.files]
    return _Staged(addition, preview, files)


def _record(market: Market, catalogue: Catalogue, change: Change, staged: list[_Staged]) -> int:
    with transaction(catalogue.connection):
        for new in change.keys:
            if new.rotations:
                follow(catalogue.connection, new.rotations)
            else:
                pin_key(catalogue.connection, new.publisher, new.key, "first use")
            catalogue.record("trust", new.publisher, key=new.key.line)
        for package in staged:
            _refuse_reuse(catalogue, package.preview)
            catalogue.add_package(package.preview, package.addition.trust, package.addition.source)
            catalogue.record("add", package.preview.manifest.label, id=package.preview.id)
            _stamp(market, catalogue, package)
        number = catalogue.add_generation(change.reason, change.members, change.edges)
        catalogue.record("change", change.reason, generation=number)
        return number


def _stamp(market: Market, catalogue: Catalogue, package: _Staged) -> None:
    """Record how the blobs look that were just written."""
    for _, digest in package.files:
        if (stamp := market.store.blobs.stamp(digest)) is not None:
            catalogue.set_stamp(digest, stamp)


def _refuse_reuse(catalogue: Catalogue, preview: Preview) -> None:
    if catalogue.other_content(preview) is not None:
        raise VerificationError(
            f"{preview.manifest.label} is already known with other content.",
            "A version is never given to other content again, so one of the two is not genuine.",
            "Ask the publisher, or run `expert gc` if you removed the other one on purpose.",
        )
