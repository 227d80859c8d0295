"""What people wait for: CPU time before anything happens, as medians of a few runs."""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

BEFORE_LOADING = """
import os, sys, time
from expert.cli import main
from expert import loading

def began(self):
    print(time.process_time(), flush=True)
    os._exit(0)

loading.Loading._load = began
main(["ask", "-m", sys.argv[1], "-c", "-f", sys.argv[1], "Hello"])
"""


def cpu_ms(command: Sequence[str], runs: int = 5) -> float:
    """Return the CPU time of a command in milliseconds, user and system."""
    times = []
    for _ in range(runs):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0  # it was waited for above
        times.append(1000 * (used.ru_utime + used.ru_stime))
    return statistics.median(times)


@pytest.mark.slow
def test_the_version_costs_hardly_more_than_python() -> None:
    """At most 60 ms; where Python itself is slow today, at most three times as much as it."""
    python = cpu_ms([sys.executable, "-c", "pass"])
    program = str(Path(sys.executable).with_name("expert"))
    assert cpu_ms([program, "version"]) < max(60, 3 * python)


@pytest.mark.slow
def test_loading_begins_at_once(tiny_path: Path) -> None:
    """At most 200 ms of CPU pass until the model begins to load, imports and Python included."""
    python = cpu_ms([sys.executable, "-c", "pass"])
    times = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", BEFORE_LOADING, str(tiny_path)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        )  # fmt: skip
        times.append(1000 * float(done.stdout.split()[0]))
    assert statistics.median(times) < max(200, 10 * python)


def test_what_is_read_is_read_while_it_loads(tiny_path: Path) -> None:
    """Standard input, files, history and the router come after loading has begun."""
    code = (
        "import sys\n"
        "from expert import loading\n"
        "from expert.cli import main\n"
        "late = ('sqlite3', 'expert.router.router', 'jinja2', 'numpy', 'expert.history.history')\n"
        "real = loading.Loading.__init__\n"
        "def begin(self, *arguments):\n"
        "    print('early', [n for n in late if n in sys.modules], file=sys.stderr)\n"
        "    real(self, *arguments)\n"
        "loading.Loading.__init__ = begin\n"
        f"sys.exit(main(['ask', '-m', {str(tiny_path)!r}, '-q', '--max-tokens', '2', 'Hi']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 0
    assert done.stderr == b"early []\n"
