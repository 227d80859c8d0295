"""Runs the real `expert` program, in pipes or in a terminal of its own."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAM = (sys.executable, "-m", "expert")


@dataclass(frozen=True)
class Outcome:
    """What a program wrote and how it ended."""

    code: int
    out: bytes
    err: bytes = b""

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def message(self) -> str:
        return self.err.decode()


def expert(
    *arguments: str | Path, stdin: bytes | None = b"", timeout: float = 60, **environment: str
) -> Outcome:
    """Run `expert ARGUMENTS` with *stdin* piped in (None: nothing there at all)."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=timeout,
        env={**os.environ, **environment},
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def start(*arguments: str | Path, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    """Start `expert ARGUMENTS` with both outputs piped, to be talked to."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_hear_interrupts,
    )


def _hear_interrupts() -> None:
    """Undo what a test run in the background inherits: there, shells ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def in_terminal(arguments: Sequence[str | Path], timeout: float = 60) -> Outcome:
    """Run `expert ARGUMENTS` in a pseudo-terminal; stdout and stderr come together."""
    pid, screen = pty.fork()
    if pid == 0:  # the child becomes the program
        os.execv(sys.executable, [*PROGRAM, *map(str, arguments)])
    out = b""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if select.select([screen], [], [], 0.1)[0]:
            try:
                part = os.read(screen, 65536)
            except OSError:  # Linux ends a terminal so
                break
            if not part:
                break
            out += part
    os.close(screen)
    return Outcome(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out)
