"""What journeys share: experts to go with, a network that is cut, and a terminal."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.conftest import minilm as minilm
from router.conftest import minilm_checkpoint as minilm_checkpoint
from support.journeys import Market
from support.terminal import TMUX, Opened, Terminal, network_cut


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for each other take for ever on a busy machine."""
    monkeypatch.setenv("EXPERT_THREADS", "1")


@pytest.fixture
def market(tmp_path: Path, pocket: Path) -> Market:
    """Return the market of this home: the shipped experts, and a shelf."""
    found = Market(tmp_path / "market")
    found.open()
    return found


@pytest.fixture(name="cut", scope="session")
def without_network() -> tuple[str, ...]:
    """Return what runs a command without a network."""
    found = network_cut()
    if found is None:
        pytest.skip("this system cuts no network: it has neither unshare nor seccomp")
    return found


@pytest.fixture
def terminal(tmp_path: Path, cut: tuple[str, ...]) -> Iterator[Terminal]:
    """Return a terminal without a network, in an empty folder."""
    if TMUX is None:
        pytest.skip("needs tmux, a terminal to look at")
    folder = tmp_path / "work"
    folder.mkdir()
    yield from Opened(folder, cut).terminal(dict(os.environ))
