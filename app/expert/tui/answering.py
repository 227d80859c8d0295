"""One answer on its way from a thread of its own to the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

from expert.tui.backend import Answering
from expert.types import Event

_END = object()


async def events_of(answering: Answering) -> AsyncIterator[Event]:
    """Yield what happens to an answer, which is read by a thread.

    Raises:
        ExpertError: whatever kept the answer from being whole.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[object] = asyncio.Queue()

    def put(event: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: the program was left meanwhile
            loop.call_soon_threadsafe(queue.put_nowait, event)

    def read() -> None:
        try:
            for event in answering:
                put(event)
        except BaseException as error:  # belongs to whoever shows the answer
            put(error)
        put(_END)

    threading.Thread(target=read, name="expert-answer", daemon=True).start()
    while (event := await queue.get()) is not _END:
        if isinstance(event, BaseException):
            raise event
        yield event  # type: ignore[misc]  # only events are left
