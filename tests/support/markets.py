"""Markets in a temporary folder, and the simplest changes to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expert.market.commit import Addition, Change, commit
from expert.market.health import verify
from expert.market.install import Confirm, Done, install, update
from expert.market.market import Market
from expert.market.plan import Options, Plan
from expert.market.records import Member
from expert.market.sources.registry import add_source
from expert.package.container import inspect
from expert.store.files import Files
from expert.store.store import Store
from support.packages import make_package


def make_market(folder: Path, files: Files | None = None, shipped: Path | None = None) -> Market:
    """Return a market of its own, with no shipped experts unless a folder of them is given."""
    find = None if shipped is None else lambda: shipped
    return Market(Store(folder / "data", files or Files()), folder / "cache", find)


def additions(packages: Sequence[Path]) -> Change:
    """Return the change that makes exactly *packages* active."""
    found = [(path, inspect(path)) for path in packages]
    return Change(
        reason="test",
        members=tuple(Member(one.id, True, True) for _, one in found),
        edges=(),
        additions=tuple(
            Addition(path, one.id, one.signer, "signed", "test") for path, one in found
        ),
    )


def store_packages(market: Market, packages: Sequence[Path]) -> int | None:
    """Make exactly *packages* active."""
    with market.reading() as catalogue:
        based_on = catalogue.active()
    return commit(market, additions(packages), based_on)


def labels(market: Market) -> set[str]:
    """Return what is active."""
    with market.reading() as catalogue:
        return {package.label for package in catalogue.installed()}


def damage(market: Market) -> int:
    """Count what is wrong with active packages, reading every byte."""
    with market.reading() as catalogue:
        packages = catalogue.installed()
    return len(verify(market, packages, deep=True))


def yes(_: Plan) -> bool:
    """Agree to everything."""
    return True


def install_for(market: Market, folder: Path, adapter: bytes | None, **manifest: Any) -> None:
    """Pack, sign and install an expert whose adapter has these bytes, or any."""
    package = make_package(folder / "packages", contents=adapter, **manifest)
    install(market, [str(package)], Options(), yes)


@dataclass
class Shop:
    """A market with one folder source, and short ways to use both."""

    folder: Path
    market: Market = field(init=False)
    shelf: Path = field(init=False)
    """The source's folder."""

    def __post_init__(self) -> None:
        self.market = make_market(self.folder)
        self.shelf = self.folder / "shelf"
        self.shelf.mkdir(parents=True)
        add_source(self.market, "shelf", str(self.shelf))

    def offer(self, name: str = "sql", version: str = "1.0.0", **changes: Any) -> Path:
        """Put a package on the shelf."""
        return make_package(self.shelf, name=name, version=version, **changes)

    def install(self, *requests: str, confirm: Confirm = yes, **options: Any) -> Done:
        """Install, agreeing to everything unless told otherwise."""
        return install(self.market, requests, Options(**options), confirm)

    def update(self, *names: str, confirm: Confirm = yes, **options: Any) -> Done:
        """Update, agreeing to everything unless told otherwise."""
        from expert.market.sources.registry import refresh

        refresh(self.market, online=True)
        return update(self.market, names, Options(**options), confirm)

    def labels(self) -> set[str]:
        """Return what is active."""
        return labels(self.market)
