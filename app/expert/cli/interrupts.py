"""Ctrl-C while an answer is written: it ends the answer, not whatever is being done just then."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from expert.collecting import Asked

_AGAIN = 0.02  # seconds until a signal that came at a bad moment comes again


@contextmanager
def ending(asked: Asked) -> Iterator[None]:
    """Let the first Ctrl-C end *asked* once its text has begun, so that it still comes whole.

    Before that, and the second time, it is a `KeyboardInterrupt` as everywhere else.
    """
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler:  # whoever started this wants it ignored
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        if _is_calling_back(frame):
            threading.Timer(_AGAIN, _send, (number,)).start()
            return
        signal.signal(signal.SIGINT, usual)
        asked.stop()  # first: an exception is lost where Python happens to tidy up
        if not asked.begun:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _send(number: int) -> None:
    """Send a signal to the main thread, so that it wakes from whatever it waits for."""
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def _is_calling_back(frame: FrameType | None) -> bool:
    """Tell whether llama.cpp is just writing its log, which would swallow the interrupt."""
    library = sys.modules.get("expert.engine.library")
    return library is not None and bool(library.is_calling_back(frame))
