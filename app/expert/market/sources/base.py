"""What every source of packages can do, whatever it is: a folder, a git repository, a registry.

The rest of the marketplace asks for previews and for whole packages, and trusts neither: previews
are verified when they are read, packages when they are installed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from expert.package.container import Preview

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Offer:
    """A package that a source has."""

    location: str
    """Where the source has it; only the source knows what that means."""
    stamp: str
    """Changes when the package does."""
    preview: Preview | None
    """None: unchanged since the stamp that was known."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file at a source that is not a sound package."""

    location: str
    why: str


class Source(Protocol):
    """A place that packages come from."""

    @property
    def local(self) -> bool:
        """Whether looking at it needs no network, so that it may be done unasked."""
        ...

    def stamp(self) -> str:
        """Return a cheap mark of its present state; equal marks mean nothing changed."""
        ...

    def update(self) -> None:
        """Bring what is on this machine up to date.

        Raises:
            NetworkNeededError: the place cannot be reached.
            NotFoundError: it does not exist.
        """
        ...

    def offers(self, known: Mapping[str, str]) -> Iterator[Offer | Rejected]:
        """Yield all packages; *known* are stamps by location that need not be read again."""
        ...

    def statements(self) -> Iterator[bytes]:
        """Yield what publishers say about their keys, unverified."""
        ...

    def fetch(self, location: str, progress: Progress | None) -> Path:
        """Return a file with a package's bytes, unverified.

        Raises:
            NetworkNeededError: it cannot be reached.
            NotFoundError: it is not there any more.
        """
        ...
