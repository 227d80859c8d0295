"""A model's weights in memory, opened only after its file has been checked."""

import ctypes
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expert.closing import Closing
from expert.engine import library
from expert.engine.hardware import gpus
from expert.engine.header import read_header
from expert.engine.options import LoadOptions
from expert.engine.vocabulary import Vocabulary
from expert.errors import ResourceError, UsageError
from expert_converters.gguf_file import ArrayValue

if TYPE_CHECKING:
    from expert.engine.context import Context

_NO_MMAP, _MMAP, _LOCK, _MMAP_LOCK = 0, 1, 2, 3  # llama_load_mode


class Model(Closing):
    """A loaded model; contexts on it share the weights. Close it, or use it with `with`.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: the file is damaged, hostile or of an unsupported kind.
        ResourceError: llama.cpp could not load it.
    """

    def __init__(
        self,
        path: Path,
        options: LoadOptions | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.path = path
        self.header = read_header(path)
        options = options or LoadOptions()
        self.gpu_layers = _gpu_layers(options)
        self._lib = library.load()
        self._contexts: weakref.WeakSet[Context] = weakref.WeakSet()
        self._handle = self._load(options, progress)
        self.vocabulary = Vocabulary(self._lib, self._handle)

    def _load(self, options: LoadOptions, progress: Callable[[float], None] | None) -> Any:
        lib = self._lib
        params = lib.llama_model_default_params()
        params.n_gpu_layers = self.gpu_layers
        modes = (_NO_MMAP, _MMAP, _LOCK, _MMAP_LOCK)
        params.load_mode = modes[options.mmap + 2 * options.lock]
        on_progress = lib.llama_progress_callback(lambda done, _user: _report(progress, done))
        if progress:
            params.progress_callback = on_progress
        library.recent_errors()
        handle = lib.llama_model_load_from_file(str(self.path).encode(), params)
        if not handle:  # a null pointer object, never None
            raise ResourceError(
                f"llama.cpp could not load {self.path}.",
                library.recent_errors() or "It gave no reason.",
                "Free some memory, or run `expert doctor`; the file itself passed its checks.",
            )
        return handle

    @property
    def handle(self) -> Any:
        """The C pointer, for the rest of the engine.

        Raises:
            UsageError: the model was closed.
        """
        if not self._handle:
            raise UsageError(f"The model {self.path.name} is closed.", "", "Open it again.")
        return self._handle

    @property
    def lib(self) -> Any:
        """llama.cpp's C functions."""
        return self._lib

    def adopt(self, context: "Context") -> None:
        """Remember *context*, so that it is closed before the weights it reads."""
        self._contexts.add(context)

    def metadata(self, key: str, default: Any = None) -> Any:
        """Return a value of the file's metadata; arrays come as lists."""
        value = self.header.metadata.get(key, default)
        return self.header.array(key) if isinstance(value, ArrayValue) else value

    @property
    def trained_context(self) -> int:
        """The context, in tokens, that the model was made for."""
        return int(self._lib.llama_model_n_ctx_train(self.handle))

    @property
    def weights_bytes(self) -> int:
        """The size of all tensors in bytes."""
        return int(self._lib.llama_model_size(self.handle))

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return int(self._lib.llama_model_n_params(self.handle))

    @property
    def description(self) -> str:
        """llama.cpp's short description, such as `qwen3 0.6B Q4_K - Medium`."""
        buffer = ctypes.create_string_buffer(256)
        self._lib.llama_model_desc(self.handle, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    def close(self) -> None:
        """Free the weights, and first every context still open on them."""
        for context in list(self._contexts):
            context.close()
        if self._handle:
            self._lib.llama_model_free(self._handle)
            self._handle = None

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()


def _gpu_layers(options: LoadOptions) -> int:
    """Return how many layers to offload (-1: all), never falling back to the CPU in silence."""
    if options.gpu_layers == 0:
        return 0
    if gpus():
        return -1 if options.gpu_layers is None else options.gpu_layers
    if options.gpu_layers is None:
        return 0
    raise ResourceError(
        f"{options.gpu_layers} layers cannot be placed on a graphics device.",
        "This build of llama.cpp finds none.",
        "Leave the number of GPU layers out, or rebuild for your device: see the README.",
    )


def _report(progress: Callable[[float], None] | None, done: float) -> bool:
    if progress:
        progress(done)
    return True
