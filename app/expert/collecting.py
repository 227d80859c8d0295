"""Collecting an answer while it streams: reasoning apart from text, within a time limit."""

import queue
import time
from collections.abc import Iterator

from expert.engine.generation import Finished, Piece
from expert.engine.stream import Stream
from expert.reasoning import ReasoningSplitter
from expert.types import Delta, TokenLogprob


class Collected:
    """Collects an answer as it streams by."""

    def __init__(self, splitter: ReasoningSplitter) -> None:
        self._splitter = splitter
        self.answer: list[str] = []
        self.reasoning: list[str] = []
        self.logprobs: list[TokenLogprob] = []

    def push(self, piece: Piece) -> Iterator[Delta]:
        if piece.logprob:
            self.logprobs.append(piece.logprob)
        yield from self._keep(self._splitter.push(piece.text))

    def finish(self) -> Iterator[Delta]:
        yield from self._keep(self._splitter.finish())

    def _keep(self, deltas: Iterator[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            (self.reasoning if delta.reasoning else self.answer).append(delta.text)
            yield delta


def until(stream: Stream, timeout: float | None) -> Iterator[Piece | Finished]:
    """Yield the stream's outputs; after *timeout* seconds, ask it to end."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            output = stream.next(left)
        except queue.Empty:
            deadline = None
            stream.cancel("timeout")
            continue
        yield output
        if isinstance(output, Finished):
            return
