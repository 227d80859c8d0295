"""A destroyed database: what the user decided comes back, and nothing that others decided."""

from pathlib import Path

from expert.market.market import Market
from expert.market.recovery import Note, note_path, read_note
from expert.market.remove import pin, uninstall, unpin
from expert.market.repair import repair
from expert.market.sources.registry import add_source, list_sources
from expert.market.trusting import revoke, trust, trusted_keys
from expert.package.keys import PrivateKey
from support.markets import Shop, damage
from support.packages import KEY

OTHER = PrivateKey(b"other" * 6 + b"ss")


def destroy(market: Market) -> None:
    """Write nonsense over the database."""
    market.store.database.write_bytes(b"destroyed" * 1000)
    for ending in ("-wal", "-shm"):
        side = market.store.database.with_name(market.store.database.name + ending)
        side.unlink(missing_ok=True)


def test_a_destroyed_database_is_made_again(tmp_path: Path) -> None:
    """Keys with their states, pins, sources, and the experts with what they need."""
    shop = Shop(tmp_path)
    shop.offer("sql", "1.0.0", requires={"acme/json": "^1"})
    shop.offer("sql", "1.1.0", requires={"acme/json": "^1"})
    shop.offer("json")
    shop.install("sql@1.1.0")
    shop.install("sql@1.0.0")
    pin(shop.market, "sql@~1.0")
    trust(shop.market, "friend", OTHER.public)
    revoke(shop.market, "friend", "", "lost")
    before = (shop.labels(), trusted_keys(shop.market), list_sources(shop.market))
    destroy(shop.market)
    done = repair(shop.market)
    assert done.put_aside is not None
    assert done.recovered.experts == ("acme/sql@1.1.0", "acme/sql@1.0.0")
    assert (done.recovered.missing, done.left) == ((), ())
    after = (shop.labels(), trusted_keys(shop.market), list_sources(shop.market))
    assert after[:2] == before[:2]
    assert [place.location for place in after[2]] == [place.location for place in before[2]]
    with shop.market.reading() as catalogue:
        assert catalogue.pins() == {"acme/sql": "~1.0"}
        chosen = [p.version for p in catalogue.installed() if p.selected and p.name == "sql"]
    assert chosen == ["1.0.0"]
    assert damage(shop.market) == 0


def test_trust_survives_the_database(tmp_path: Path) -> None:
    """After the repair a changed key is still a changed key."""
    shop = Shop(tmp_path)
    shop.offer()
    shop.install("sql")
    destroy(shop.market)
    (shop.shelf / "acme-sql-1.0.0.expert").unlink()
    shop.offer(version="2.0.0", key=OTHER)
    done = repair(shop.market)
    assert (done.recovered.experts, done.recovered.missing) == ((), ("acme/sql@1.0.0",))
    assert [entry.key for entry in trusted_keys(shop.market) if entry.publisher == "acme"] == [
        KEY.public
    ]
    assert shop.labels() == set()


def test_the_note_follows_every_decision(tmp_path: Path) -> None:
    """And is not written where nothing was decided."""
    shop = Shop(tmp_path)
    store = shop.market.store
    shop.offer()
    shop.install("sql")
    assert [expert.name for expert in read_note(store).experts] == ["acme/sql"]
    pin(shop.market, "sql")
    assert set(read_note(store).pins) == {"acme/sql"}
    unpin(shop.market, "sql")
    assert read_note(store).pins == {}
    trust(shop.market, "friend", OTHER.public)
    assert {key.publisher for key in read_note(store).keys} == {"acme", "friend"}
    add_source(shop.market, "more", str(tmp_path))
    assert {place.name for place in read_note(store).sources} == {"shelf", "more"}
    uninstall(shop.market, ["sql"])
    assert read_note(store).experts == ()
    state = note_path(store).stat()
    shop.labels()
    list_sources(shop.market)
    assert note_path(store).stat() == state


def test_a_note_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    """Nor one with keys that are none."""
    shop = Shop(tmp_path)
    shop.offer()
    shop.install("sql")
    path = note_path(shop.market.store)
    for text in (b"", b"{", b"[1]", b"\xff", b'{"keys": 5}', b"[" * 100_000):
        path.write_bytes(text)
        assert read_note(shop.market.store) == Note()
    bad = b'{"keys": [["acme", "ssh-ed25519 AAAA", "active", "by hand", "", ""]]}'
    destroy(shop.market)
    path.write_bytes(bad)
    repair(shop.market)
    assert all(entry.publisher != "acme" for entry in trusted_keys(shop.market))


def test_a_store_that_is_busy_gets_its_note_later(tmp_path: Path) -> None:
    """A decision is not held up by a note, and the next one brings it up to date."""
    import threading

    from expert.market import recovery

    shop = Shop(tmp_path)
    shop.offer()
    shop.install("sql")
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with shop.market.store.changing():
            held.set()
            release.wait(20)

    patience, recovery.PATIENCE = recovery.PATIENCE, 0.05
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    try:
        trust(shop.market, "friend", OTHER.public)
        assert len(read_note(shop.market.store).keys) == 1
    finally:
        release.set()
        thread.join()
        recovery.PATIENCE = patience
    trust(shop.market, "third", PrivateKey(b"t" * 32).public)
    assert len(read_note(shop.market.store).keys) == 3
