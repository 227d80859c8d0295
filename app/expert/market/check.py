"""Checking packages and source folders as an install would, without installing."""

import tempfile
from pathlib import Path
from typing import BinaryIO

from expert.market.weights import check_weights
from expert.package.container import Preview, inspect
from expert.package.manifest import File, Manifest
from expert.package.pack import open_source, read_source
from expert.package.rules import references
from expert.package.validate import Progress, validate


def check_package(path: Path, progress: Progress | None = None) -> Preview:
    """Check every byte of a package, and its adapters.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: something is damaged, hostile, or not as signed.
        ResourceError: there is no room to unpack the adapters.
    """
    inspect(path)
    with tempfile.TemporaryDirectory(prefix="expert-check.") as name:
        places: dict[str, Path] = {}

        def create(file: File) -> BinaryIO:
            places[file.path] = Path(name, str(len(places)))
            return places[file.path].open("xb")

        found = validate(path, create, progress)
        check_weights(found.manifest, places)
    return found


def check_source(folder: Path) -> Manifest:
    """Check that a source folder could be packed: its manifest, its files and its adapters.

    Raises:
        NotFoundError: the manifest or a file is missing.
        VerificationError: the manifest or an adapter is not valid.
    """
    manifest = read_source(folder)
    for path in references(manifest):
        open_source(folder / path).close()
    check_weights(manifest, {path: folder / path for path in references(manifest)})
    return manifest
