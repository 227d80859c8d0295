"""Measures the CPU time of commands that people wait for: median of 11 runs each.

    python tests/benchmarks/startup.py [MODEL.gguf]

Limits: `expert version` 60 ms, `expert ask --help` 80 ms. Beside them, `python -c pass`.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def cpu_ms(command: Sequence[str]) -> float:
    """Return the median CPU time of a command in milliseconds, user and system."""
    times = []
    for _ in range(11):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0  # it was waited for above
        times.append(1000 * (used.ru_utime + used.ru_stime))
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    program = str(Path(sys.executable).with_name("expert"))
    rows = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "expert version": [program, "version"],
        "expert --help": [program, "--help"],
        "expert ask --help": [program, "ask", "--help"],
    }
    if len(sys.argv) > 1:
        rows["expert ask, 1 token"] = [
            program, "ask", "-m", sys.argv[1], "--max-tokens", "1", "Hello"
        ]  # fmt: skip
    for name, command in rows.items():
        print(f"{name:<22}{cpu_ms(command):7.0f} ms")


if __name__ == "__main__":
    main()
