"""Lock files that contradict the packages they list: refused, and nothing is changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest

from expert.errors import VerificationError
from expert.market.lockfile import install_lock, write_lock
from expert.market.plan import Options
from expert.market.remove import uninstall
from support.markets import Shop, damage, yes

Lock: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Lock, dict[str, Lock]], None]


@pytest.fixture(name="shop")
def shop_with_tools(tmp_path: Path) -> Shop:
    """An expert, what it needs in two versions, and one beside them."""
    shop = Shop(tmp_path)
    shop.offer("json", "1.0.0")
    shop.offer("json", "2.0.0")
    shop.offer("other")
    shop.offer("tools", requires={"acme/json": "^1"})
    shop.install("tools", "other", "json@2.0.0")
    return shop


def lock_of(shop: Shop) -> tuple[Lock, dict[str, Lock]]:
    """Return the lock file as plain values, and its experts by label."""
    lock: Lock = msgspec.json.decode(write_lock(shop.market))
    return lock, {f"{one['name'][5:]}@{one['version']}": one for one in lock["experts"]}


def needs(of: str, name: str, target: str) -> Change:
    """Return a change that lets a package need another one under a name."""
    return lambda lock, experts: experts[of]["needs"].update({name: experts[target]["id"]})


def drop_json(lock: Lock, experts: dict[str, Lock]) -> None:
    """Leave out what is needed, and that it is."""
    experts["tools@1.0.0"]["needs"] = {}
    lock["experts"].remove(experts["json@1.0.0"])


NONSENSE: dict[str, Change] = {
    "a requirement is left out": drop_json,
    "it is answered by another expert": needs("tools@1.0.0", "acme/json", "other@1.0.0"),
    "it is answered by itself": needs("tools@1.0.0", "acme/json", "tools@1.0.0"),
    "its version is out of the range": needs("tools@1.0.0", "acme/json", "json@2.0.0"),
    "what needs nothing needs something": needs("other@1.0.0", "acme/tools", "tools@1.0.0"),
    "there is another version": lambda lock, by: by["other@1.0.0"].update(version="1.0.1"),
    "a name means nothing": lambda lock, by: by["other@1.0.0"].update(selected=False),
    "a name means two": lambda lock, by: by["json@1.0.0"].update(selected=True),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_a_lock_file_that_contradicts_its_packages(shop: Shop, what: str) -> None:
    """The error says so; what is installed stays."""
    lock, experts = lock_of(shop)
    uninstall(shop.market, ["other"])
    before = write_lock(shop.market)
    NONSENSE[what](lock, experts)
    with pytest.raises(VerificationError, match="not a lock file"):
        install_lock(shop.market, msgspec.json.encode(lock), Options(), yes)
    assert write_lock(shop.market) == before


def test_the_same_without_a_contradiction(shop: Shop) -> None:
    """Two versions side by side, one of them only needed: there and back, and nothing is lost."""
    data = write_lock(shop.market)
    uninstall(shop.market, ["other", "tools"])
    assert shop.labels() == {"acme/json@2.0.0"}
    install_lock(shop.market, data, Options(), yes)
    assert write_lock(shop.market) == data
    assert damage(shop.market) == 0


def test_an_empty_lock_file_takes_all_away(shop: Shop) -> None:
    """It lists nothing, and that is what is active then."""
    install_lock(shop.market, b'{"schema":1,"experts":[]}', Options(), yes)
    assert shop.labels() == set()
