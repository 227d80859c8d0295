"""The main path: plan, render, attach and generate, for every way of asking."""

import queue
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from expert.config import Config
from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job, Piece
from expert.engine.hardware import gpus
from expert.engine.memory import check_memory
from expert.engine.model import Model
from expert.engine.options import ContextOptions, LoadOptions
from expert.engine.state import load_state, save_state, saved_tokens
from expert.engine.stream import Stream
from expert.errors import ExpertError, InputTooLongError, UsageError
from expert.reasoning import ReasoningSplitter
from expert.types import (
    Answer,
    Delta,
    Done,
    Event,
    ExpertChoice,
    ExpertUse,
    Message,
    Notice,
    Plan,
    Request,
    Sampling,
    TokenLogprob,
)

if TYPE_CHECKING:
    from expert.engine.template import ChatTemplate

MAX_EXPERTS = 10
_CELLS = 256  # llama.cpp allocates KV cells in steps of this


class Assistant:
    """Answers requests on one resident base model. Close it, or use it with `with`.

    The model loads in the background from the start, while the caller still reads its input.

    Raises:
        ExpertError: from `ask`, whatever was wrong with the model.
    """

    def __init__(self, model: Path, config: Config | None = None) -> None:
        self.config = config or Config()
        self._path = model
        self._model: Model | None = None
        self._template: ChatTemplate | None = None
        self._engine: Engine | None = None
        self._failure: BaseException | None = None
        self._load_s = 0.0
        self._placed = False
        self._lock = threading.Lock()
        self._users: dict[Engine, int] = {}
        self._loading = threading.Thread(target=self._load, name="expert-load", daemon=True)
        self._loading.start()
        self._template_kind = _import_template()

    def ask(self, request: Request) -> Iterator[Event]:
        """Answer *request*, as a stream of events that ends with `Done`.

        Raises:
            InputTooLongError: the conversation does not fit and may not be truncated.
            ResourceError: memory or device does not suffice.
        """
        model = self._loaded()
        if notice := self._placement(model):
            yield notice
        plan = self._plan(request, model)
        messages, prompt, dropped = self._render(request, model)
        if dropped:
            yield Notice(f"The oldest {dropped} turns were dropped to fit the context.", "warning")
        plan = self._fit(plan, request, len(prompt), model)
        experts = self._attach(plan, model)
        job = Job(
            prompt,
            plan.sampling,
            plan.max_tokens,
            experts=experts,
            repeatable=request.seed is not None or plan.sampling.temperature <= 0,
            stop=request.stop,
            logprobs=request.logprobs,
            overflow="shift" if request.truncate else "stop",
            keep=self._system_tokens(messages),
        )
        with self._engine_for(len(prompt) + plan.max_tokens, model) as engine:
            yield from self._generate(engine, job, request)

    def _loaded(self) -> Model:
        self._loading.join()
        if self._failure:
            raise self._failure
        assert self._model
        with self._lock:
            if self._template is None:
                self._template = self._template_kind(self._model)
        return self._model

    def _load(self) -> None:
        start = time.perf_counter()
        try:
            self._model = Model(self._path, LoadOptions(gpu_layers=self.config.gpu_layers))
        except BaseException as error:  # handed to whoever asks
            self._failure = error
        self._load_s = time.perf_counter() - start

    def _placement(self, model: Model) -> Notice | None:
        """Say once where the model runs, where that could surprise."""
        if self._placed:
            return None
        self._placed = True
        found = gpus()
        if model.gpu_layers and found:
            names = ", ".join(f"{device.name} ({device.description})" for device in found)
            return Notice(f"Running on {names}.")
        if model.lib.llama_supports_gpu_offload() and not found:
            text = "This build can use a graphics device but finds none: running on the CPU."
            return Notice(text, "warning")
        return None

    def _plan(self, request: Request, model: Model) -> Plan:
        """Decide who answers and how; for now it is always the base model itself."""
        sampling = choose_sampling(request, model)
        limit = request.max_tokens or self.config.max_tokens
        reason = "you chose the experts" if request.experts else "the base model answers"
        return Plan(sampling, limit, request.experts, reason)

    def _attach(self, plan: Plan, model: Model) -> tuple[tuple[AdapterFile, float], ...]:
        """Check the plan's adapters against the base; the engine loads them when they act.

        Raises:
            UsageError: there are more than can act together.
            VerificationError: an adapter is damaged or made for another base.
        """
        if len(plan.experts) > MAX_EXPERTS:
            raise UsageError(
                f"{len(plan.experts)} experts cannot answer together.",
                f"At most {MAX_EXPERTS} can.",
                "Choose fewer.",
            )
        return tuple(
            (read_adapter(choice.adapter, model.header), choice.scale) for choice in plan.experts
        )

    def _render(self, request: Request, model: Model) -> tuple[Sequence[Message], list[int], int]:
        """Return the turns that are kept, their tokens, and how many turns were dropped.

        With `truncate`, whole turns go, oldest first; the system prompt and the last turn stay.
        """
        assert self._template
        limit = self._limit(model)
        turns = list(request.messages)
        first = 1 if turns and turns[0].role == "system" else 0
        while True:
            prompt = self._template.tokens(turns, think=request.think)
            if len(prompt) < limit:
                return turns, prompt, len(request.messages) - len(turns)
            if not request.truncate or len(turns) <= first + 1:
                raise InputTooLongError(
                    f"The input has {len(prompt)} tokens; the context holds {limit}.",
                    "The answer needs room in the same context.",
                    "Shorten the input, or allow it to be truncated.",
                )
            del turns[first : min(first + 2, len(turns) - 1)]

    def _limit(self, model: Model) -> int:
        """Return the largest context a request may use, in tokens."""
        return self.config.context or model.trained_context

    def _fit(self, plan: Plan, request: Request, prompt: int, model: Model) -> Plan:
        """Shorten the longest answer to what the context leaves, unless it was asked for."""
        room = self._limit(model) - prompt
        if plan.max_tokens <= room or request.truncate:
            return replace(plan, max_tokens=plan.max_tokens)
        if request.max_tokens is None:
            return replace(plan, max_tokens=room)
        raise InputTooLongError(
            f"{prompt} tokens of input and {plan.max_tokens} of answer do not fit.",
            f"The context holds {self._limit(model)} tokens.",
            f"Ask for at most {room} answer tokens, or shorten the input.",
        )

    @contextmanager
    def _engine_for(self, tokens: int, model: Model) -> Iterator[Engine]:
        """Lend an engine with room for *tokens*; one that became too small ends with its users."""
        with self._lock:
            if self._engine is None or self._engine.context.size < min(tokens, self._limit(model)):
                self._retire(self._engine)
                self._engine = self._open_engine(tokens, model)
            engine = self._engine
            self._users[engine] = self._users.get(engine, 0) + 1
        try:
            yield engine
        finally:
            with self._lock:
                self._users[engine] -= 1
                if engine is not self._engine:
                    self._retire(engine)

    def _retire(self, engine: Engine | None) -> None:
        if engine and not self._users.get(engine):
            self._users.pop(engine, None)
            engine.close()

    def _open_engine(self, tokens: int, model: Model) -> Engine:
        limit = self._limit(model)
        size = self.config.context or min(limit, -(-tokens // _CELLS) * _CELLS)
        if self._engine:  # a conversation that grew once will grow again
            size = min(limit, max(size, 2 * self._engine.context.size))
        options = ContextOptions(
            size=size, threads=self.config.threads, kv_type=self.config.kv_type
        )
        check_memory(model.header, options)
        return Engine(model, options)

    def _system_tokens(self, messages: Sequence[Message]) -> int:
        """Return how many tokens of the prompt a context shift must keep."""
        assert self._template
        if not messages or messages[0].role != "system":
            return 0
        try:
            return len(self._template.tokens(messages[:1], answer=False))
        except ExpertError:  # some templates refuse a conversation without a user
            return 0

    def _generate(self, engine: Engine, job: Job, request: Request) -> Iterator[Event]:
        stream = engine.submit(job)
        parts = _Parts(ReasoningSplitter(inside=self._opens_reasoning(job.prompt)))
        try:
            for output in _until(stream, request.timeout):
                if isinstance(output, Finished):
                    yield from parts.finish()
                    yield Done(self._answer(output, parts, job))
                    return
                yield from parts.push(output)
        except BaseException:
            stream.cancel()
            raise

    def _opens_reasoning(self, prompt: Sequence[int]) -> bool:
        assert self._model
        return self._model.vocabulary.decode(prompt[-4:]).rstrip().endswith(b"<think>")

    def _answer(self, output: Finished, parts: "_Parts", job: Job) -> Answer:
        return Answer(
            text="".join(parts.answer),
            reasoning="".join(parts.reasoning),
            finish=output.finish,
            sampling=job.sampling,
            model=self._path,
            timings=replace(output.timings, load_s=self._load_s),
            experts=tuple(ExpertUse(file.name, file.digest, s) for file, s in job.experts),
            logprobs=tuple(parts.logprobs),
        )

    def save_state(self, path: Path) -> None:
        """Write what was computed for the latest conversation to *path*.

        Raises:
            UsageError: nothing was asked yet.
            ResourceError: it cannot be written.
        """
        engine = self._engine
        if engine is None:
            raise UsageError("There is nothing to save.", "Nothing was asked yet.", "Ask first.")
        engine.call(lambda: save_state(engine.context, engine.scheduler.slots[0], path))

    def load_state(self, path: Path, experts: Sequence[ExpertChoice] = ()) -> None:
        """Take back what `save_state` wrote; *experts* are those that took part.

        Raises:
            NotFoundError: there is no such file.
            VerificationError: it is damaged, or was made under other conditions.
        """
        model = self._loaded()
        files = [read_adapter(choice.adapter, model.header) for choice in experts]
        with self._engine_for(saved_tokens(path) + 1, model) as engine:
            slot = engine.scheduler.slots[0]
            engine.call(lambda: load_state(engine.context, slot, path, files))

    def close(self) -> None:
        """Free the context and the weights."""
        self._loading.join()
        with self._lock:
            engines = set(self._users) | ({self._engine} if self._engine else set())
            for engine in engines:
                engine.close()
            self._users.clear()
            self._engine = None
        if self._model:
            self._model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _import_template() -> "type[ChatTemplate]":
    """Import what needs Jinja, which takes as long as loading a small model, so meanwhile."""
    from expert.engine.template import ChatTemplate

    return ChatTemplate


class _Parts:
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


def _until(stream: Stream, timeout: float | None) -> Iterator[Piece | Finished]:
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


def choose_sampling(request: Request, model: Model) -> Sampling:
    """Return the sampling of a request: its own wishes, else what the model file recommends.

    A file without recommendations is sampled greedily, so that equal questions get equal answers.
    """

    def pick(wish: float | None, key: str, default: float) -> float:
        if wish is not None:
            return wish
        recommended = model.metadata(f"general.sampling.{key}")
        return recommended if isinstance(recommended, int | float) else default

    temperature = pick(request.temperature, "temp", 0.0)
    seed = request.seed
    if seed is None:
        seed = secrets.randbits(32) if temperature > 0 else 0
    return Sampling(
        temperature=temperature,
        top_k=int(pick(request.top_k, "top_k", 0)),
        top_p=pick(request.top_p, "top_p", 1.0),
        min_p=pick(request.min_p, "min_p", 0.0),
        repeat_penalty=pick(request.repeat_penalty, "penalty_repeat", 1.0),
        seed=seed,
    )
