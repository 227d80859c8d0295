"""Messages beside the answer: on stderr, harmless on a screen, and never a reason to fail."""

import os
import sys
from contextlib import suppress

from expert.screen import screen_text

_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


def tell(text: str) -> None:
    """Write a line for the user, with the program's name before it."""
    say(f"expert: {text}\n")


def say(text: str) -> None:
    """Write to stderr at once; a screen gets no character it could obey."""
    _write(screen_text(text) if on_screen() else text)


def dim(text: str) -> None:
    """Write to stderr what matters less: reasoning, hints."""
    shown = screen_text(text) if on_screen() else text
    _write(f"{_DIM}{shown}{_PLAIN}" if coloured() else shown)


def bold(text: str) -> str:
    """Return harmless *text*, to stand out where colours are wanted."""
    return f"{_BOLD}{screen_text(text)}{_PLAIN}" if coloured() else screen_text(text)


def on_screen() -> bool:
    """Tell whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def coloured() -> bool:
    """Tell whether stderr may be styled (https://no-color.org; CLICOLOR_FORCE as elsewhere)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE")) or on_screen()


def _write(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # closed, full, or its reader went away
        with suppress(AttributeError, OSError, ValueError):
            # What is left in its buffer must not spoil the exit code.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
