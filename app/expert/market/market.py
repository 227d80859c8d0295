"""The marketplace of one user: its store and its database, opened when first needed."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from expert.market.catalogue import Catalogue
from expert.market.schema import MARKET
from expert.store.database import connect, snapshot
from expert.store.store import Store


@dataclass(frozen=True, slots=True)
class Market:
    """Where one user's experts are."""

    store: Store
    cache: Path
    """What can be fetched again: clones of git sources, partial downloads."""
    shipped: Callable[[], Path] | None = None
    """Finds the folder of the experts that come with Expert."""

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Open the database; changes of it are noted a second time when it is closed.

        Raises:
            ResourceError: it cannot be opened.
            VerificationError: it is damaged, or of a newer Expert.
        """
        with closing(connect(self.store.database, MARKET, self.store.lock)) as connection:
            yield connection
            if connection.total_changes:
                from expert.market.recovery import write_note  # which itself uses this module

                write_note(self.store, connection)

    @contextmanager
    def catalogue(self) -> Iterator[Catalogue]:
        """Open the database to change what is installed; hold the store's lock for that."""
        with self.connection() as connection:
            yield Catalogue(connection)

    @contextmanager
    def reading(self) -> Iterator[Catalogue]:
        """Open the database to read what is installed, in one state from first to last."""
        with self.connection() as connection, snapshot(connection):
            yield Catalogue(connection)


def user_market() -> Market:
    """Return the market in this user's own folders."""
    from expert.paths import user_paths

    paths = user_paths()
    return Market(Store(paths.data), paths.cache / "sources", _shipped)


def _shipped() -> Path:
    from expert import resources

    return Path(str(resources.data("experts")))
