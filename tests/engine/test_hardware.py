"""What the machine offers, beside what the system itself says."""

import os

import pytest

from expert.engine import hardware
from expert.engine.model import Model
from expert.engine.options import LoadOptions
from expert.errors import ResourceError


def test_cores_stay_within_what_the_process_may_use() -> None:
    """There is at least one, and never more than the affinity mask."""
    assert 1 <= hardware.cores() <= len(os.sched_getaffinity(0))


def test_two_threads_of_a_core_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With hyper-threading, physical cores are counted."""
    monkeypatch.setattr(hardware, "_allowed_cpus", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(hardware, "_core_of", lambda cpu: f"{cpu % 2}")
    monkeypatch.setattr(hardware, "_quota", lambda: None)
    assert hardware.cores.__wrapped__() == 2


def test_a_container_quota_limits_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota of one CPU leaves one thread."""
    monkeypatch.setattr(hardware, "_quota", lambda: 1)
    assert hardware.cores.__wrapped__() == 1


def test_a_small_model_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for each other cost a small model more than they give."""
    monkeypatch.setattr(hardware, "cores", lambda: 6)
    assert [hardware.threads_for(size) for size in (9_000_000, 400_000_000)] == [1, 6]


def test_available_memory_is_plausible() -> None:
    """It is more than nothing and not more than the machine has."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < hardware.available_memory() <= pages


def test_a_container_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A control group's limit beats the system's free memory."""
    monkeypatch.setattr(hardware, "_container_memory", lambda: 123)
    assert hardware.available_memory() == 123


def test_the_cpu_is_a_device() -> None:
    """Every build has at least the CPU."""
    assert "cpu" in {device.kind for device in hardware.devices()}


def test_asking_for_a_gpu_that_is_not_there_is_an_error(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers asked for a device never fall back to the CPU in silence."""
    monkeypatch.setattr("expert.engine.model.gpus", list)
    with pytest.raises(ResourceError, match="graphics device"):
        Model(tiny.path, LoadOptions(gpu_layers=10))
