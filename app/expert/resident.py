"""The resident base: loaded once in the background, lent to requests in a context that fits."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from expert.config import Config
from expert.engine.adapter_file import read_adapter
from expert.engine.engine import Engine
from expert.engine.hardware import available_memory, gpus
from expert.engine.memory import check_memory, estimate
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.state import load_state, save_state, saved_tokens
from expert.engine.token_table import LateTable
from expert.errors import UsageError
from expert.loading import Loading
from expert.types import ExpertChoice, Notice

if TYPE_CHECKING:
    from expert.engine.template import ChatTemplate

CELLS = 256
"""llama.cpp allocates KV cells in steps of this."""


class Resident:
    """One base model in memory, from the moment it begins to load."""

    def __init__(self, loading: Loading, config: Config) -> None:
        self._loading = loading
        self.path = loading.path
        self.config = config
        self._template: ChatTemplate | None = None
        self._engine: Engine | None = None
        self._placed = False
        self._table: LateTable | None = None
        self._lock = threading.RLock()  # an answer that nobody reads may end inside it
        self._users: dict[Engine, int] = {}
        self._requests = 0
        self._closed = False
        self._template_kind = _import_template()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the weights during the block, even if all else is closed meanwhile.

        Raises:
            UsageError: it is closed already.
        """
        with self._lock:
            self._check_open()
            self._requests += 1
        try:
            yield
        finally:
            with self._lock:
                self._requests -= 1
                last = self._closed and not self._requests
            if last:
                self._loading.close()

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("The assistant is closed.", "", "Open a new one.")

    def wait(self, seconds: float | None) -> None:
        """Wait until the model is loaded, at most so long.

        Raises:
            TimeLimitError: it takes longer.
        """
        self._loading.wait(seconds)

    @property
    def model(self) -> Model:
        """The loaded model; waits for it.

        Raises:
            ExpertError: whatever kept it from loading.
        """
        return self._loading.model

    @property
    def load_s(self) -> float:
        """How long loading took, in seconds."""
        return self._loading.seconds

    @property
    def template(self) -> "ChatTemplate":
        """The model's chat template."""
        model = self.model
        with self._lock:
            if self._template is None:
                self._template = self._template_kind(model)
            return self._template

    def prepare_table(self) -> LateTable:
        """Begin to build what constrained answers need of the vocabulary, if nobody has."""
        with self._lock:
            if self._table is None:
                self._table = LateTable(self.path, lambda: self.model.vocabulary)
            return self._table

    @property
    def limit(self) -> int:
        """The largest context a request may use, in tokens."""
        return self.config.context or self.model.trained_context

    def placement(self) -> Notice | None:
        """Say once where the model runs, where that could surprise."""
        if self._placed:
            return None
        self._placed = True
        found = gpus()
        if self.model.gpu_layers and found:
            names = ", ".join(f"{device.name} ({device.description})" for device in found)
            return Notice(f"Running on {names}.")
        if self.model.lib.llama_supports_gpu_offload() and not found:
            text = "This build can use a graphics device but finds none: running on the CPU."
            return Notice(text, "warning")
        return None

    def wish(self, tokens: int) -> int:
        """Return the size of the context to open for *tokens*, if memory allows it."""
        size = self.config.context or min(self.limit, -(-tokens // CELLS) * CELLS)
        if self._engine and self._engine.context.size < tokens:
            # A conversation that grew once will grow again.
            size = min(self.limit, max(size, 2 * self._engine.context.size))
        return size

    def room(self, tokens: int, beams: int) -> tuple[Engine | None, int]:
        """Return the present engine if it can hold *tokens*, and the bytes that may be taken.

        With an engine those are the bytes for adapters, without one those for everything.
        """
        free = available_memory() or sys.maxsize
        with self._lock:
            engine = self._engine
            idle = engine is not None and not self._users.get(engine)
        if engine is None:
            return None, min(free, self._limit_bytes)
        held = estimate(self.model.header, engine.context.options)
        if _suits(engine, min(tokens, self.limit), beams):
            return engine, min(free + engine.pool.bytes, self._limit_bytes - held.total)
        given_back = held.kv_cache + held.compute + engine.pool.bytes if idle else 0
        return None, min(free + given_back, self._limit_bytes)

    @property
    def _limit_bytes(self) -> int:
        """The most memory that the settings allow."""
        return int(self.config.memory * 1_000_000) if self.config.memory else sys.maxsize

    @contextmanager
    def lend(
        self, tokens: int, beams: int = 1, *, size: int | None = None, adapters: int = 0
    ) -> Iterator[Engine]:
        """Lend an engine with room for *tokens*; one that became too small ends with its users.

        With *beams*, each of so many hypotheses of a beam search has as much room. *size* is that
        of the context, if one must be opened; *adapters* are the bytes of those that act together.

        Raises:
            ResourceError: the context does not fit into memory.
            UsageError: all was closed.
        """
        limit = self.limit
        with self._lock:
            self._check_open()
            engine = self._engine
            if engine is None or not _suits(engine, min(tokens, limit), beams):
                self._retire(engine)
                engine = self._engine = self._open(size or self.wish(tokens), beams)
            engine.pool.budget = max(engine.pool.budget, adapters)
            self._users[engine] = self._users.get(engine, 0) + 1
        try:
            yield engine
        finally:
            with self._lock:
                if engine in self._users:  # else all was closed while this request ran
                    self._users[engine] -= 1
                    if engine is not self._engine:
                        self._retire(engine)

    def _retire(self, engine: Engine | None) -> None:
        if engine and not self._users.get(engine):
            self._users.pop(engine, None)
            engine.close()

    def options(self, size: int, beams: int) -> ContextOptions:
        """Return how a context of *size* tokens for each beam is opened."""
        return ContextOptions(
            size=size * beams,
            beams=beams,
            threads=self.config.threads,
            kv_type=self.config.kv_type,
            flash_attention=self.config.flash_attention,
        )

    def _open(self, size: int, beams: int) -> Engine:
        options = self.options(size, beams)
        needed = check_memory(self.model.header, options)
        budget = self._limit_bytes - needed.total if self.config.memory else None
        return Engine(self.model, options, budget)

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
        files = [read_adapter(choice.adapter, self.model.header) for choice in experts]
        with self.lend(saved_tokens(path) + 1) as engine:
            slot = engine.scheduler.slots[0]
            engine.call(lambda: load_state(engine.context, slot, path, files))

    def close(self) -> None:
        """Free the contexts, and the weights as soon as no request uses them any more."""
        self._loading.wait(None)
        if self._table:
            self._table.wait()
        with self._lock:
            self._closed = True
            engines = set(self._users) | ({self._engine} if self._engine else set())
            for engine in engines:
                engine.close()
            self._users.clear()
            self._engine = None
            unused = not self._requests
        if unused:
            self._loading.close()


def _suits(engine: Engine, tokens: int, beams: int) -> bool:
    return engine.context.size >= tokens and engine.context.options.beams >= beams


def _import_template() -> "type[ChatTemplate]":
    """Import what needs Jinja, which takes as long as loading a small model, so meanwhile."""
    from expert.engine.template import ChatTemplate

    return ChatTemplate
