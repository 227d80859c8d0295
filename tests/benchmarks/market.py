"""Measures packages and the marketplace: medians, wall time and CPU time of what the limits are on.

    PYTHONPATH=tests python tests/benchmarks/market.py

Limits: pack and sign 20 MB 2 s, verify it 100 ms, install 150 MB/s with 100 MB of memory at most,
`expert list` of 300 experts 150 ms, a search of 10,000 experts 10 ms at the 95th percentile.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from expert.market.search import search
from expert.package.pack import pack
from expert.package.validate import validate
from expert_converters.gguf_types import GGMLType
from expert_converters.gguf_writer import NewTensor, write_gguf
from support.large_market import large_market, queries
from support.markets import Shop
from support.packages import KEY, draft, write_source

INSTALL = """
import re, sys, time
from pathlib import Path
from expert.market.install import install
from expert.market.market import user_market
from expert.market.plan import Options

market = user_market()
with market.catalogue():
    pass
start, cpu = time.perf_counter(), time.process_time()
install(market, [sys.argv[1]], Options(), lambda plan: True)
print(time.perf_counter() - start, time.process_time() - cpu)
# Unlike ru_maxrss, this does not begin with what the parent process had.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024)
"""


def adapter(folder: Path, megabytes: int) -> bytes:
    """Return a Q8_0 adapter of about this size with random weights."""
    columns = megabytes * 1_000_000 // (2 * 34) // 32 * 32
    shapes = {"lora_a": (columns, 32), "lora_b": (32, columns)}
    tensors = [
        NewTensor(f"blk.0.attn_q.weight.{name}", shape, GGMLType.Q8_0)
        for name, shape in shapes.items()
    ]
    draw = np.random.default_rng(0)
    blocks = [draw.integers(0, 256, tensor.nbytes, dtype=np.uint8) for tensor in tensors]
    metadata = {"general.architecture": "qwen3", "general.type": "adapter", "adapter.type": "lora"}
    with (folder / "adapter").open("wb") as file:
        write_gguf(file, {**metadata, "adapter.lora.alpha": 32.0}, tensors, blocks)
    return (folder / "adapter").read_bytes()


def timed(work: Callable[[], object], repeat: int = 5) -> str:
    """Return the median of wall and CPU time."""
    wall, cpu = [], []
    for _ in range(repeat):
        start, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    wall_ms, cpu_ms = (1000 * statistics.median(times) for times in (wall, cpu))
    return f"{wall_ms:8.1f} ms, {cpu_ms:.1f} ms of CPU"


def packages(root: Path) -> None:
    """Measure packing, verifying and installing."""
    for megabytes in (20, 100):
        source = write_source(
            root / f"source{megabytes}",
            draft(version=f"{megabytes}.0.0"),
            adapter=adapter(root, megabytes),
        )
        package = root / f"{megabytes}.expert"
        print(f"pack and sign {megabytes} MB", timed(lambda: pack(source, package, KEY)))  # noqa: B023  called at once
        print(f"verify {megabytes} MB", timed(lambda: validate(package)))  # noqa: B023  called at once
        install(root, package, package.stat().st_size)


def install(root: Path, package: Path, size: int) -> None:
    """Measure an install in a process and a home of its own, five times."""
    runs = []
    for number in range(5):
        home = {"EXPERT_HOME": str(root / f"{package.stem}-{number}")}
        command = [sys.executable, "-c", INSTALL, str(package)]
        done = subprocess.run(
            command, env={**os.environ, **home}, capture_output=True, text=True, check=True
        )
        runs.append([float(word) for word in done.stdout.split()])
    wall, cpu, memory = (statistics.median(column) for column in zip(*runs, strict=True))
    speed, effort = size / 1e6 / wall, size / 1e6 / cpu
    print(
        f"install {size / 1e6:.0f} MB: {speed:.0f} MB/s ({effort:.0f} MB/s of CPU), "
        f"peak {memory / 1e6:.0f} MB"
    )


def listing(root: Path) -> None:
    """Measure `expert list` with 300 experts."""
    shop = Shop(root)
    for number in range(300):
        shop.offer(f"side{number}")
    shop.install(*(f"side{number}" for number in range(300)))
    (root / "home").mkdir()
    (root / "data").rename(root / "home" / "data")
    environment = {**os.environ, "EXPERT_HOME": str(root / "home")}
    command = [str(Path(sys.executable).with_name("expert")), "list"]
    wall, cpu = [], []
    for _ in range(11):
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        _, process.returncode, used = os.wait4(process.pid, 0)
        wall.append(time.perf_counter() - start)
        cpu.append(used.ru_utime + used.ru_stime)
    print(
        f"list 300 experts: {1000 * statistics.median(wall):.0f} ms, "
        f"{1000 * statistics.median(cpu):.0f} ms of CPU"
    )


def searching(root: Path) -> None:
    """Measure searches of 10,000 experts."""
    market = large_market(root, 10_000)
    wall, cpu = [], []
    for query in queries(300):
        start, used = time.perf_counter(), time.process_time()
        search(market, query)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    for name, times in (("wall", sorted(wall)), ("CPU", sorted(cpu))):
        print(
            f"search 10,000 experts: p50 {1000 * times[150]:.1f} ms, "
            f"p95 {1000 * times[285]:.1f} ms of {name}"
        )


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for work in (packages, listing, searching):
            folder = root / work.__name__
            folder.mkdir()
            work(folder)


if __name__ == "__main__":
    main()
