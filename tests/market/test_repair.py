"""Repairing: files come back from where they were offered, a destroyed database is put aside."""

from pathlib import Path

import pytest

from expert.errors import VerificationError
from expert.market.remove import rollback
from expert.market.repair import repair
from support.markets import Shop, damage


@pytest.fixture(name="shop")
def shop_with_one(tmp_path: Path) -> Shop:
    """A market with one expert."""
    shop = Shop(tmp_path)
    shop.offer()
    shop.install("sql")
    return shop


def spoil(shop: Shop) -> None:
    """Damage every blob."""
    for digest in shop.market.store.blobs:
        path = shop.market.store.blobs.path(digest)
        path.chmod(0o644)
        path.write_bytes(b"spoilt" + path.read_bytes()[6:])


def test_a_sound_market_needs_no_repair(shop: Shop) -> None:
    """Nothing is touched."""
    done = repair(shop.market)
    assert (done.restored, done.left, done.put_aside) == ((), (), None)


def test_damaged_files_are_fetched_again(shop: Shop) -> None:
    """Of active packages and of those one can go back to."""
    shop.offer(version="1.1.0")
    shop.update()
    spoil(shop)
    assert damage(shop.market) == 1
    done = repair(shop.market)
    assert done.restored == ("acme/sql@1.0.0", "acme/sql@1.1.0")
    assert done.left == ()
    assert damage(shop.market) == 0
    rollback(shop.market)
    assert damage(shop.market) == 0


def test_what_cannot_be_fetched_is_reported(shop: Shop) -> None:
    """A package whose source has gone, or has become damaged as well."""
    spoil(shop)
    path = shop.shelf / "acme-sql-1.0.0.expert"
    data = bytearray(path.read_bytes())
    data[-1500] ^= 1
    path.write_bytes(data)
    (problem,) = repair(shop.market).left
    assert (problem.package, problem.what) == ("acme/sql@1.0.0", "damaged")


def test_installing_again_repairs_too(shop: Shop) -> None:
    """A package stored anew checks the blobs that seem to be there."""
    spoil(shop)
    from expert.market.health import collect
    from expert.market.remove import uninstall

    uninstall(shop.market, ["sql"])
    collect(shop.market, keep=0)
    shop.install("sql")
    assert damage(shop.market) == 0


@pytest.mark.parametrize("how", ["overwritten", "page"])
def test_a_destroyed_database_is_put_aside(shop: Shop, how: str) -> None:
    """It is kept under another name, and everything can be installed again."""
    path = shop.market.store.database
    data = bytearray(path.read_bytes())
    if how == "overwritten":
        data[:] = b"x" * len(data)
    else:
        for page in range(1, len(data) // 4096):
            data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    if how == "overwritten":
        with pytest.raises(VerificationError, match="damaged"):
            shop.labels()
    done = repair(shop.market)
    assert done.put_aside is not None
    assert done.put_aside.read_bytes() == data
    assert done.recovered.experts == ("acme/sql@1.0.0",)
    assert shop.labels() == {"acme/sql@1.0.0"}
    assert damage(shop.market) == 0


def test_a_newer_experts_database_is_not_put_aside(shop: Shop) -> None:
    """What an older program does not know is no damage."""
    with shop.market.connection() as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('market', '999_future', '')"
        )
    with pytest.raises(VerificationError, match="newer Expert"):
        repair(shop.market)
    assert shop.market.store.database.exists()


def test_a_broken_index_is_built_again(shop: Shop) -> None:
    """The table is whole, so nothing is lost."""
    with shop.market.connection() as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'offer_name'"
        ).fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(shop.market.store.database.read_bytes())
    start = (page - 1) * 4096
    # An index page of type 10 with no entries: well-formed, and not what the table has.
    data[start : start + 8] = b"\x0a\0\0\0\0\x10\0\0"
    shop.market.store.database.write_bytes(data)
    with shop.market.connection() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok"
    done = repair(shop.market)
    assert done.put_aside is None
    assert shop.labels() == {"acme/sql@1.0.0"}
    with shop.market.connection() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
