"""The history of one user: opened for each use, created when the first turn is recorded."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from expert.errors import NotFoundError
from expert.history import reading, writing
from expert.history.records import Conversation, Hit, Place, Recorded, Turn
from expert.history.schema import HISTORY
from expert.store.database import connect, snapshot, transaction

KEPT_DAYS = 30
"""How long a removed conversation can be restored."""


@dataclass(frozen=True, slots=True)
class History:
    """Every conversation of one user. Threads and processes may use it at once."""

    database: Path
    lock: Path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(connect(self.database, HISTORY, self.lock)) as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Open what there is; looking creates nothing."""
        if not self.database.exists():
            yield None
            return
        with self._open() as connection, snapshot(connection):
            yield connection

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as connection, transaction(connection):
            yield connection

    # Writing --------------------------------------------------------------------------------------

    def record(self, turn: Turn) -> Place:
        """Write a turn; what was removed long ago goes for good.

        Raises:
            ResourceError: the disk is full, or the folder cannot be written.
            VerificationError: the database is damaged.
        """
        with self._changing() as connection:
            writing.purge(connection, _now(-timedelta(days=KEPT_DAYS)))
            return writing.record(connection, turn, _now())

    def rename(self, conversation: int, title: str) -> None:
        """Give a conversation another title.

        Raises:
            NotFoundError: there is no such conversation.
        """
        self._change(conversation, "title", " ".join(title.split()))

    def remove(self, conversation: int) -> None:
        """Put a conversation into the bin.

        Raises:
            NotFoundError: there is no such conversation.
        """
        self._change(conversation, "deleted", _now())

    def restore(self, conversation: int) -> None:
        """Take a conversation out of the bin.

        Raises:
            NotFoundError: there is no such conversation.
        """
        self._change(conversation, "deleted", None)

    def erase(self, conversation: int) -> None:
        """Remove a conversation for good, and overwrite it in the file.

        Raises:
            NotFoundError: there is no such conversation.
        """
        self.conversation(conversation)
        with self._open() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            with transaction(connection):
                writing.erase(connection, conversation)
                writing.compact(connection)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _change(self, conversation: int, column: str, value: str | None) -> None:
        self.conversation(conversation)
        with self._changing() as connection:
            writing.change(connection, conversation, column, value)

    # Reading --------------------------------------------------------------------------------------

    def conversations(self, limit: int = -1, *, deleted: bool = False) -> list[Conversation]:
        """Return conversations, the latest first; or those in the bin."""
        with self._reading() as connection:
            return reading.conversations(connection, limit, deleted) if connection else []

    def conversation(self, conversation: int) -> Conversation:
        """Return one conversation, in the bin or not.

        Raises:
            NotFoundError: there is no such conversation.
        """
        with self._reading() as connection:
            found = reading.conversation(connection, conversation) if connection else None
        if found is None:
            raise NotFoundError(
                f"There is no conversation {conversation}.", "", "See `expert log list`."
            )
        return found

    def find(self, name: str | None) -> Conversation:
        """Return the conversation that people mean: the last one, by number, or by title.

        Raises:
            NotFoundError: there is none, or a title is that of several.
        """
        if name is not None and name.isascii() and name.isdigit() and len(name) < 19:
            return self.conversation(int(name))
        latest = self.conversations(1 if name is None else -1)
        if name is None:
            if latest:
                return latest[0]
            raise NotFoundError("There is no conversation yet.", "", "Ask something first.")
        wanted = name.casefold()
        found = [one for one in latest if one.title.casefold() == wanted]
        found = found or [one for one in latest if one.title.casefold().startswith(wanted)]
        if len(found) != 1:
            numbers = ", ".join(str(one.id) for one in found[:10])
            raise NotFoundError(
                f"There is no conversation {name!r}." if not found else f"{name!r} is not clear.",
                f"The title is that of {numbers}." if found else "No title is or begins so.",
                "Give its number, as in `expert log list`.",
            )
        return found[0]

    def turns(self, conversation: int, last: int | None = None) -> list[Recorded]:
        """Return the turns that lead to *last*, or to what was recorded last, in order."""
        with self._reading() as connection:
            return reading.turns(connection, conversation, last) if connection else []

    def all_turns(self, conversation: int) -> list[Recorded]:
        """Return the turns of every branch, in the order they were recorded."""
        with self._reading() as connection:
            return reading.all_turns(connection, conversation) if connection else []

    def search(self, query: str, limit: int = 20, *, expert: str | None = None) -> list[Hit]:
        """Return turns that match, the best first; any text is a query (see `query`)."""
        with self._reading() as connection:
            return reading.search(connection, query, limit, expert) if connection else []


def user_history() -> History:
    """Return the history in this user's own folders."""
    from expert.paths import user_paths

    data = user_paths().data
    return History(data / "expert.db", data / ".lock")


def _now(offset: timedelta = timedelta(0)) -> str:
    moment = datetime.now(UTC) + offset
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
