"""Embeddings by sentence-transformers (the extra `embed`), from a folder on this machine."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expert.errors import NotFoundError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SentenceEmbedder:
    """A sentence-transformers model; its vectors have length 1.

    Raises:
        NotFoundError: sentence-transformers is not installed, or the folder holds no model.
    """

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when it is imported
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise NotFoundError(
                "sentence-transformers is not installed.",
                str(error),
                "Install it with the extra `embed`, or give a GGUF file.",
            ) from error
        if not (folder / "modules.json").is_file():
            raise NotFoundError(
                f"{folder} holds no sentence-transformers model.",
                "It has no modules.json.",
                "Give the folder of one, such as all-MiniLM-L6-v2.",
            )
        self._folder = folder
        self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    @property
    def identity(self) -> str:
        """What tells its vectors from those of another model."""
        return f"sentence-transformers:{self._folder.absolute()}"

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return one row for each text, float32, of length 1."""
        rows: NDArray[np.float32] = self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return rows
