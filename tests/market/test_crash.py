"""Killed at every step, with writes lost or not: the old state or the new one, and usable."""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from expert.market.health import collect
from expert.store.database import transaction
from expert.store.files import Files
from support.crash import CrashingFiles, Lost, run_until
from support.markets import damage, labels, make_market, store_packages
from support.packages import adapter_gguf, base, make_package

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

OLD = {"acme/sql@1.0.0", "acme/json@1.0.0"}


@pytest.fixture(name="template", scope="module")
def market_with_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market with two experts, one of them in a second generation, and rubbish for `gc`."""
    folder = tmp_path_factory.mktemp("template")
    second = base("other", file="second.gguf")
    second["identity"] = second["identity"] | {"norms": "9" * 64}
    make_package(folder, version="1.1.0", bases=[base(), second])
    shared = adapter_gguf("acme/sql@1.0.0adapter.gguf")
    make_package(folder, version="1.0.1", contents=shared)
    old, json = make_package(folder), make_package(folder, name="json")
    gone = make_package(folder, name="gone")
    market = make_market(folder)
    store_packages(market, [gone])
    store_packages(market, [old])
    store_packages(market, [old, json])
    return folder


def package(folder: Path, name: str, version: str) -> Path:
    """Return a package that the template holds."""
    return folder / f"acme-{name}-{version}.expert"


def install(folder: Path, files: Files) -> None:
    """Add a version with two files, beside what is there."""
    versions = [("sql", "1.1.0"), ("sql", "1.0.0"), ("json", "1.0.0")]
    paths = [package(folder, name, version) for name, version in versions]
    store_packages(make_market(folder, files), paths)


def replace(folder: Path, files: Files) -> None:
    """Replace a version by one with the same weights."""
    paths = [package(folder, "sql", "1.0.1"), package(folder, "json", "1.0.0")]
    store_packages(make_market(folder, files), paths)


def roll_back(folder: Path, files: Files) -> None:
    """Go back to the generation before."""
    market = make_market(folder, files)
    with market.catalogue() as catalogue, market.store.changing():
        active = catalogue.active()
        with transaction(catalogue.connection):
            catalogue.activate(active - 1)


def clean(folder: Path, files: Files) -> None:
    """Remove what nothing needs."""
    collect(make_market(folder, files), keep=0)


WORK: dict[str, tuple[Callable[[Path, Files], None], set[str]]] = {
    "install": (install, OLD | {"acme/sql@1.1.0"}),
    "replace": (replace, {"acme/sql@1.0.1", "acme/json@1.0.0"}),
    "roll back": (roll_back, {"acme/sql@1.0.0"}),
    "gc": (clean, OLD),
}


def outcomes(
    template: Path, folder: Path, name: str, lost: Lost, *, sync: bool = True
) -> dict[str, int]:
    """Run a piece of work again and again, dying one step later each time; count what is left."""
    work, new = WORK[name]
    counts = {"old": 0, "new": 0, "corrupt": 0, "unrecoverable": 0}
    for at in itertools.count(1):
        place = folder / str(at)
        shutil.copytree(template, place)
        disk = CrashingFiles(at, lost, sync=sync)
        ended = run_until(disk, lambda files, place=place: work(place, files))  # type: ignore[misc]  # bound now
        market = make_market(place)
        found = labels(market)
        if damage(market):
            counts["corrupt"] += 1
        elif found == OLD and not (ended and new != OLD):
            counts["old"] += 1
        else:
            assert found == new
            counts["new"] += 1
        if name != "roll back" or found == OLD:
            work(place, Files())
        collect(market, keep=0)
        if damage(market) or labels(market) != new or list(market.store.staging.iterdir()):
            counts["unrecoverable"] += 1
        shutil.rmtree(place)
        if ended:
            return counts
    raise AssertionError


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["nothing", "contents", "names"])
@pytest.mark.parametrize("name", WORK)
def test_a_crash_at_any_step_leaves_a_whole_state(
    template: Path, tmp_path: Path, name: str, lost: Lost
) -> None:
    """No state is corrupt, and the same command then succeeds."""
    counts = outcomes(template, tmp_path, name, lost)
    assert (counts["corrupt"], counts["unrecoverable"]) == (0, 0)
    assert counts["old"] + counts["new"] >= 5
    assert name == "gc" or counts["new"] > 0


@pytest.mark.slow
def test_without_synchronising_the_same_test_fails(template: Path, tmp_path: Path) -> None:
    """The control: a store that never waits for the disk is caught."""
    counts = outcomes(template, tmp_path, "install", "contents", sync=False)
    assert counts["corrupt"] > 0


def test_one_crash_before_the_commit_leaves_the_old_state(template: Path, tmp_path: Path) -> None:
    """The quick version: die at the seventh step of an install."""
    shutil.copytree(template, tmp_path / "m")
    assert not run_until(CrashingFiles(7, "contents"), lambda f: install(tmp_path / "m", f))
    market = make_market(tmp_path / "m")
    assert labels(market) == OLD
    assert damage(market) == 0
    install(tmp_path / "m", Files())
    assert labels(market) == OLD | {"acme/sql@1.1.0"}
