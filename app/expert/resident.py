"""The resident base: loaded once in the background, lent to requests in a context that fits."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from expert.config import Config
from expert.engine.adapter_file import read_adapter
from expert.engine.engine import Engine
from expert.engine.hardware import gpus
from expert.engine.memory import check_memory
from expert.engine.model import Model
from expert.engine.options import ContextOptions, LoadOptions
from expert.engine.state import load_state, save_state, saved_tokens
from expert.errors import UsageError
from expert.types import ExpertChoice, Notice

if TYPE_CHECKING:
    from expert.engine.template import ChatTemplate

_CELLS = 256  # llama.cpp allocates KV cells in steps of this


class Resident:
    """One base model in memory. It begins to load at once, in a thread of its own."""

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self.config = config
        self.load_s = 0.0
        """How long loading took, in seconds."""
        self._model: Model | None = None
        self._template: ChatTemplate | None = None
        self._engine: Engine | None = None
        self._failure: BaseException | None = None
        self._placed = False
        self._lock = threading.Lock()
        self._users: dict[Engine, int] = {}
        self._loading = threading.Thread(target=self._load, name="expert-load", daemon=True)
        self._loading.start()
        self._template_kind = _import_template()

    def _load(self) -> None:
        start = time.perf_counter()
        try:
            self._model = Model(self.path, LoadOptions(gpu_layers=self.config.gpu_layers))
        except BaseException as error:  # handed to whoever asks
            self._failure = error
        self.load_s = time.perf_counter() - start

    @property
    def model(self) -> Model:
        """The loaded model; waits for it.

        Raises:
            ExpertError: whatever kept it from loading.
        """
        self._loading.join()
        if self._failure:
            raise self._failure
        assert self._model
        return self._model

    @property
    def template(self) -> "ChatTemplate":
        """The model's chat template."""
        model = self.model
        with self._lock:
            if self._template is None:
                self._template = self._template_kind(model)
            return self._template

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

    @contextmanager
    def lend(self, tokens: int) -> Iterator[Engine]:
        """Lend an engine with room for *tokens*; one that became too small ends with its users.

        Raises:
            ResourceError: the context does not fit into memory.
        """
        limit = self.limit
        with self._lock:
            if self._engine is None or self._engine.context.size < min(tokens, limit):
                self._retire(self._engine)
                self._engine = self._open(tokens, limit)
            engine = self._engine
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

    def _open(self, tokens: int, limit: int) -> Engine:
        size = self.config.context or min(limit, -(-tokens // _CELLS) * _CELLS)
        if self._engine:  # a conversation that grew once will grow again
            size = min(limit, max(size, 2 * self._engine.context.size))
        options = ContextOptions(
            size=size, threads=self.config.threads, kv_type=self.config.kv_type
        )
        check_memory(self.model.header, options)
        return Engine(self.model, options)

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
        """Free the contexts and the weights."""
        self._loading.join()
        with self._lock:
            engines = set(self._users) | ({self._engine} if self._engine else set())
            for engine in engines:
                engine.close()
            self._users.clear()
            self._engine = None
        if self._model:
            self._model.close()


def _import_template() -> "type[ChatTemplate]":
    """Import what needs Jinja, which takes as long as loading a small model, so meanwhile."""
    from expert.engine.template import ChatTemplate

    return ChatTemplate
