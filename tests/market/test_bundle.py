"""Bundles: all that is needed on a machine with no network, whole or not at all."""

import random
from pathlib import Path

import pytest

from expert.errors import ExpertError, NotFoundError, UsageError, VerificationError
from expert.market.bundle import create_bundle, install_bundle
from expert.market.bundle_file import unpack_bundle
from expert.market.plan import Options
from expert.market.sources.registry import refresh
from expert.market.trusting import trusted_keys
from expert.package.container import inspect
from expert.package.keys import PrivateKey
from expert.package.trust import rotation
from support.markets import Shop, damage, labels, make_market, yes
from support.packages import KEY

NEW = PrivateKey(b"n" * 32)


@pytest.fixture(name="shop")
def shop_with_tools(tmp_path: Path) -> Shop:
    """A market with an expert and what it needs, and a file that stands for a base model."""
    shop = Shop(tmp_path / "online")
    shop.offer("json", documents=["README.md"])
    shop.offer("tools", requires={"acme/json": "^1"})
    shop.install("tools")
    (tmp_path / "base.gguf").write_bytes(random.Random(1).randbytes(3_000_000))
    return shop


def made(shop: Shop, tmp_path: Path) -> Path:
    """Return a bundle of everything."""
    create_bundle(shop.market, tmp_path / "all.bundle", ["tools"], [tmp_path / "base.gguf"])
    return tmp_path / "all.bundle"


def test_a_bundle_installs_without_sources(shop: Shop, tmp_path: Path) -> None:
    """Experts with what they need, base models, and only after a yes to the key."""
    bundle = made(shop, tmp_path)
    market, models = make_market(tmp_path / "offline"), tmp_path / "models"
    said_no = install_bundle(market, bundle, models, Options(), lambda plan: False)
    assert (said_no.bases, labels(market), models.exists()) == ((), set(), False)
    done = install_bundle(market, bundle, models, Options(), yes)
    assert labels(market) == {"acme/tools@1.0.0", "acme/json@1.0.0"}
    assert damage(market) == 0
    (base,) = done.bases
    assert base.read_bytes() == (tmp_path / "base.gguf").read_bytes()
    with market.reading() as catalogue:
        asked = [package.name for package in catalogue.installed() if package.requested]
    assert asked == ["tools"]
    again = install_bundle(market, bundle, models, Options(), yes)
    assert again.done.generation is None
    assert list(market.cache.iterdir()) == []


def test_packages_in_a_bundle_are_the_original_ones(shop: Shop, tmp_path: Path) -> None:
    """Rebuilt from the store, byte for byte."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    unpack_bundle(made(shop, tmp_path), folder, None)
    for path in (folder / "packages").iterdir():
        assert path.read_bytes() == (shop.shelf / path.name).read_bytes()
        assert inspect(path).signer == KEY.public


def test_rotations_travel_along(shop: Shop, tmp_path: Path) -> None:
    """A machine that trusts the old key follows to the new one."""
    market = make_market(tmp_path / "offline")
    install_bundle(market, made(shop, tmp_path), tmp_path / "models", Options(), yes)
    (shop.shelf / "acme.trust.json").write_bytes(rotation("acme", KEY, NEW.public))
    (shop.shelf / "junk.trust.json").write_bytes(b"junk")
    shop.offer("tools", "1.1.0", key=NEW)
    refresh(shop.market, online=False)
    shop.update("tools")
    create_bundle(shop.market, tmp_path / "new.bundle", ["tools"], [])
    done = install_bundle(market, tmp_path / "new.bundle", tmp_path / "models", Options(), yes)
    assert done.done.plan.new_publishers == {}
    assert "acme/tools@1.1.0" in labels(market)
    active = [e.key for e in trusted_keys(market) if (e.publisher, e.state) == ("acme", "active")]
    assert active == [NEW.public]


def test_another_model_of_that_name_is_not_overwritten(shop: Shop, tmp_path: Path) -> None:
    """Before anything is installed."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "base.gguf").write_bytes(b"mine")
    market = make_market(tmp_path / "offline")
    with pytest.raises(UsageError, match="another base model"):
        install_bundle(market, made(shop, tmp_path), models, Options(), yes)
    assert (models / "base.gguf").read_bytes() == b"mine"
    assert labels(market) == set()


def test_unusable_contents_are_refused(shop: Shop, tmp_path: Path) -> None:
    """Experts that are not installed, files with names that are unsafe elsewhere."""
    with pytest.raises(NotFoundError):
        create_bundle(shop.market, tmp_path / "b", ["nothing"], [])
    (tmp_path / "con.gguf").write_bytes(b"x")
    with pytest.raises(UsageError, match="device"):
        create_bundle(shop.market, tmp_path / "b", [], [tmp_path / "con.gguf"])
    assert not (tmp_path / "b").exists()
    (digest, *_) = shop.market.store.blobs
    path = shop.market.store.blobs.path(digest)
    path.chmod(0o644)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(VerificationError, match="damaged"):
        create_bundle(shop.market, tmp_path / "b", ["tools"], [])


def test_damaged_bundles_install_nothing(shop: Shop, tmp_path: Path) -> None:
    """Truncated, extended and flipped ones are refused, and nothing is left behind."""
    create_bundle(shop.market, tmp_path / "b", ["tools"], [])
    data = (tmp_path / "b").read_bytes()
    market = make_market(tmp_path / "offline")
    source = random.Random(3)
    cases = [data[: source.randrange(len(data))] for _ in range(30)] + [data + b"\0", b"", b"x" * 9]
    for _ in range(100):
        flipped = bytearray(data)
        flipped[source.randrange(len(data))] ^= 1 << source.randrange(8)
        cases.append(bytes(flipped))
    for case in cases:
        (tmp_path / "bad").write_bytes(case)
        try:
            install_bundle(market, tmp_path / "bad", tmp_path / "models", Options(), yes)
        except ExpertError:
            assert labels(market) == set()
            continue
        # The index is not signed: a flag or a statement in it may differ.
        assert damage(market) == 0
        market = make_market(tmp_path / str(source.random()))
    assert list(market.cache.iterdir()) == []
