"""Sentence embeddings by llama.cpp from our own GGUF, beside sentence-transformers."""

from pathlib import Path

import numpy as np
import pytest

from expert.engine.embedding import MAX_TOKENS, Embedding
from expert.errors import NotFoundError, UsageError, VerificationError
from expert.router.sentence import SentenceEmbedder

pytestmark = pytest.mark.slow
TEXTS = [
    "what is the capital of Australia",
    "Write a SQL query that counts all users!",
    "Größe & Maß — naïve café, ÉCOLE",
    "日本で一番高い山は何ですか",
    "def f(x):\n    return x + 1",
    "😀 smile",
    "a",
    "",
    "word " * 1000,
]


def test_vectors_are_those_of_sentence_transformers(minilm: Path, minilm_checkpoint: Path) -> None:
    """Cosine above 0.999 with the peer, also for other scripts, no text and a cut one."""
    theirs = SentenceEmbedder(minilm_checkpoint).embed(TEXTS)
    with Embedding(minilm) as model:
        ours = model.embed(TEXTS)
    assert ours.shape == theirs.shape == (len(TEXTS), 384)
    assert ours.dtype == np.float32
    assert np.linalg.norm(ours, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)
    cosines = (ours * theirs).sum(axis=1)
    assert cosines.min() > 0.999, dict(zip(TEXTS, cosines.tolist(), strict=True))


def test_texts_do_not_influence_each_other(minilm: Path) -> None:
    """A batch gives what single texts give, in order, also beyond one batch."""
    texts = [f"text number {number}" * (1 + number % 7) for number in range(35)]
    with Embedding(minilm) as model:
        together = model.embed(texts)
        single = np.concatenate([model.embed([text]) for text in texts[::8]])
        assert model.embed([]).shape == (0, 384)
        assert len(model._tokens("word " * 1000)) == MAX_TOKENS
    assert (together[::8] * single).sum(axis=1).min() > 0.9999


def test_a_closed_model_says_so(minilm: Path) -> None:
    """Using it after closing is an error, closing twice is none."""
    model = Embedding(minilm)
    model.close()
    model.close()
    with pytest.raises(UsageError, match="closed"):
        model.embed(["x"])


def test_other_files_are_refused(tiny_path: Path, tmp_path: Path) -> None:
    """A model that makes text, a damaged and an absent file."""
    with pytest.raises(UsageError, match="makes no embeddings"):
        Embedding(tiny_path)
    with pytest.raises(NotFoundError):
        Embedding(tmp_path / "none.gguf")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(VerificationError):
        Embedding(tmp_path / "bad.gguf")


def test_threads_are_those_that_were_asked_for(minilm: Path) -> None:
    """So that a busy machine can be left alone, as for answering."""
    with Embedding(minilm, threads=1) as model:
        assert model._lib.llama_n_threads(model._handle) == 1
        assert model.embed(["one"]).shape == (1, 384)
