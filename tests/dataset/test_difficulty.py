"""Perplexity beside transformers, and the strata that follow from it."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from dataset.conftest import Write
from expert.dataset.difficulty import Perplexity, difficulty, level, perplexity
from expert.dataset.reading import Skipped, Source, read_rows
from expert.dataset.rows import Row
from expert.engine.options import LoadOptions

CPU = LoadOptions(gpu_layers=0)


class Lengths:
    """Scores a row by the length of its answer, as if a model had."""

    def loss(self, row: Row) -> float | None:
        """Return the length; nothing for the longest."""
        return None if len(row.answer) > 90 else float(len(row.answer))


def peer_loss(checkpoint: Path, asked: Sequence[int], answer: Sequence[int]) -> float:
    """Return the mean loss of the answer's tokens, by transformers in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    tokens = torch.tensor([[*asked, *answer]])
    labels = tokens.clone()
    labels[0, : len(asked)] = -100
    with torch.no_grad():
        return float(model(tokens, labels=labels).loss)


@pytest.mark.parametrize(
    "row",
    [
        Row("What is the capital of France?", "Paris."),
        Row("Why?", "Because. " * 30, system="Be long.", history=(("Hello", "Hi"),)),
        Row("word " * 60, "x"),
        Row(text="The quick brown fox jumps over the lazy dog."),
    ],
)
def test_the_loss_is_that_of_transformers(row: Row, tiny_checkpoint: Path, tiny_path: Path) -> None:
    """On answers shorter and longer than what is computed at once, and on plain text."""
    with Perplexity(tiny_path, CPU, 1) as scores:
        asked, answer = scores._tokens(row)
        found = scores.loss(row)
        again = scores.loss(row)
    assert found is not None
    assert found == again
    assert found == pytest.approx(peer_loss(tiny_checkpoint, asked, answer), abs=1e-2)


def test_what_is_not_the_answer_does_not_count(tiny_path: Path) -> None:
    """The tokens before it are the template's, the answer's end belongs to it."""
    with Perplexity(tiny_path, CPU, 1) as scores:
        asked, answer = scores._tokens(Row("Hello", " Paris "))
        vocabulary = scores._model.vocabulary
        assert vocabulary.decode(asked).decode().endswith("assistant\n")
        assert vocabulary.decode(answer[:-1]) == b"Paris"
        assert vocabulary.ends(answer[-1])


def test_rows_that_do_not_fit(tiny_path: Path) -> None:
    """They have no loss, and those after them have theirs."""
    with Perplexity(tiny_path, CPU, 1) as scores:
        assert scores.loss(Row("word " * 600, "x")) is None
        assert scores.loss(Row("word", "x")) is not None


def test_pocket_finds_likely_answers_easier(pocket: Path) -> None:
    """A fitting command is less surprising than its letters in disorder."""
    with Perplexity(pocket, CPU, 1) as scores:
        good = scores.loss(Row("list all files", "ls -la"))
        bad = scores.loss(Row("list all files", "al- sl zq xv"))
    assert good is not None and bad is not None
    assert good < bad


def test_strata_by_share(write: Write, tmp_path: Path) -> None:
    """Three tenths are easy and two tenths hard; rows carry what was measured, in order."""
    path = write("a.jsonl", [{"prompt": f"p{n}", "answer": "x" * (n + 1)} for n in range(100)])
    target = tmp_path / "b.jsonl"
    found = difficulty(Source(path), target, Lengths())
    assert found.levels == {"easy": 28, "medium": 45, "hard": 17, "too long": 10}
    rows = list(read_rows(Source(target)))
    assert [row.prompt for row in rows] == [f"p{n}" for n in range(100)]
    levels = [row.extra["difficulty"] for row in rows]
    order = ["easy", "medium", "hard", "too long"]
    assert levels == sorted(levels, key=order.index)
    assert rows[0].extra["perplexity"] == pytest.approx(math.e, abs=1e-3)
    assert rows[-1].extra["perplexity"] is None


def test_strata_by_given_perplexities(write: Write, tmp_path: Path) -> None:
    """A row at a cut is of the easier level."""
    path = write("a.jsonl", [{"prompt": "p", "answer": "x" * n} for n in (1, 2, 3)])
    found = difficulty(Source(path), None, Lengths(), (math.exp(1), math.exp(2)))
    assert found.levels == {"easy": 1, "medium": 1, "hard": 1}
    assert found.median == pytest.approx(math.exp(2))
    assert list(tmp_path.iterdir()) == [path]


def test_all_too_long(write: Write) -> None:
    """Nothing to measure is no crash."""
    path = write("a.jsonl", [{"prompt": "p", "answer": "x" * 99}])
    found = difficulty(Source(path), None, Lengths())
    assert (found.levels, found.median) == ({"too long": 1}, 0.0)


def test_bad_rows_are_left_out_of_both_readings(write: Write, tmp_path: Path) -> None:
    """What is written is what was measured."""
    path = write("a.jsonl", [{"prompt": "p", "answer": "x"}, "{", {"prompt": "q", "answer": "xx"}])
    target = tmp_path / "b.jsonl"
    found = difficulty(Source(path), target, Lengths(), skipped=Skipped())
    assert (found.rows, found.skipped) == (2, 1)
    assert [row.prompt for row in read_rows(Source(target))] == ["p", "q"]


def test_levels() -> None:
    """By two ends; infinite is too long."""
    assert [level(loss, (1.0, 2.0)) for loss in (0.5, 1.0, 1.5, 2.5, math.inf)] == [
        "easy", "easy", "medium", "hard", "too long",
    ]  # fmt: skip
    assert perplexity(1e9) < math.inf
