"""The engine: one thread that owns a context and serves everyone else through a queue."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from expert.closing import Closing
from expert.engine.adapter_set import activation_runs, check_together
from expert.engine.context import Context
from expert.engine.fusion import Fusion
from expert.engine.generation import Job, Output
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.pool import AdapterPool
from expert.engine.sampler import warm_up
from expert.engine.scheduler import Scheduler
from expert.engine.stream import Stream
from expert.errors import InputTooLongError, UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Call:
    """Something else to do on the engine's thread."""

    function: Callable[[], Any]
    result: "Future[Any]"


class Engine(Closing):
    """Generates for many callers on one context, in steps that batch running jobs.

    A job takes the free sequence that shares the longest prefix with its prompt, under the same
    adapters, and computes only the rest. Close it, or use it with `with`.
    """

    def __init__(
        self, model: Model, options: ContextOptions, adapter_budget: int | None = None
    ) -> None:
        """*adapter_budget*: bytes of adapters kept loaded; None: a quarter of free memory."""
        self.model = model
        warm_up(model.vocabulary.size)
        self.context = Context(model, options)
        self.pool = AdapterPool(model, adapter_budget)
        self.fusion = Fusion(model.header)
        self.scheduler = Scheduler(self.context, self.pool, self.fusion)
        self._queue: queue.SimpleQueue[tuple[Job, Stream] | _Call | None] = queue.SimpleQueue()
        self._backlog: list[tuple[Job, Stream]] = []
        self._closing = False
        self._gate = threading.Lock()
        self._idle = False
        self._thread = threading.Thread(target=self._run, name="expert-engine", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Stream:
        """Queue *job* and return its output stream.

        Raises:
            InputTooLongError: the prompt leaves no room for an answer.
            UsageError: the prompt is empty, the experts cannot act together, or the engine is
                closed.
        """
        self._check_open()
        if not job.prompt:
            raise UsageError("The prompt is empty.", "", "Give at least one token.")
        check_together(job.experts)
        if job.beams > self.context.options.beams:
            raise UsageError(
                f"A beam search of {job.beams} hypotheses is impossible here.",
                f"This context was opened for {self.context.options.beams}.",
                "Open it for more.",
            )
        prompt = job.sequence
        if len(prompt) >= self.context.size:
            raise InputTooLongError(
                f"The prompt has {len(prompt)} tokens.",
                f"The context holds {self.context.size}, and the answer needs room too.",
                "Shorten the prompt, or open a larger context.",
            )
        if job.repeatable:
            for run in activation_runs(prompt, job.experts):
                self.fusion.wait(run.adapters)
        stream = Stream(self.interrupt)
        self._put((job, stream))
        return stream

    def generate(self, job: Job) -> Iterator[Output]:
        """Yield the output of *job*; leaving the loop early cancels it."""
        stream = self.submit(job)
        try:
            yield from stream
        except GeneratorExit:
            stream.cancel()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """Run *function* on the engine's thread, between two steps, and return its result.

        Raises:
            UsageError: the engine is closed.
            Exception: whatever *function* raises.
        """
        result: Future[T] = Future()
        self._put(_Call(function, result))
        return result.result()

    def _put(self, item: "tuple[Job, Stream] | _Call") -> None:
        """Queue something, which the thread will answer even if it is told to end right after."""
        with self._gate:
            self._check_open()
            self._queue.put(item)
        if self._idle:
            self.interrupt()  # idle work gives way at once

    def interrupt(self) -> None:
        """Stop the running step; the jobs that are not cancelled do it again."""
        self.context.cancel()

    def close(self) -> None:
        """End every job and free the adapters and the context."""
        with self._gate:
            if self._closing:
                return
            self._closing = True
            self._queue.put(None)
        self.interrupt()
        self._thread.join()
        self.fusion.close()
        self.context.close()
        self.pool.close()

    def _check_open(self) -> None:
        if self._closing:
            raise UsageError("The engine is closed.", "", "Open a new one.")

    # The thread's own side: nothing below is called by anyone else.

    def _run(self) -> None:
        try:
            while not self._closing:
                self.context.resume()
                self._take()
                self.scheduler.turn()
                if not self.scheduler.busy and self._queue.empty():
                    self._rest()
            self.scheduler.cut_all()
            self._refuse_waiting(UsageError("The engine was closed.", "", "Ask again."))
        except Exception as error:  # a caller must never wait for a thread that died
            with self._gate:
                self._closing = True
            self.scheduler.fail_all(error)
            self._refuse_waiting(error)
            raise

    def _take(self) -> None:
        """Start waiting jobs on free sequences and do calls; sleep when there is nothing to do."""
        idle = not self._backlog and not self.scheduler.busy
        while idle or not self._queue.empty():
            item = self._queue.get()
            idle = False
            if item is None:
                return
            if isinstance(item, _Call):
                _answer(item)
            else:
                self._backlog.append(item)
        while self._backlog and self.scheduler.free:
            self.scheduler.start(*self._backlog.pop(0))

    def _rest(self) -> None:
        """Do idle work until something else comes."""
        self._idle = True
        while not self._closing and self._queue.empty() and self.scheduler.rebase():
            pass
        self._idle = False

    def _refuse_waiting(self, error: Exception) -> None:
        while not self._queue.empty():
            item = self._queue.get()
            if isinstance(item, _Call):
                item.result.set_exception(error)
            elif item:
                self._backlog.append(item)
        for _, stream in self._backlog:
            stream.put(error)
        self._backlog.clear()


def _answer(call: _Call) -> None:
    try:
        call.result.set_result(call.function())
    except Exception as error:
        call.result.set_exception(error)
