"""Reading piped input: never from a terminal, never hanging without a word."""

import os
import stat
import sys
import threading

from expert.errors import UsageError

_HINT_S = 2.0


def piped() -> bool:
    """Tell whether stdin is a pipe or a file, rather than a terminal or nothing."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # closed, or replaced by something unreal
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def read(*, hint: bool) -> str:
    """Return all of stdin as text.

    With *hint*, say on stderr after two seconds what is being waited for.

    Raises:
        UsageError: the input is not UTF-8.
    """
    timer = threading.Timer(_HINT_S, _tell_waiting)
    timer.daemon = True
    if hint:
        timer.start()
    try:
        raw = sys.stdin.buffer.read()
    finally:
        timer.cancel()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            "The piped input is not valid UTF-8.",
            f"Byte {error.start} (0x{raw[error.start]:02x}) begins no character.",
            "Convert it first, for example with `iconv -t utf-8`.",
        ) from error


def _tell_waiting() -> None:
    print(
        "expert: still reading standard input; use --no-stdin or </dev/null if none is meant",
        file=sys.stderr,
        flush=True,
    )
