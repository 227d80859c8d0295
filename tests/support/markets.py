"""Markets in a temporary folder, and the simplest changes to them."""

from collections.abc import Sequence
from pathlib import Path

from expert.market.commit import Addition, Change, commit
from expert.market.health import verify
from expert.market.market import Market
from expert.market.records import Member
from expert.package.container import inspect
from expert.store.files import Files
from expert.store.store import Store


def make_market(folder: Path, files: Files | None = None, shipped: Path | None = None) -> Market:
    """Return a market of its own, with no shipped experts unless a folder of them is given."""
    return Market(Store(folder / "data", files or Files()), folder / "cache", shipped)


def additions(packages: Sequence[Path]) -> Change:
    """Return the change that makes exactly *packages* active."""
    ids = [inspect(path).id for path in packages]
    return Change(
        reason="test",
        members=tuple(Member(id_, True, True) for id_ in ids),
        edges=(),
        additions=tuple(
            Addition(path, id_, "signed", "test") for path, id_ in zip(packages, ids, strict=True)
        ),
    )


def store_packages(market: Market, packages: Sequence[Path]) -> int | None:
    """Make exactly *packages* active."""
    with market.catalogue() as catalogue:
        based_on = catalogue.active()
    return commit(market, additions(packages), based_on)


def labels(market: Market) -> set[str]:
    """Return what is active."""
    with market.catalogue() as catalogue:
        return {package.label for package in catalogue.installed()}


def damage(market: Market) -> int:
    """Count what is wrong with active packages, reading every byte."""
    with market.catalogue() as catalogue:
        packages = catalogue.installed()
    return len(verify(market, packages, deep=True))
