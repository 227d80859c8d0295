"""Adapters given on a command line: as a file, or inside a package."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Given:
    """An adapter, and what its expert is called."""

    name: str
    adapter: Path | None
    """None: the package holds something else."""


@contextmanager
def taken_out(path: Path) -> Iterator[Given]:
    """Yield the adapter at *path*, a GGUF file or a package, for as long as it is used.

    Raises:
        NotFoundError: it is not there.
        VerificationError: the package is not sound.
    """
    if path.suffix == ".gguf":
        yield Given(path.stem, path)
        return
    from expert.package.pack import extract

    with tempfile.TemporaryDirectory(prefix="expert-adapter.") as folder:
        manifest = extract(path, Path(folder, "expert")).manifest
        file = manifest.bases[0].adapter.file
        yield Given(manifest.name, None if file is None else Path(folder, "expert", file))


@contextmanager
def compared(path: Path | None, base: Path) -> Iterator[Path | None]:
    """Yield the adapter of another expert to compare with, known to fit the model file *base*.

    Raises:
        UsageError: that expert has no adapter.
        as `taken_out` and `read_adapter`.
    """
    if path is None:
        yield None
        return
    from expert.engine.adapter_file import read_adapter
    from expert.engine.header import read_header
    from expert.errors import UsageError

    with taken_out(path) as given:
        if given.adapter is None:
            raise UsageError(
                f"{given.name} cannot be compared with.",
                "It is an expert without an adapter.",
                "Name one that is an adapter.",
            )
        if base.is_file():  # a checkpoint folder has no header yet
            read_adapter(given.adapter, read_header(base))
        yield given.adapter
