"""A folder with `.expert` files, at any depth; also what a clone or the shipped experts are."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from expert.errors import ExpertError, NotFoundError
from expert.market.sources.base import Offer, Progress, Rejected
from expert.package.container import inspect
from expert.package.trust import MAX_STATEMENT

PACKAGES, STATEMENTS = ".expert", ".trust.json"
MAX_FILES = 100_000


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Packages in a folder; symbolic links and hidden folders are not followed."""

    root: Path

    @property
    def local(self) -> bool:
        return True

    def stamp(self) -> str:
        digest = hashlib.sha256()
        for path, stamp in self._files(PACKAGES, STATEMENTS):
            digest.update(f"{path}\0{stamp}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def update(self) -> None:
        if not self.root.is_dir():
            raise NotFoundError(
                f"The source folder {self.root} is not there.",
                "It was moved, or its disk is not mounted.",
                "Put it back, or remove the source with `expert source remove`.",
            )

    def offers(self, known: Mapping[str, str]) -> Iterator[Offer | Rejected]:
        for location, stamp in self._files(PACKAGES):
            if known.get(location) == stamp:
                yield Offer(location, stamp, None)
                continue
            try:
                yield Offer(location, stamp, inspect(self.root / location))
            except ExpertError as error:
                yield Rejected(location, error.why or error.what)

    def statements(self) -> Iterator[bytes]:
        for location, _ in self._files(STATEMENTS):
            with (self.root / location).open("rb") as stream:
                yield stream.read(MAX_STATEMENT)

    def fetch(self, location: str, progress: Progress | None) -> Path:
        path = self.root / location
        parts = PurePosixPath(location).parts
        if not path.is_file() or ".." in parts or PurePosixPath(location).is_absolute():
            raise NotFoundError(
                f"The package {path} is not there any more.", "", "Run `expert source refresh`."
            )
        return path

    def _files(self, *endings: str) -> Iterator[tuple[str, str]]:
        """Yield the regular files with these endings, sorted, each with its stamp."""
        found = []
        for folder, names, files in os.walk(self.root):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in files:
                if name.endswith(endings) and not name.startswith("."):
                    found.append(os.path.join(folder, name))
            if len(found) > MAX_FILES:
                break
        for name in sorted(found):
            path = Path(name)
            if path.is_symlink():
                continue
            state = path.stat()
            yield path.relative_to(self.root).as_posix(), f"{state.st_size}:{state.st_mtime_ns}"
