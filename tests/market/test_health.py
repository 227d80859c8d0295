"""Verifying, cleaning up and using what is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from expert.errors import NotFoundError, VerificationError
from expert.market.health import Problem, collect, installed_file, verify
from expert.market.keyring import revoke_key
from expert.market.leases import lease, leased, start_time
from expert.market.market import Market
from expert.market.records import Installed
from support.markets import damage, labels, make_market, store_packages
from support.packages import KEY, make_package


@pytest.fixture(name="market")
def market_with_one(tmp_path: Path) -> Market:
    """A market with one expert."""
    market = make_market(tmp_path)
    store_packages(market, [make_package(tmp_path)])
    return market


def only(market: Market) -> Installed:
    """Return the one installed package."""
    with market.reading() as catalogue:
        (package,) = catalogue.installed()
    return package


def blob(market: Market) -> Path:
    """Return the one blob."""
    (digest,) = market.store.blobs
    return market.store.blobs.path(digest)


def flip(path: Path, *, quietly: bool) -> None:
    """Flip one bit in a file; *quietly* as a bad disk does, with the old time."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)
    if quietly:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_sound_market_has_no_problems(market: Market) -> None:
    """Shallow and deep."""
    for deep in (False, True):
        assert verify(market, [only(market)], deep=deep) == []


@pytest.mark.parametrize("quietly", [False, True])
def test_a_flipped_bit_is_found_refused_and_repaired(
    market: Market, tmp_path: Path, quietly: bool
) -> None:
    """Both checks find it, using the file is refused, and storing the package again repairs it."""
    flip(blob(market), quietly=quietly)
    expected = [Problem("acme/sql@1.0.0", "adapter.gguf", "damaged")]
    assert verify(market, [only(market)], deep=True) == expected
    assert verify(market, [only(market)], deep=False) == expected
    with pytest.raises(VerificationError, match="damaged or missing") as caught:
        installed_file(market, only(market), "adapter.gguf")
    assert "--repair" in caught.value.fix


def test_a_missing_blob_is_found(market: Market) -> None:
    """A removed file is told apart from a damaged one."""
    blob(market).unlink()
    assert verify(market, [only(market)], deep=False)[0].what == "missing"
    with pytest.raises(VerificationError):
        installed_file(market, only(market), "adapter.gguf")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("manifest = replace(manifest, 'Writes', 'Wr1tes')", "signature"),
        ("signer = 'ssh-ed25519 other'", "another key"),
        ("manifest = 'x', signature = NULL", "cannot be read"),
    ],
)
def test_a_changed_catalogue_is_found(market: Market, change: str, what: str) -> None:
    """Manifests in the database are checked against their signatures and hashes."""
    with market.connection() as connection:
        change = change.replace("replace(manifest", "CAST(replace(CAST(manifest AS TEXT)")
        change = change.replace("'Wr1tes')", "'Wr1tes') AS BLOB)").replace("'x'", "x'7b'")
        connection.execute(f"UPDATE package SET {change}")
    (problem,) = verify(market, [only(market)], deep=False)
    assert problem.file == ""
    assert what in problem.what


def test_a_revoked_signer_is_told(market: Market) -> None:
    """What a revoked key signed stays installed, but not silently."""
    with market.connection() as connection:
        revoke_key(connection, "acme", KEY.public, "stolen")
    (problem,) = verify(market, [only(market)], deep=False)
    assert "revoked" in problem.what


def test_a_package_that_was_removed_meanwhile_is_told(market: Market, tmp_path: Path) -> None:
    """Another process may clean up between looking and using."""
    package = only(market)
    store_packages(market, [make_package(tmp_path, name="json")])
    collect(market, keep=0)
    assert verify(market, [package], deep=True)[0].what == "removed meanwhile"
    with pytest.raises(NotFoundError, match="removed meanwhile"):
        installed_file(market, package, "adapter.gguf")


def test_an_unchanged_file_is_not_read_again(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Using an installed file costs no hashing while its stamp is the recorded one."""
    monkeypatch.setattr("expert.store.blobs.file_digest", lambda path: pytest.fail("read"))
    path = installed_file(market, only(market), "adapter.gguf")
    assert path == blob(market)


def test_a_touched_file_is_read_once(market: Market) -> None:
    """A changed stamp costs one reading, which is recorded."""
    os.utime(blob(market), (1, 1))
    installed_file(market, only(market), "adapter.gguf")
    with market.reading() as catalogue:
        (digest,) = market.store.blobs
        assert catalogue.stamp(digest) == market.store.blobs.stamp(digest)


def test_progress_counts_bytes(market: Market) -> None:
    """Progress ends at the size of what was checked."""
    seen: list[tuple[int, int]] = []
    verify(market, [only(market)], deep=True, progress=lambda *step: seen.append(step))
    assert seen == [(only(market).size, only(market).size)]


# Cleaning up ----------------------------------------------------------------------------------


def test_the_last_generations_are_kept(market: Market, tmp_path: Path) -> None:
    """What can be rolled back to stays, older packages go with their blobs."""
    versions = [f"1.0.{number}" for number in range(1, 8)]
    for version in versions:
        store_packages(market, [make_package(tmp_path, version=version)])
    would = collect(market, dry_run=True, keep=3)
    assert len(list(market.store.blobs)) == 8
    removal = collect(market, keep=3)
    assert would == removal
    assert set(removal.packages) == {f"acme/sql@1.0.{number}" for number in range(4)}
    assert len(list(market.store.blobs)) == 4
    assert removal.bytes > 0
    with market.reading() as catalogue:
        assert [found.number for found in catalogue.generations()] == [8, 7, 6, 5]
    assert damage(market) == 0


def test_rubbish_is_removed(market: Market) -> None:
    """Blobs that no package names are gone afterwards, foreign files stay."""
    stray = market.store.blobs.path("a" * 64)
    stray.parent.mkdir()
    stray.write_bytes(b"left by a crash")
    (stray.parent / "notes.txt").write_text("mine")
    assert collect(market).blobs == 1
    assert not stray.exists()
    assert (stray.parent / "notes.txt").exists()
    assert damage(market) == 0


def test_leased_packages_stay(market: Market, tmp_path: Path) -> None:
    """What a running process uses is not removed, and goes when it has ended."""
    package = only(market)
    with lease(market, [package.id]):
        store_packages(market, [make_package(tmp_path, name="json")])
        assert collect(market, keep=0).packages == ()
        assert blob_count(market) == 2
    assert collect(market, keep=0).packages == ("acme/sql@1.0.0",)
    assert blob_count(market) == 1


def blob_count(market: Market) -> int:
    """Return how many blobs there are."""
    return len(list(market.store.blobs))


def test_the_lease_of_a_dead_process_counts_no_more(market: Market) -> None:
    """A killed process, and a number given to another one, hold nothing."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    rows = [(child.pid, "12345", "x"), (os.getpid(), "another start", "y"), (os.getpid(), "", "z")]
    with market.connection() as connection:
        connection.executemany("INSERT INTO lease VALUES (?, ?, ?)", rows)
        assert leased(connection) == set()
        assert connection.execute("SELECT count(*) FROM lease").fetchone()[0] == 0


def test_start_times_tell_processes_apart() -> None:
    """A living process has one, a dead one has none."""
    assert start_time(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert start_time(child.pid) is None


def test_without_proc_a_living_process_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where start times are not to be had, its number has to do."""
    monkeypatch.setattr("expert.market.leases.Path", lambda text: tmp_path / "none")
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert start_time(os.getpid()) == ""
    assert start_time(child.pid) is None


def test_events_cannot_be_rewritten(market: Market) -> None:
    """What was done stays on record."""
    import sqlite3

    with market.connection() as connection:
        for statement in ("DELETE FROM event", "UPDATE event SET action = 'nothing'"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)
    assert labels(market) == {"acme/sql@1.0.0"}
