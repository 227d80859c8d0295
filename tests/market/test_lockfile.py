"""Lock files: the same packages elsewhere, or a clear refusal."""

from pathlib import Path

import msgspec
import pytest

from expert.errors import ExpertError, NotFoundError, VerificationError
from expert.market.lockfile import install_lock, write_lock
from expert.market.plan import Options
from support.markets import Shop, damage, yes


@pytest.fixture(name="shop")
def shop_with_tools(tmp_path: Path) -> Shop:
    """A market with an expert and what it needs, in versions that are not the newest."""
    shop = Shop(tmp_path / "one")
    shop.offer("json", "1.0.0")
    shop.offer("tools", requires={"acme/json": "^1"})
    shop.install("tools")
    shop.offer("json", "1.1.0")
    return shop


def other(shop: Shop, folder: Path) -> Shop:
    """Return another user's market with the same source."""
    made = Shop(folder)
    made.shelf.rmdir()
    made.shelf.symlink_to(shop.shelf)
    return made


def test_a_lock_file_gives_the_same_packages(shop: Shop, tmp_path: Path) -> None:
    """Versions, choices and flags, and nothing else stays."""
    data = write_lock(shop.market)
    second = other(shop, tmp_path / "two")
    second.offer("extra")
    second.install("extra")
    done = install_lock(second.market, data, Options(), yes)
    assert [package.label for package in done.plan.removals] == ["acme/extra@1.0.0"]
    assert second.labels() == {"acme/tools@1.0.0", "acme/json@1.0.0"}
    assert write_lock(second.market) == data
    assert damage(second.market) == 0
    assert install_lock(second.market, data, Options(), yes).generation is None


def test_a_package_that_no_source_has_is_named(shop: Shop, tmp_path: Path) -> None:
    """Nothing is installed then."""
    data = write_lock(shop.market)
    second = Shop(tmp_path / "two")
    with pytest.raises(NotFoundError, match="acme/"):
        install_lock(second.market, data, Options(), yes)
    assert second.labels() == set()


def test_conflicts_in_a_lock_file_are_refused(tmp_path: Path) -> None:
    """Whoever wrote them there."""
    shop = Shop(tmp_path)
    shop.offer("poet", conflicts={"acme/legal": "*"})
    shop.offer("legal")
    shop.install("poet")
    lock = msgspec.json.decode(write_lock(shop.market))
    second = Shop(tmp_path / "two")
    second.offer("legal")
    second.install("legal")
    lock["experts"] += msgspec.json.decode(write_lock(second.market))["experts"]
    with pytest.raises(ExpertError, match="lock file lists"):
        install_lock(shop.market, msgspec.json.encode(lock), Options(), yes)


@pytest.mark.parametrize(
    "change",
    [
        lambda lock: [],
        lambda lock: lock | {"schema": 2},
        lambda lock: lock | {"experts": lock["experts"] * 2},
        lambda lock: lock | {"experts": lock["experts"][1:]},
        lambda lock: lock | {"experts": [{"name": "x"}]},
        lambda lock: lock | {"more": 1},
    ],
)
def test_what_is_no_lock_file_is_refused(shop: Shop, change: object) -> None:
    """Other schemas, doubles, and answers that are not listed."""
    assert callable(change)
    lock = msgspec.json.decode(write_lock(shop.market))
    lock["experts"].sort(key=lambda expert: expert["name"])
    with pytest.raises(VerificationError, match="not a lock file"):
        install_lock(shop.market, msgspec.json.encode(change(lock)), Options(), yes)
    with pytest.raises(VerificationError, match="not a lock file"):
        install_lock(shop.market, b"[" * 5000, Options(), yes)
