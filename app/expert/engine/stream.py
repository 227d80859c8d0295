"""The output of one job, passed from the engine's thread to whoever asked."""

import queue
from collections.abc import Callable, Iterator

from expert.engine.generation import Finished, Output
from expert.types import Finish


class Stream:
    """The output of one job, as it is generated; cancel it to stop early."""

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._outputs: queue.SimpleQueue[Output | BaseException] = queue.SimpleQueue()
        self.cut: Finish | None = None
        """Why it was asked to end, if it was."""

    def cancel(self, finish: Finish = "cancelled") -> None:
        """Ask the engine to end this job at the next operation; `Finished` still follows."""
        self.cut = finish
        self._interrupt()

    def put(self, output: Output | BaseException) -> None:
        """Hand over an output, or the error that ended the job."""
        self._outputs.put(output)

    def next(self, timeout: float | None = None) -> Output:
        """Return the next output.

        Raises:
            queue.Empty: nothing came within *timeout* seconds.
            ExpertError: the job failed.
        """
        output = self._outputs.get(timeout=timeout)
        if isinstance(output, BaseException):
            raise output
        return output

    def __iter__(self) -> Iterator[Output]:
        while True:
            output = self.next()
            yield output
            if isinstance(output, Finished):
                return
