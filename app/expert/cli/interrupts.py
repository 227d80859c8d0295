"""Ctrl-C while an answer is written: it ends the answer, not whatever is being done just then."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from expert.collecting import Asked


@contextmanager
def ending(asked: Asked) -> Iterator[None]:
    """Let the first Ctrl-C end *asked* once its text has begun, so that it still comes whole.

    Before that, and the second time, it is a `KeyboardInterrupt` as everywhere else.
    """
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler:  # whoever started this wants it ignored
        yield
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGINT, usual)
        if not asked.begun:
            raise KeyboardInterrupt
        asked.stop()

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
