"""Sentence embeddings by llama.cpp: an encoder such as MiniLM, as a GGUF file."""

import ctypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expert.closing import Closing
from expert.engine import library
from expert.engine.batch import Batch
from expert.engine.hardware import cores
from expert.engine.model import Model
from expert.engine.options import LoadOptions
from expert.errors import ResourceError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_TOKENS = 256
"""Longer texts are cut, as sentence-transformers cuts them for MiniLM."""
_SEQUENCES = 16
_UNPOOLED = 0  # LLAMA_POOLING_TYPE_NONE
_POOLING_BY_FILE = -1


class Embedding(Closing):
    """An embedding model in memory; its vectors have length 1. Close it, or use it with `with`.

    *threads* None takes as many as there are cores.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: the file is damaged, hostile or of an unsupported kind.
        UsageError: the model makes text, not embeddings.
        ResourceError: llama.cpp could not load it.
    """

    def __init__(
        self, path: Path, options: LoadOptions | None = None, threads: int | None = None
    ) -> None:
        self._model = Model(path, options or LoadOptions())
        self._lib = self._model.lib
        self._handle: Any = None
        try:
            architecture = self._model.metadata("general.architecture")
            pooling = self._model.metadata(f"{architecture}.pooling_type", _UNPOOLED)
            if pooling == _UNPOOLED:
                raise UsageError(
                    f"{path.name} makes no embeddings of texts.",
                    "The file says nothing about how tokens become one vector.",
                    "Give an embedding model, such as all-MiniLM-L6-v2.",
                )
            self._room = min(MAX_TOKENS, self._model.trained_context)
            self._handle = self._open(threads or cores())
        except BaseException:
            self._model.close()
            raise
        self._batch = Batch(self._lib, self._room * _SEQUENCES)
        self.size = int(self._lib.llama_model_n_embd(self._model.handle))
        """Numbers in a vector."""

    def _open(self, threads: int) -> Any:
        lib = self._lib
        params = lib.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = self._room * _SEQUENCES
        params.n_seq_max = _SEQUENCES
        params.n_threads = params.n_threads_batch = threads
        params.embeddings = True
        params.pooling_type = _POOLING_BY_FILE
        params.no_perf = True
        library.recent_errors()
        handle = lib.llama_init_from_model(self._model.handle, params)
        if not handle:
            raise ResourceError(
                "A context for embeddings could not be opened.",
                library.recent_errors() or "llama.cpp gave no reason.",
                "Free some memory.",
            )
        return handle

    @property
    def identity(self) -> str:
        """What tells its vectors from those of another model: the file and its state."""
        status = self._model.path.stat()
        return f"{self._model.path.absolute()}:{status.st_size}:{status.st_mtime_ns}"

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return one row for each text: float32, shape (texts, size), each of length 1.

        Raises:
            UsageError: the model was closed, or a text is not valid Unicode.
            ResourceError: the computation failed.
        """
        import numpy as np

        if self._handle is None:
            raise UsageError("The embedding model is closed.", "", "Open it again.")
        rows = np.zeros((len(texts), self.size), dtype=np.float32)
        done = 0
        for group in self._groups([self._tokens(text) for text in texts]):
            for vector in self._encode(group):
                rows[done] = vector
                done += 1
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        norms[norms == 0] = 1
        unit: NDArray[np.float32] = np.divide(rows, norms, dtype=np.float32)
        return unit

    def _tokens(self, text: str) -> list[int]:
        """Return the tokens between the model's begin and end tokens, cut to what fits."""
        tokens = self._model.vocabulary.encode(text, bos=True)
        return tokens if len(tokens) <= self._room else [*tokens[: self._room - 1], tokens[-1]]

    def _groups(self, texts: Sequence[list[int]]) -> Iterator[list[list[int]]]:
        for start in range(0, len(texts), _SEQUENCES):
            yield list(texts[start : start + _SEQUENCES])

    def _encode(self, group: Sequence[list[int]]) -> "Iterator[NDArray[np.float32]]":
        """Compute the sequences of one batch together."""
        import numpy as np

        self._batch.clear()
        for sequence, tokens in enumerate(group):
            self._batch.add(tokens, 0, sequence, len(tokens))
        library.recent_errors()
        if self._lib.llama_encode(self._handle, self._batch.raw) != 0:
            why = library.recent_errors() or "llama.cpp gave no reason."
            raise ResourceError("A text could not be embedded.", why, "Run `expert doctor`.")
        for sequence in range(len(group)):
            pointer = self._lib.llama_get_embeddings_seq(self._handle, sequence)
            yield np.frombuffer(ctypes.string_at(pointer, 4 * self.size), dtype=np.float32)

    def close(self) -> None:
        """Free the context and the weights."""
        if self._handle is not None:
            self._lib.llama_free(self._handle)
            self._handle = None
            self._model.close()
