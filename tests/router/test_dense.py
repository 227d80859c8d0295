"""Dense embeddings behind the router: any embedder, kept in the cache."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from expert.errors import NotFoundError
from expert.router.dense import DenseIndex, Remembered
from expert.router.features import DENSE
from expert.router.index import build_index
from expert.router.router import Router
from expert.router.sentence import SentenceEmbedder
from expert.router.types import Candidate, RouteRequest


class Letters:
    """An embedder that counts letters; it remembers how much it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def identity(self) -> str:
        return "letters"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the direction of the letter counts."""
        self.asked += len(texts)
        rows = np.array(
            [[1 + text.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts],
            dtype=np.float32,
        )
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def test_an_example_is_most_like_itself(candidates: list[Candidate]) -> None:
    """The request that is an example of an expert has likeness 1 with it."""
    dense = DenseIndex(build_index(candidates), Letters(), None)
    likeness = dense.likenesses(RouteRequest(candidates[0].examples[0]))
    assert len(likeness.best) == len(candidates) + 1
    assert likeness.best[0] == pytest.approx(1.0, abs=1e-5)
    assert likeness.mean[0] <= likeness.best[0]
    assert likeness.documents[0] == 0


def test_examples_are_embedded_once(candidates: list[Candidate], tmp_path: Path) -> None:
    """A second router reads the vectors; a damaged file is made again."""
    first, second, third = Letters(), Letters(), Letters()
    index = build_index(candidates)
    DenseIndex(index, first, tmp_path)
    (file,) = tmp_path.glob("*.npy")
    DenseIndex(index, second, tmp_path)
    file.write_bytes(b"x")
    DenseIndex(index, third, tmp_path)
    assert (first.asked, second.asked, third.asked) == (len(index.texts), 0, len(index.texts))


def test_remembered() -> None:
    """A text is embedded once however often it is asked for."""
    inner = Letters()
    once = Remembered(inner)
    assert (once.embed(["a", "b", "a"]) == Letters().embed(["a", "b", "a"])).all()
    once.embed(["b", "a"])
    assert inner.asked == 2
    assert once.identity == "letters"


def test_the_router_takes_an_embedder(candidates: list[Candidate]) -> None:
    """With one, the parameters fitted with embeddings are used."""
    router = Router(candidates, Letters())
    measured = router.measure(RouteRequest("SQL query for all users"))
    assert all(measured.column(name).any() for name in DENSE)
    without = Router(candidates).measure(RouteRequest("SQL query for all users"))
    assert not any(without.column(name).any() for name in DENSE)
    assert router.route(RouteRequest("@sql x")).choices


def test_sentence_transformers_needs_a_model(tmp_path: Path) -> None:
    """An empty folder is said to be no model; nothing is downloaded."""
    pytest.importorskip("sentence_transformers")
    with pytest.raises(NotFoundError, match="holds no sentence-transformers model"):
        SentenceEmbedder(tmp_path)
