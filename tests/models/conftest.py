"""A hub to fetch from, and no waiting."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.hub import Hub, as_the_hub

QWEN = "Qwen/Qwen3-0.6B-GGUF"
FILE = "Qwen3-0.6B-Q8_0.gguf"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tiny_path: Path) -> Iterator[Hub]:
    """Return a running hub that has one model, which this process takes for the real one."""
    hub = Hub()
    hub.add(QWEN, {FILE: tiny_path.read_bytes(), "README.md": b"# A model\n"})
    hub.plain = ("README.md",)
    with as_the_hub(hub, monkeypatch):
        yield hub


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the waits that were asked for, none of which is waited."""
    asked: list[float] = []
    monkeypatch.setattr("expert.models.download.time.sleep", asked.append)
    return asked
