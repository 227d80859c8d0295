"""The engine: one thread that owns a context and serves everyone else through a queue."""

import itertools
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from expert.engine.context import Cancelled, Context, Slice
from expert.engine.generation import Finished, Generation, Job, Output
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.errors import ExpertError, InputTooLongError, UsageError
from expert.types import Finish


class Stream:
    """The output of one job, as it is generated; close or cancel it to stop early."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._outputs: queue.SimpleQueue[Output | BaseException] = queue.SimpleQueue()
        self.cut: Finish | None = None
        """Why it was asked to end, if it was."""

    def cancel(self, finish: Finish = "cancelled") -> None:
        """Ask the engine to end this job at the next operation; `Finished` still follows."""
        self.cut = finish
        self._engine.interrupt()

    def put(self, output: Output | BaseException) -> None:
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


@dataclass(slots=True)
class _Slot:
    """A sequence of the context: the tokens in its KV cache, and the job that uses it."""

    index: int
    tokens: list[int] = field(default_factory=list)
    generation: Generation | None = None
    stream: Stream | None = None


class Engine:
    """Generates for many callers on one context, in steps that batch all running jobs.

    A job takes the free sequence that shares the longest prefix with its prompt, and computes
    only the rest. Close it, or use it with `with`.
    """

    def __init__(self, model: Model, options: ContextOptions) -> None:
        self.model = model
        self.context = Context(model, options)
        self._slots = [_Slot(index) for index in range(options.sequences)]
        self._waiting: queue.SimpleQueue[tuple[Job, Stream] | None] = queue.SimpleQueue()
        self._backlog: list[tuple[Job, Stream]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="expert-engine", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Stream:
        """Queue *job* and return its output stream.

        Raises:
            InputTooLongError: the prompt leaves no room for an answer.
            UsageError: the prompt is empty, or the engine is closed.
        """
        if self._closing:
            raise UsageError("The engine is closed.", "", "Open a new one.")
        if not job.prompt:
            raise UsageError("The prompt is empty.", "", "Give at least one token.")
        if len(job.prompt) >= self.context.size:
            raise InputTooLongError(
                f"The prompt has {len(job.prompt)} tokens.",
                f"The context holds {self.context.size}, and the answer needs room too.",
                "Shorten the prompt, or open a larger context.",
            )
        stream = Stream(self)
        self._waiting.put((job, stream))
        return stream

    def generate(self, job: Job) -> Iterator[Output]:
        """Yield the output of *job*; leaving the loop early cancels it."""
        stream = self.submit(job)
        try:
            yield from stream
        except GeneratorExit:
            stream.cancel()
            raise

    def interrupt(self) -> None:
        """Stop the running step; the jobs that are not cancelled do it again."""
        self.context.cancel()

    def close(self) -> None:
        """End every job and free the context."""
        if self._closing:
            return
        self._closing = True
        self.interrupt()
        self._waiting.put(None)
        self._thread.join()
        self.context.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # The thread's own side: nothing below is called by anyone else.

    def _run(self) -> None:
        try:
            while not self._closing:
                self.context.resume()
                self._admit()
                self._end_cancelled()
                running = [slot for slot in self._slots if slot.generation]
                if running and not self._closing:
                    self._step(running)
        except Exception as error:  # a caller must never wait for a thread that died
            self._closing = True
            self._fail_all(error)
            raise
        for slot in self._slots:
            self._cut(slot, "cancelled")
        self._fail_all(UsageError("The engine was closed.", "", "Ask again."))

    def _fail_all(self, error: Exception) -> None:
        while not self._waiting.empty():
            if item := self._waiting.get():
                self._backlog.append(item)
        streams = [stream for _, stream in self._backlog]
        streams += [slot.stream for slot in self._slots if slot.stream]
        for stream in streams:
            stream.put(error)
        self._backlog.clear()
        for slot in self._slots:
            slot.generation = slot.stream = None

    def _admit(self) -> None:
        """Give waiting jobs to free sequences; sleep when there is nothing to do."""
        idle = not self._backlog and not any(slot.generation for slot in self._slots)
        while idle or not self._waiting.empty():
            item = self._waiting.get()
            if item is None:
                return
            self._backlog.append(item)
            idle = False
        while self._backlog and any(slot.generation is None for slot in self._slots):
            self._start(*self._backlog.pop(0))

    def _start(self, job: Job, stream: Stream) -> None:
        free = [slot for slot in self._slots if slot.generation is None]
        slot = max(free, key=lambda slot: _shared(slot.tokens, job.prompt))
        # The last prompt token is always computed: its logits give the first answer token.
        cached = min(_shared(slot.tokens, job.prompt), len(job.prompt) - 1)
        self.context.forget(slot.index, cached)
        del slot.tokens[cached:]
        slot.stream = stream
        slot.generation = Generation(job, self.model.vocabulary, self.model.lib, cached)

    def _end_cancelled(self) -> None:
        for slot in self._slots:
            if slot.stream and slot.stream.cut:
                self._cut(slot, slot.stream.cut)

    def _step(self, running: list[_Slot]) -> None:
        for slot in running:
            self._make_room(slot)
        busy = [slot for slot in running if slot.generation]
        plan = self._plan(busy)
        if not plan:
            return
        try:
            rows = self.context.step([part for _, part in plan])
        except Cancelled:
            return
        except ExpertError as error:
            for slot in busy:
                self._fail(slot, error)
            return
        for (slot, part), outputs in zip(plan, rows, strict=True):
            self._advance(slot, part, outputs)

    def _plan(self, busy: list[_Slot]) -> list[tuple[_Slot, Slice]]:
        """Share the step's tokens: decoding sequences first, then prefill in the room left."""
        room = self.context.options.batch
        plan = []
        for slot in sorted(busy, key=lambda slot: len(_pending(slot))):
            pending = _pending(slot)
            tokens = pending[:room]
            if not tokens:
                continue
            room -= len(tokens)
            whole = len(tokens) == len(pending)
            plan.append((slot, Slice(slot.index, len(slot.tokens), tokens, int(whole))))
        return plan

    def _advance(self, slot: _Slot, part: Slice, outputs: range) -> None:
        generation, stream = slot.generation, slot.stream
        assert generation and stream
        slot.tokens += part.tokens
        generation.pending = generation.pending[len(part.tokens) :]
        for row in outputs:
            stream.put(generation.accept(self.context, row))
        if generation.done:
            self._finish(slot)

    def _make_room(self, slot: _Slot) -> None:
        """Apply the job's policy when the next token no longer fits its sequence."""
        generation = slot.generation
        assert generation
        size = self.context.size
        if len(slot.tokens) + len(generation.pending) <= size:
            return
        keep = generation.job.keep
        dropped = (len(slot.tokens) - keep) // 2
        if generation.job.overflow == "stop" or dropped < len(generation.pending):
            self._cut(slot, "length")
            return
        self.context.forget(slot.index, keep, keep + dropped)
        self.context.shift(slot.index, keep + dropped, -dropped)
        del slot.tokens[keep : keep + dropped]

    def _cut(self, slot: _Slot, finish: Finish) -> None:
        if not slot.generation or not slot.stream:
            return
        rest = slot.generation.cut(finish)
        if rest:
            slot.stream.put(rest)
        self._finish(slot)

    def _finish(self, slot: _Slot) -> None:
        assert slot.generation and slot.stream
        slot.stream.put(slot.generation.finished())
        self._release(slot)

    def _fail(self, slot: _Slot, error: ExpertError) -> None:
        assert slot.stream
        slot.stream.put(error)
        self._release(slot)

    def _release(self, slot: _Slot) -> None:
        assert slot.generation
        slot.generation.close()
        slot.generation = slot.stream = None


def _pending(slot: _Slot) -> list[int]:
    return slot.generation.pending if slot.generation else []


def _shared(cached: Sequence[int], prompt: Sequence[int]) -> int:
    """Return how many leading tokens two sequences share."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(cached, prompt, strict=False))
    return sum(1 for _ in same)
