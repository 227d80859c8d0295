"""How varied rows are: beside plain computations, with n-grams and with a real encoder."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dataset.conftest import Write
from expert.dataset.dedupe import Sameness
from expert.dataset.diversity import (
    Grams,
    Measure,
    Vectors,
    distinct,
    diversity,
    drawn,
    thin,
    vendi,
)  # fmt: skip
from expert.dataset.reading import Source, read_rows

WORDS = [f"word{n}" for n in range(300)]


class Fixed:
    """Gives each text the vector it was told."""

    def __init__(self, vectors: dict[str, Sequence[float]]) -> None:
        self.vectors = vectors

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text, of length 1."""
        rows = np.array([self.vectors[text] for text in texts], np.float32)
        unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def unit(count: int, size: int, seed: int = 1) -> Vectors:
    """Return random vectors of length 1."""
    rows = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)
    made: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made


@pytest.mark.parametrize("shape", [(40, 8), (8, 40), (20, 20)])
def test_vendi_is_that_of_its_definition(shape: tuple[int, int]) -> None:
    """The whole matrix of cosines gives the same as the smaller product."""
    vectors = unit(*shape)
    values = np.linalg.eigvalsh((vectors @ vectors.T).astype(np.float64) / len(vectors))
    values = values[values > 1e-9]
    assert vendi(vectors) == pytest.approx(np.exp(-(values * np.log(values)).sum()), rel=1e-3)


def test_vendi_counts_what_differs() -> None:
    """Equal rows are one; rows at right angles are as many as they are."""
    assert vendi(np.tile(unit(1, 5), (30, 1))) == pytest.approx(1, abs=1e-3)
    assert vendi(np.eye(7, dtype=np.float32)) == pytest.approx(7, abs=1e-3)


def test_measures_beside_plain_computation(write: Write) -> None:
    """Mean and nearest cosine, and the share of rows with one alike."""
    vectors = unit(60, 4)
    texts = [f"t{n}" for n in range(60)]
    path = write("a.jsonl", ({"text": text} for text in texts))
    fixed = Fixed(dict(zip(texts, vectors.tolist(), strict=True)))
    found = diversity(Source(path), Measure(fixed, "fixed", threshold=0.9))
    cosines = vectors @ vectors.T
    others = cosines[~np.eye(60, dtype=bool)].reshape(60, 59)
    assert found.similarity == pytest.approx(others.mean(), abs=1e-5)
    assert found.nearest == pytest.approx(others.max(axis=1).mean(), abs=1e-5)
    assert found.alike == pytest.approx((others.max(axis=1) >= 0.9).mean())
    assert (found.rows, found.sampled, found.measured_by) == (60, 60, "fixed")


def test_distinct_ngrams() -> None:
    """Different n-grams of all: none repeated is 1."""
    assert distinct(["a b c", "d e"], 1) == 1
    assert distinct(["a b a b"], 1) == 0.5
    assert distinct(["a b a b"], 2) == pytest.approx(2 / 3)
    assert distinct(["a"], 2) == 0


def test_grams_tell_alike_from_unlike() -> None:
    """Equal texts are equal, an added word changes little, other words everything."""
    one, same, near, far, empty = Grams().embed(
        ["find all big files", "Find ALL big files", "find all big files here", "sing a song", ""]
    )
    assert one @ same == pytest.approx(1)
    assert 0.7 < one @ near < 1
    assert abs(one @ far) < 0.3
    assert not empty.any()


def test_a_varied_set_measures_as_more_varied(write: Write) -> None:
    """Templates with one word exchanged against free combinations of words."""
    rng = random.Random(1)
    narrow = [f"please show me the {rng.choice(WORDS)} of the day" for _ in range(200)]
    wide = [" ".join(rng.choices(WORDS, k=8)) for _ in range(200)]
    first, second = (
        diversity(
            Source(write(name, ({"text": text} for text in texts))), Measure(Grams(), "n-grams")
        )
        for name, texts in (("narrow.jsonl", narrow), ("wide.jsonl", wide))
    )
    assert first.vendi < second.vendi / 2
    assert first.similarity > second.similarity
    assert first.distinct["2"] < second.distinct["2"]


def test_the_sample_is_drawn_evenly() -> None:
    """Each text is as likely as any other; fewer than the sample are all there."""
    counts: Counter[str] = Counter()
    for seed in range(2000):
        count, sample = drawn(map(str, range(20)), 5, seed)
        assert (count, len(set(sample))) == (20, 5)
        counts.update(sample)
    assert max(counts.values()) < 1.25 * min(counts.values())
    assert drawn(["a", "b"], 5, 1) == (2, ["a", "b"])


def test_thinning_out(write: Write, tmp_path: Path) -> None:
    """No two rows that stay are as alike as the threshold, and each that goes is like one."""
    rng = random.Random(3)
    texts = [" ".join(rng.choices(WORDS[:12], k=5)) for _ in range(600)]
    path = write("a.jsonl", ({"prompt": text, "answer": str(n)} for n, text in enumerate(texts)))
    measure = Measure(Grams(), "n-grams", Sameness("prompt"), threshold=0.6)
    rows, kept = thin(Source(path), tmp_path / "b.jsonl", measure)
    found = [row.prompt for row in read_rows(Source(tmp_path / "b.jsonl"))]
    assert (rows, kept) == (600, len(found))
    left = iter(texts)
    assert all(text in left for text in found)  # in their order
    vectors = Grams().embed(found)
    cosines = vectors @ vectors.T - 2 * np.eye(len(found))
    assert cosines.max() < 0.6 + 1e-5
    gone = Grams().embed([text for text in texts if text not in set(found)])
    assert (gone @ vectors.T).max(axis=1).min() >= 0.6 - 1e-5


def test_one_row(write: Write) -> None:
    """Alone it is neither varied nor alike to anything."""
    found = diversity(Source(write("a.jsonl", [{"text": "x"}])), Measure(Grams(), "n-grams"))
    assert (found.similarity, found.alike) == (0.0, 0.0)
    assert found.vendi == pytest.approx(1)
