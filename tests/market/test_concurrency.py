"""Several processes at once: no error, no loss, no damage, even when some are killed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from expert.market.health import collect
from expert.market.sources.registry import refresh
from support.markets import Shop, damage

WORKER = """
import random, sys
from pathlib import Path
from expert.errors import NotFoundError, UsageError
from expert.market.health import collect, verify
from expert.market.install import install, update
from expert.market.plan import Options
from expert.market.remove import pin, rollback, uninstall, unpin
from expert.market.search import search
from support.markets import labels, make_market, yes

market = make_market(Path(sys.argv[1]))
source = random.Random(int(sys.argv[2]))
names = ["sql", "json", "regex", "shell"]

def list_all():
    assert all("@" in label for label in labels(market))

def check():
    with market.reading() as catalogue:
        packages = catalogue.installed()
    problems = verify(market, packages, deep=True)
    with market.reading() as catalogue:
        still = {package.label for package in catalogue.installed()}
    # A package may have been removed for good while it was read.
    assert not [problem for problem in problems if problem.package in still], problems

for number in range(int(sys.argv[3])):
    name = source.choice(names)
    version = source.choice(["", "@^1", "@1.0.0", "@2"])
    work = source.choice([
        lambda: install(market, [name + version], Options(), yes),
        lambda: install(market, [name + version], Options(), yes),
        lambda: update(market, [], Options(), yes),
        lambda: uninstall(market, [name]),
        lambda: rollback(market),
        lambda: collect(market, keep=source.randrange(3)),
        lambda: search(market, name),
        lambda: pin(market, name),
        lambda: unpin(market, name),
        list_all, list_all, check,
    ])
    try:
        work()
    except (NotFoundError, UsageError):
        pass  # Not installed, or needed by another one: right answers, not failures.
print("done", number + 1)
"""


@pytest.fixture(name="shop")
def stocked_shop(tmp_path: Path) -> Shop:
    """A market with four experts in several versions, one needing another."""
    shop = Shop(tmp_path)
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        for name in ("json", "regex", "shell"):
            shop.offer(name, version)
        shop.offer("sql", version, requires={"acme/json": "^1"})
    shop.install("sql", "json@2")
    refresh(shop.market, online=False)
    return shop


def start(shop: Shop, seed: int, count: int) -> subprocess.Popen[str]:
    """Start a process that does *count* things."""
    tests = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": tests}
    command = [sys.executable, "-c", WORKER, str(shop.folder), str(seed), str(count)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def check_end(shop: Shop) -> None:
    """Check that what is left is whole, and stays so after cleaning up."""
    assert damage(shop.market) == 0
    collect(shop.market, keep=0)
    assert damage(shop.market) == 0
    with shop.market.reading() as catalogue:
        needed = {d for p in catalogue.installed() for d in catalogue.files(p.id).values()}
        assert catalogue.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert catalogue.connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert set(shop.market.store.blobs) == needed
    assert list(shop.market.store.staging.iterdir()) == []


@pytest.mark.parametrize(
    ("processes", "count"), [(3, 10), pytest.param(8, 125, marks=pytest.mark.slow)]
)
def test_processes_do_not_disturb_each_other(shop: Shop, processes: int, count: int) -> None:
    """A thousand commands from eight processes, none of which fails."""
    running = [start(shop, seed, count) for seed in range(processes)]
    results = [process.communicate(timeout=300) for process in running]
    assert "".join(err for _, err in results) == ""
    assert [out for out, _ in results] == [f"done {count}\n"] * processes
    check_end(shop)


@pytest.mark.slow
def test_killed_processes_do_no_harm(shop: Shop) -> None:
    """Processes killed at random moments, beside two that go on."""
    going_on = [start(shop, seed, 40) for seed in (100, 101)]
    source = random.Random(7)
    for seed in range(12):
        victim = start(shop, seed, 1000)
        time.sleep(0.3 + source.random() / 2)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    for process in going_on:
        assert process.communicate(timeout=300) == ("done 40\n", "")
    check_end(shop)
