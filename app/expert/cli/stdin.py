"""Reading piped input: never from a terminal, never hanging without a word."""

import os
import stat
import sys
import threading

from expert.cli import messages
from expert.collecting import Deadline
from expert.errors import InputTooLongError, TimeLimitError, UsageError

LONGEST = 64 << 20
"""Most bytes read; no context holds a thousandth of them."""
_HINT_S = 2.0


def piped() -> bool:
    """Tell whether stdin is a pipe or a file, rather than a terminal or nothing."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # closed, or replaced by something unreal
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def read(deadline: Deadline, *, hint: bool) -> str:
    """Return all of stdin as text.

    With *hint*, say on stderr after two seconds what is being waited for.

    Raises:
        UsageError: the input is not UTF-8, or there is none to read.
        InputTooLongError: it is longer than any context.
        TimeLimitError: it did not end in time.
    """
    reader = _Reader()
    first = _HINT_S if deadline.left is None else min(_HINT_S, deadline.left)
    reader.join(first)
    if reader.is_alive() and hint and deadline.left != 0:
        messages.tell("still reading standard input; use --no-stdin or </dev/null if none is meant")
    reader.join(deadline.left)
    if reader.is_alive():
        raise TimeLimitError(
            "The time limit ran out while standard input was read.",
            "What is piped in has not ended.",
            "Use --no-stdin or </dev/null if none is meant.",
        )
    return _text(reader.result())


def _text(raw: bytes) -> str:
    if len(raw) > LONGEST:
        raise InputTooLongError(
            f"Standard input is longer than {LONGEST >> 20} MiB.",
            "No context holds that much.",
            "Pipe in a part of it, for example with `head`.",
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            "The piped input is not valid UTF-8.",
            f"Byte {error.start} (0x{raw[error.start]:02x}) begins no character.",
            "Convert it first, for example with `iconv -t utf-8`.",
        ) from error


class _Reader(threading.Thread):
    """Reads in a thread of its own, so that waiting can be cut short on every system."""

    def __init__(self) -> None:
        super().__init__(name="expert-stdin", daemon=True)
        self._parts: list[bytes] = []
        self._error: OSError | None = None
        self.start()

    def run(self) -> None:
        # Not through sys.stdin, whose lock a thread that still waits would hold at the end.
        total = 0
        try:
            while total <= LONGEST and (part := os.read(sys.stdin.fileno(), 1 << 20)):
                self._parts.append(part)
                total += len(part)
        except OSError as error:
            self._error = error

    def result(self) -> bytes:
        if self._error:
            raise UsageError(
                "Standard input cannot be read.",
                f"{self._error.strerror}.",
                "Give a file or a pipe, or use --no-stdin.",
            )
        return b"".join(self._parts)
