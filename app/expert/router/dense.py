"""Similarity by dense embeddings: any model that turns texts into vectors of length 1."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from expert.router.features import Likenesses, Owners
from expert.router.index import Index
from expert.router.reading import clean
from expert.router.types import RouteRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CHARACTERS = 1000
"""How much of a request is embedded."""


class Embedder(Protocol):
    """Turns texts into vectors of length 1."""

    @property
    def identity(self) -> str:
        """What tells its vectors from those of another model."""

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return one row for each text."""


class Remembered:
    """An embedder that embeds each text once, for work that asks for the same texts again."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, NDArray[np.float32]] = {}

    @property
    def identity(self) -> str:
        return self._embedder.identity

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return one row for each text."""
        import numpy as np

        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= dict(zip(new, self._embedder.embed(new), strict=True))
        return np.stack([self._known[text] for text in texts])


class DenseIndex:
    """The embeddings of all candidates' examples, computed once and kept in the cache."""

    def __init__(self, index: Index, embedder: Embedder, cache: Path | None) -> None:
        self._owners = Owners(index.owners)
        self._embedder = embedder
        self._vectors = _load(index.texts, embedder, cache)

    def likenesses(self, request: RouteRequest) -> Likenesses:
        """Return how alike a request is to each candidate's examples, and at last the base's."""
        texts = (request.prompt, *(attachment.text for attachment in request.attachments))
        vector = self._embedder.embed([clean("\n".join(texts))[:MAX_CHARACTERS]])[0]
        return self._owners.likenesses((self._vectors @ vector).astype("float64"))


def _load(texts: Sequence[str], embedder: Embedder, cache: Path | None) -> "NDArray[np.float32]":
    if cache is None:
        return embedder.embed(texts)
    import numpy as np

    key = hashlib.sha256(repr((embedder.identity, list(texts))).encode()).hexdigest()[:32]
    path = cache / f"{key}.npy"
    try:
        found: NDArray[np.float32] = np.load(path, allow_pickle=False)
        if found.ndim == 2 and len(found) == len(texts):
            return found
    except (OSError, ValueError, EOFError):
        pass
    vectors = embedder.embed(texts)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with draft.open("wb") as file:
            np.save(file, vectors, allow_pickle=False)
        draft.replace(path)
    except OSError:
        pass  # a cache that cannot be written costs time, not correctness
    return vectors
