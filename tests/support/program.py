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
    *arguments: str | Path, stdin: bytes | None = b"", timeout: float = 180, **environment: str
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
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def in_terminal(
    arguments: Sequence[str | Path],
    timeout: float = 180,
    typed: Sequence[tuple[bytes, bytes]] = (),
    **environment: str,
) -> Outcome:
    """Run `expert ARGUMENTS` in a pseudo-terminal; stdout and stderr come together.

    *typed* are pairs: once the first has appeared, the second is typed.
    """
    command = [*PROGRAM, *map(str, arguments)]
    return run_in_terminal(command, timeout, typed, **environment)


def run_in_terminal(
    command: Sequence[str],
    timeout: float = 180,
    typed: Sequence[tuple[bytes, bytes]] = (),
    **environment: str,
) -> Outcome:
    """Run any command as `in_terminal` does."""
    pid, screen = pty.fork()
    if pid == 0:  # the child becomes the program
        _hear_interrupts()
        os.execvpe(command[0], list(command), {**os.environ, **environment})
    out, waiting, seen = b"", list(typed), 0
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
        if waiting and (place := out.find(waiting[0][0], seen)) >= 0:
            seen = place + len(waiting[0][0])
            # CPython loses a Ctrl-C between writing a prompt and reading; no person is so quick.
            time.sleep(0.2)
            os.write(screen, waiting.pop(0)[1])
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(screen)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert not waiting, f"never saw {waiting[0][0]!r} in {out!r}"
    return Outcome(code, out)
