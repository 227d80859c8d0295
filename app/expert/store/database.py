"""The one SQLite database: opened the same way everywhere, brought up to date under the lock.

Each room that keeps tables has a `Schema`: a name and an append-only list of migrations. Looking
whether any is missing costs one plain query; sqlite-utils, which applies each migration together
with its record in one transaction, is imported only when there is one.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from expert.errors import ResourceError, VerificationError
from expert.store.locks import exclusive

APPLICATION_ID = int.from_bytes(b"EXPT")
BUSY_MS = 10_000
"""How long a writer waits for another one."""
_RECORDS = "_sqlite_migrations"
_RESOURCE = (
    *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM),
    *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN),
)
_NO_CODE = 0
"""Of text that is not UTF-8."""
# No statement of ours is wrong in itself: one that fails does not find the tables it was made for.
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, _NO_CODE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a schema; once released it is never edited."""

    name: str
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one room."""

    name: str
    migrations: tuple[Migration, ...]


def connect(path: Path, schema: Schema, lock: Path) -> sqlite3.Connection:
    """Open the database at *path* with the tables of *schema*; it is created where missing.

    Statements outside `transaction` commit by themselves.

    Raises:
        ResourceError: it cannot be opened or written.
        VerificationError: it is damaged, of another program, or written by a newer Expert.
    """
    if path.exists():
        with translated(path), ExitStack() as on_failure:
            connection = _open(path)
            on_failure.callback(connection.close)
            if not _is_behind(connection, path, schema):
                on_failure.pop_all()
                return connection
    with exclusive(lock), translated(path):
        _migrate(path, schema)
        return _open(path)


def _open(path: Path) -> sqlite3.Connection:
    if os.access(path.parent, os.W_OK):
        connection = sqlite3.connect(path, isolation_level=None)
    else:
        # A database in WAL mode needs a writable folder, unless it is promised not to change.
        uri = f"{path.absolute().as_uri()}?immutable=1"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    for pragma in (
        f"busy_timeout = {BUSY_MS}",
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _is_behind(connection: sqlite3.Connection, path: Path, schema: Schema) -> bool:
    """Tell whether migrations are missing, after checking that the database is ours."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            return True
        raise VerificationError(
            f"{path} is not Expert's database.",
            "Another program made it.",
            "Move it away, or set EXPERT_HOME to another folder.",
        )
    done = _applied(connection, schema)
    known = {migration.name for migration in schema.migrations}
    if done - known:
        raise VerificationError(
            f"{path} was changed by a newer Expert.",
            f"It has the tables of {', '.join(sorted(done - known))}.",
            "Update Expert.",
        )
    return done != known


def _applied(connection: sqlite3.Connection, schema: Schema) -> set[str]:
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (_RECORDS,))
    if found.fetchone() is None:
        return set()
    query = f"SELECT name FROM {_RECORDS} WHERE migration_set = ?"
    return {row[0] for row in connection.execute(query, (schema.name,))}


def _migrate(path: Path, schema: Schema) -> None:
    """Apply what is missing; another process may have done so while this one waited."""
    from sqlite_utils import Database, Migrations

    with closing(_open(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrations = Migrations(schema.name)
        for migration in schema.migrations:

            @migrations(name=migration.name)
            def apply(db: Database, statements: tuple[str, ...] = migration.statements) -> None:
                for statement in statements:
                    db.execute(statement)

        migrations.apply(Database(connection))
    path.chmod(0o600)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit all changes of the block together, or none; other writers wait from its start.

    Raises:
        ResourceError: another writer was too slow, or the disk is full.
        VerificationError: the database is damaged.
    """
    # A transaction that begins by reading fails at its first write if another one wrote between.
    with translated(_file(connection)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:  # a full disk has undone it already
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Let all reads of the block see one state, whatever others commit meanwhile."""
    with translated(_file(connection)):
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            if connection.in_transaction:  # an error of the disk has ended it already
                connection.execute("ROLLBACK")


def _file(connection: sqlite3.Connection) -> Path:
    return Path(connection.execute("PRAGMA database_list").fetchone()["file"])


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into Expert's."""
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter: a damaged message
        # The low byte is the kind of error; the rest only tells variants apart.
        code = getattr(error, "sqlite_errorcode", _NO_CODE) & 0xFF
        if code in _RESOURCE:
            raise ResourceError(
                f"The database {path} cannot be used.",
                f"{error}.",
                "Make its folder writable, free some disk space, or wait for others to end.",
            ) from error
        if code in _DAMAGE and not isinstance(error, sqlite3.ProgrammingError):
            raise VerificationError(
                f"The database {path} is damaged.", f"{error}.", "Run `expert doctor --repair`."
            ) from error
        raise
