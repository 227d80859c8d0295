"""The database: migrated once under the lock, atomic, and honest about damage."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from expert.errors import ResourceError, VerificationError
from expert.store.database import APPLICATION_ID, Migration, Schema, connect, snapshot, transaction

FIRST = Migration("001_item", ("CREATE TABLE item (name TEXT PRIMARY KEY, n INTEGER) STRICT",))
SECOND = Migration("002_price", ("ALTER TABLE item ADD COLUMN price REAL",))
BROKEN = Migration("003_broken", ("CREATE TABLE other (x TEXT) STRICT", "CREATE TABLE item (x)"))
ONE = Schema("room", (FIRST,))
TWO = Schema("room", (FIRST, SECOND))


def opened(folder: Path, schema: Schema = ONE) -> sqlite3.Connection:
    """Open the test's database."""
    return connect(folder / "expert.db", schema, folder / ".lock")


def test_a_new_database_is_set_up_as_agreed(tmp_path: Path) -> None:
    """WAL, full synchronisation, foreign keys, no functions in the schema, ours, and private."""
    connection = opened(tmp_path)
    settings = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in (
            "journal_mode", "synchronous", "foreign_keys", "trusted_schema", "busy_timeout",
            "application_id",
        )
    }  # fmt: skip
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "busy_timeout": 10_000,
        "application_id": APPLICATION_ID,
    }
    assert (tmp_path / "expert.db").stat().st_mode & 0o777 == 0o600


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    """A later version adds its own and keeps the rows."""
    with transaction(opened(tmp_path)) as connection:
        connection.execute("INSERT INTO item VALUES ('a', 1)")
    for _ in range(2):
        row = opened(tmp_path, TWO).execute("SELECT * FROM item").fetchone()
        assert dict(row) == {"name": "a", "n": 1, "price": None}


def test_rooms_share_the_database(tmp_path: Path) -> None:
    """Each room's migrations are its own."""
    opened(tmp_path)
    other = Schema("other", (Migration("001", ("CREATE TABLE note (t TEXT) STRICT",)),))
    opened(tmp_path, other).execute("INSERT INTO note VALUES ('x')")
    assert opened(tmp_path).execute("SELECT count(*) FROM note").fetchone()[0] == 1


def test_a_failed_migration_leaves_no_trace(tmp_path: Path) -> None:
    """Its first statements are undone with the one that failed."""
    opened(tmp_path)
    with pytest.raises(VerificationError, match="already exists"):
        opened(tmp_path, Schema("room", (FIRST, BROKEN)))
    tables = opened(tmp_path).execute("SELECT name FROM sqlite_schema WHERE name = 'other'")
    assert tables.fetchone() is None


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    """An older Expert says that it is older."""
    opened(tmp_path, TWO)
    with pytest.raises(VerificationError, match="newer Expert") as caught:
        opened(tmp_path, ONE)
    assert "002_price" in caught.value.why


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    """Another program's file of that name is not touched."""
    with sqlite3.connect(tmp_path / "expert.db") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = (tmp_path / "expert.db").read_bytes()
    with pytest.raises(VerificationError, match="not Expert's"):
        opened(tmp_path)
    assert (tmp_path / "expert.db").read_bytes() == before


@pytest.mark.parametrize("data", [b"not a database" * 100, b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_database_is_a_clear_error(tmp_path: Path, data: bytes) -> None:
    """The error names the repair."""
    (tmp_path / "expert.db").write_bytes(data)
    with pytest.raises(VerificationError, match="damaged") as caught:
        opened(tmp_path)
    assert "--repair" in caught.value.fix


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    """An exception undoes the block and goes on."""
    connection = opened(tmp_path)
    with pytest.raises(ZeroDivisionError), transaction(connection):
        connection.execute("INSERT INTO item VALUES ('a', 1)")
        raise ZeroDivisionError
    assert connection.execute("SELECT count(*) FROM item").fetchone()[0] == 0


def test_a_snapshot_sees_one_state(tmp_path: Path) -> None:
    """What others commit while the block runs is not seen in it."""
    reader, writer = opened(tmp_path), opened(tmp_path)
    count = "SELECT count(*) FROM item"
    with snapshot(reader):
        assert reader.execute(count).fetchone()[0] == 0
        writer.execute("INSERT INTO item VALUES ('a', 1)")
        assert reader.execute(count).fetchone()[0] == 0
    assert reader.execute(count).fetchone()[0] == 1


def test_broken_rules_are_not_called_damage(tmp_path: Path) -> None:
    """A violated constraint is a mistake of the caller, not of the disk."""
    connection = opened(tmp_path)
    with transaction(connection):
        connection.execute("INSERT INTO item VALUES ('a', 1)")
    with pytest.raises(sqlite3.IntegrityError), transaction(connection):
        connection.execute("INSERT INTO item VALUES ('a', 2)")


def test_a_folder_without_write_permission_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading needs no journal when nothing can change."""
    connection = opened(tmp_path)
    connection.execute("INSERT INTO item VALUES ('a', 1)")
    connection.close()
    monkeypatch.setattr("expert.store.database.os.access", lambda path, mode: False)
    reader = opened(tmp_path)
    assert reader.execute("SELECT n FROM item").fetchone()[0] == 1
    with pytest.raises(ResourceError), transaction(reader):
        reader.execute("DELETE FROM item")


WRITE = """
import sys
from pathlib import Path
from expert.store.database import Migration, Schema, connect, transaction
one = Schema("room", (Migration("001_item", ("CREATE TABLE item (name TEXT, n INTEGER) STRICT",)),))
folder = Path(sys.argv[1])
connection = connect(folder / "expert.db", one, folder / ".lock")
for _ in range(50):
    with transaction(connection):
        (n,) = connection.execute("SELECT coalesce(max(n), 0) FROM item").fetchone()
        connection.execute("INSERT INTO item VALUES ('a', ?)", (n + 1,))
"""


def test_processes_that_read_and_then_write_lose_nothing(tmp_path: Path) -> None:
    """First start, migration and 200 transactions of four processes at once."""
    command = [sys.executable, "-c", WRITE, str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    schema = Schema("room", (Migration("001_item", ()),))
    found = opened(tmp_path, schema).execute("SELECT count(*), max(n) FROM item").fetchone()
    assert tuple(found) == (200, 200)


def test_nothing_heavy_is_imported_when_all_is_up_to_date(tmp_path: Path) -> None:
    """sqlite-utils is for migrations only."""
    opened(tmp_path)
    script = (
        WRITE.split("for _")[0]
        + "print([m for m in ('sqlite_utils', 'filelock') if m in sys.modules])"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
