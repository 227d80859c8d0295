"""Collecting an answer while it streams: reasoning apart from text, within a time limit."""

import queue
import time
from collections.abc import Callable, Iterator

from expert.engine.generation import Finished, Output
from expert.engine.stream import Stream
from expert.errors import UsageError
from expert.reasoning import ReasoningSplitter
from expert.types import Answer, Delta, Done, Event, TokenLogprob


class Deadline:
    """A moment by which an answer must be there, or none."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float | None:
        """Seconds until then; None: no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())


class Stopper:
    """Ends an answer from any thread, before or after the engine has begun it."""

    def __init__(self) -> None:
        self.stopped = False
        self.interrupted = False
        """Whether Ctrl-C ended it."""
        self._stream: Stream | None = None

    def attach(self, stream: Stream) -> None:
        """Let `stop` end this stream, at once if it was called already."""
        self._stream = stream
        if self.stopped:
            stream.cancel()

    def stop(self) -> None:
        """Ask for the end."""
        self.stopped = True
        if self._stream:
            self._stream.cancel()


class Asked:
    """An answer under way: iterate over its events or its text, or take it whole."""

    def __init__(self, events: Iterator[Event], stopper: Stopper | None = None) -> None:
        self._events = events
        self._stopper = stopper or Stopper()
        self._answer: Answer | None = None
        self._acts: list[Callable[[Done], None]] = []
        self.begun = False
        """Whether some of the text has come."""

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = next(self._events)
        if isinstance(event, Delta):
            self.begun = True
        elif isinstance(event, Done):
            self._answer = event.answer
            for act in self._acts:
                act(event)
        return event

    def when_done(self, act: Callable[[Done], None]) -> "Asked":
        """Do something with the end of the answer before anyone else sees it."""
        self._acts.append(act)
        return self

    def pieces(self) -> Iterator[str]:
        """Yield the text of the answer as it comes."""
        for event in self:
            if isinstance(event, Delta) and not event.reasoning:
                yield event.text

    @property
    def answer(self) -> Answer:
        """The finished answer; waits for it.

        Raises:
            UsageError: it ended before, by an error or by `close`, and there is none.
            ExpertError: whatever keeps it from being whole.
        """
        for _ in self:
            pass
        if self._answer is None:
            raise UsageError(
                "There is no answer.",
                "It was closed, or failed, before it was whole.",
                "Ask again.",
            )
        return self._answer

    @property
    def text(self) -> str:
        """The whole text; waits for it."""
        return self.answer.text

    def stop(self) -> None:
        """End the answer soon, from any thread; what there is by then still comes, and `Done`."""
        self._stopper.stop()

    def close(self) -> None:
        """End the answer, if it is not whole yet; what came until then is recorded."""
        self._events.close()  # type: ignore[attr-defined]  # a generator


class Collected:
    """Collects an answer as it streams by."""

    def __init__(self, splitter: ReasoningSplitter) -> None:
        self._splitter = splitter
        self.answer: list[str] = []
        self.reasoning: list[str] = []
        self.logprobs: list[TokenLogprob] = []
        self.end: Finished | None = None

    def push(self, output: Output) -> Iterator[Delta]:
        """Add what the engine made, and yield what of it can be shown."""
        if isinstance(output, Finished):
            self.end = output
            yield from self._keep(self._splitter.finish())
            return
        if output.logprob:
            self.logprobs.append(output.logprob)
        yield from self._keep(self._splitter.push(output.text))

    def _keep(self, deltas: Iterator[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            (self.reasoning if delta.reasoning else self.answer).append(delta.text)
            yield delta


def until(stream: Stream, deadline: Deadline, stopper: Stopper) -> Iterator[Output]:
    """Yield the stream's outputs; at the deadline, and at Ctrl-C, ask it to end.

    After Ctrl-C what was made until then still comes, the end is marked as cancelled, and *stopper*
    knows why; a second one is not held back.
    """
    while True:
        try:
            output = stream.next(None if stream.cut else deadline.left)
        except queue.Empty:
            stream.cancel("timeout")
        except KeyboardInterrupt:
            if stopper.interrupted:
                raise
            stopper.interrupted = True
            stream.cancel()
        else:
            yield output
            if isinstance(output, Finished):
                return
