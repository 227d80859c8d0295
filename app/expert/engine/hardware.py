"""What this machine offers: cores, memory, and the devices the installed build can use."""

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from expert.engine.library import ggml_function, load

DeviceKind = Literal["cpu", "gpu", "igpu", "accelerator", "other"]
_SMALL = 40 << 20
# ggml_backend_dev_type of ggml-backend.h.
_KINDS: dict[int, DeviceKind] = {0: "cpu", 1: "gpu", 2: "igpu", 3: "accelerator"}


@dataclass(frozen=True, slots=True)
class Device:
    """A device that llama.cpp sees; memory in bytes."""

    name: str
    description: str
    kind: DeviceKind
    free: int
    total: int


@cache
def cores() -> int:
    """Return how many physical cores this process may use.

    More threads than cores slow llama.cpp down: its threads wait for each other after every
    operation, and two on one core share its arithmetic units.
    """
    allowed = _allowed_cpus()
    physical = {_core_of(cpu) for cpu in allowed}
    return max(1, min(len(physical), _quota() or len(physical)))


def threads_for(weights: int) -> int:
    """Return how many threads compute with a model of so many bytes.

    A small model's operations take microseconds, and threads wait for each other after every one.
    Beside other work pocket writes 660 tokens/s on one thread and 16 to 54 on two; on a quiet
    machine 1,600 and 1,300 (two cores, docs/adr/0005-threads.md).
    """
    return 1 if weights < _SMALL else cores()


def _allowed_cpus() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _core_of(cpu: int) -> str:
    siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        return siblings.read_text().strip()
    except OSError:
        return str(cpu)


def _quota() -> int | None:
    """Return the cores a container's CPU quota allows (Linux control groups, version 2)."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, int(limit) // int(period))
    except (OSError, ValueError):
        return None


def available_memory() -> int:
    """Return the bytes of memory this process can still take without swapping; 0 if unknown."""
    free = _system_memory()
    limit = _container_memory()
    return min(free, limit) if limit is not None else free


def _system_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if sys.platform == "win32":
        return 0
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError):
        return 0


def _container_memory() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
        return None if limit == "max" else max(0, int(limit) - used)
    except (OSError, ValueError):
        return None


def devices() -> list[Device]:
    """Return the devices llama.cpp was built for and finds here."""
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    count = ggml_function("ggml_backend_dev_count", ctypes.c_size_t)
    get = ggml_function("ggml_backend_dev_get", pointer, ctypes.c_size_t)
    name = ggml_function("ggml_backend_dev_name", text, pointer)
    description = ggml_function("ggml_backend_dev_description", text, pointer)
    kind = ggml_function("ggml_backend_dev_type", ctypes.c_int, pointer)
    size = ctypes.POINTER(ctypes.c_size_t)
    memory = ggml_function("ggml_backend_dev_memory", None, pointer, size, size)
    found = []
    for index in range(count()):
        handle = get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        memory(handle, ctypes.byref(free), ctypes.byref(total))
        found.append(
            Device(
                name(handle).decode(),
                description(handle).decode(),
                _KINDS.get(kind(handle), "other"),
                free.value,
                total.value,
            )
        )
    return found


def gpus() -> list[Device]:
    """Return the graphics devices that can hold model layers."""
    if not load().llama_supports_gpu_offload():
        return []
    return [device for device in devices() if device.kind in ("gpu", "igpu")]
