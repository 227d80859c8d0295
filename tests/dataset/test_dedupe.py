"""Duplicates: hashes and bands beside comparing each row with each, planted copies, memory."""

import random
from pathlib import Path

import numpy as np
import pytest

from dataset.conftest import Write
from expert.dataset.dedupe import Sameness, dedupe
from expert.dataset.minhash import MinHash, NearIndex, bands_for, jaccard
from expert.dataset.reading import Skipped, Source, read_rows
from expert.dataset.rows import normal
from expert.errors import VerificationError

WORDS = [
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
    "mu", "nu", "xi",
]  # fmt: skip


def sentence(rng: random.Random, words: int = 14) -> str:
    """Return random words, each with a number so that few are alike."""
    return " ".join(f"{rng.choice(WORDS)}{rng.randrange(1000)}" for _ in range(words))


def changed(rng: random.Random, text: str) -> str:
    """Return a text with one word exchanged."""
    words = text.split()
    words[rng.randrange(len(words))] = rng.choice(WORDS)
    return " ".join(words)


def groups_of(text: str) -> set[str]:
    """Return the character groups of a text, made plainly."""
    plain = normal(text)
    return {plain[i : i + 5] for i in range(len(plain) - 4)}


def sets_alike(first: set[str], second: set[str]) -> float:
    """Return Jaccard's coefficient."""
    return len(first & second) / len(first | second)


def test_jaccard_is_that_of_the_sets() -> None:
    """For texts alike, unlike, short and empty."""
    rng, hashing = random.Random(1), MinHash(0.8)
    for _ in range(200):
        first = sentence(rng, rng.randint(1, 20))
        second = rng.choice((sentence(rng, 9), changed(rng, first), first))
        if min(len(first), len(second)) < 5:
            continue
        found = jaccard(hashing.groups(first), hashing.groups(second))
        assert found == pytest.approx(sets_alike(groups_of(first), groups_of(second)))
    assert jaccard(hashing.groups(""), hashing.groups("")) == 1
    assert jaccard(hashing.groups("a"), hashing.groups("b")) == 0


def test_case_and_spacing_mean_nothing() -> None:
    """`normal` decides what is compared."""
    hashing = MinHash(0.8)
    first, second = hashing.groups("Find  the\nfile"), hashing.groups("find THE file")
    assert np.array_equal(first, second)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_miss_little(threshold: float) -> None:
    """At the threshold itself at most one in a hundred, and bands are as long as that allows."""
    bands = bands_for(threshold)
    assert (1 - threshold**bands.rows) ** bands.count <= 0.01 or bands.rows == 1
    assert bands.count * bands.rows <= 126


def test_the_index_agrees_with_comparing_all() -> None:
    """Of 400 texts with near copies among them, it drops what comparing each with each drops."""
    rng = random.Random(7)
    texts = [sentence(rng) for _ in range(200)]
    texts += [changed(rng, rng.choice(texts)) for _ in range(200)]
    rng.shuffle(texts)
    index = NearIndex(0.8)
    dropped = {n for n, text in enumerate(texts) if index.add(text) is not None}
    kept: list[set[str]] = []
    wanted = set()
    for number, groups in enumerate(map(groups_of, texts)):
        if any(sets_alike(groups, other) >= 0.8 for other in kept):
            wanted.add(number)
        else:
            kept.append(groups)
    assert len(wanted) > 100
    assert len(wanted ^ dropped) <= len(wanted) // 50
    assert len(index) == len(texts) - len(dropped)


def test_unlike_texts_stay() -> None:
    """No pair below the threshold is ever taken for near, whatever the bands say."""
    rng = random.Random(3)
    index = NearIndex(0.95)
    texts = [sentence(rng) for _ in range(300)]
    for text in texts:
        assert index.add(text) is None
    for text in texts:
        worse = " ".join(text.split()[:9])
        assert index.add(worse) is None


def test_planted_copies(write: Write, tmp_path: Path) -> None:
    """Equal and near ones go, the first of each stays, in order; fields are kept."""
    rng = random.Random(5)
    rows = [{"prompt": sentence(rng), "answer": "a", "n": str(n)} for n in range(300)]
    exact = [{**row, "prompt": row["prompt"].upper(), "n": "copy"} for row in rows[::7]]
    near = [{**row, "prompt": changed(rng, row["prompt"]), "n": "near"} for row in rows[:40]]
    path = write("a.jsonl", [*rows, *exact, *near])
    done = dedupe(Source(path), tmp_path / "b.jsonl", Sameness(threshold=0.75))
    assert (done.rows, done.exact, done.near) == (383, len(exact), 40)
    kept = list(read_rows(Source(tmp_path / "b.jsonl")))
    assert [row.extra["n"] for row in kept] == [str(n) for n in range(300)]
    assert len(done.examples) == 5
    again = dedupe(Source(tmp_path / "b.jsonl"), tmp_path / "c.jsonl", Sameness(threshold=0.75))
    assert again.kept == again.rows == 300


def test_exact_only(write: Write, tmp_path: Path) -> None:
    """Without a threshold near ones stay."""
    path = write("a.jsonl", [{"text": "one two three four five six"}] * 3)
    with path.open("a") as file:
        file.write('{"text": "one two three four five sixx"}\n')
    done = dedupe(Source(path), tmp_path / "b.jsonl", Sameness(threshold=None))
    assert (done.kept, done.exact, done.near) == (2, 2, 0)


@pytest.mark.parametrize(("by", "kept"), [("all", 3), ("prompt", 2), ("answer", 2)])
def test_what_is_compared(by: str, kept: int, write: Write, tmp_path: Path) -> None:
    """The whole row, what it asks, or its answer."""
    rows = [
        {"prompt": "how many birds are there", "answer": "select count(*) from bird"},
        {"prompt": "how many birds are there", "answer": "entirely different words here"},
        {"prompt": "show me all rivers, please", "answer": "select count(*) from bird"},
    ]
    path = write("a.jsonl", rows)
    done = dedupe(Source(path), tmp_path / "b.jsonl", Sameness(by))  # type: ignore[arg-type]  # one of them
    assert done.kept == kept


def test_a_bad_row_ends_it_before_anything_is_written(write: Write, tmp_path: Path) -> None:
    """Or is left out, in both readings."""
    rows = [{"text": f"text number {n} " + "x" * n} for n in range(20)]
    path = write("a.jsonl", [*rows[:10], "{", *rows[10:]])
    with pytest.raises(VerificationError, match="Line 11"):
        dedupe(Source(path), tmp_path / "b.jsonl", Sameness())
    assert not (tmp_path / "b.jsonl").exists()
    done = dedupe(Source(path), tmp_path / "b.jsonl", Sameness(threshold=0.99), Skipped())
    assert (done.rows, done.skipped) == (20, 1)


@pytest.mark.parametrize("text", ["", "a", "\u200b", "x" * 100_000, "\U0001f600" * 9, "ﬃ ß İ"])
def test_texts_of_any_kind(text: str) -> None:
    """Short, long and odd ones have groups, and are like themselves."""
    index = NearIndex(0.8)
    assert index.add(text) is None
    assert index.add(text) == 0


def test_only_suspects_are_kept_in_memory(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that share a band with no other are written without being remembered."""
    rng = random.Random(2)
    texts = [sentence(rng) for _ in range(400)]
    texts.append(changed(rng, texts[0]))
    added = []
    add = NearIndex.add

    def counted(index: NearIndex, text: str) -> int | None:
        added.append(text)
        return add(index, text)

    monkeypatch.setattr(NearIndex, "add", counted)
    path = write("a.jsonl", ({"text": text} for text in texts))
    done = dedupe(Source(path), tmp_path / "b.jsonl", Sameness(threshold=0.75))
    assert done.near == 1
    assert {texts[0], texts[-1]} <= set(added)
    assert len(added) < 20
