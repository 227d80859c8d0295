"""Measures of prose beside sacrebleu's own entry points and scikit-learn."""

from typing import Any

import pytest

from expert.metrics import text

PAIRS = [
    ("handle empty files in the parser", "handle an empty file in the parser"),
    ("add tests for the loader", "add tests for the loader"),
    ("remove unused import", "drop the unused imports of cli"),
    ("completely different words here", "update the changelog"),
    ("", "bump version"),
]


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("the cat sat", "a cat sat", 1.0),  # articles do not count
        ("cat", "cat sat", 2 / 3),
        ("cat cat", "cat", 2 / 3),  # a word counts as often as it stands there
        ("Cat!", "cat", 1.0),
        ("", "", 1.0),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
    ],
)
def test_shared_words_by_hand(answer: str, reference: str, f1: float) -> None:
    """SQuAD's F1, worked out by hand."""
    assert text.token_f1(answer, reference) == pytest.approx(f1)
    assert text.token_f1(reference, answer) == pytest.approx(f1)


def test_shared_words_agree_with_scikit_learn() -> None:
    """Where no word stands twice, it is the F1 of the words as labels."""
    metrics: Any = pytest.importorskip("sklearn.metrics")
    for answer, reference in PAIRS[:4]:
        found, wanted = set(text.words(answer)), set(text.words(reference))
        words = sorted(found | wanted)
        peer = metrics.f1_score([w in wanted for w in words], [w in found for w in words])
        assert text.token_f1(answer, reference) == pytest.approx(peer)


def test_bleu_and_chrf_are_sacrebleus() -> None:
    """A whole test set has the figures that sacrebleu's functions give, within their intervals."""
    sacrebleu: Any = pytest.importorskip("sacrebleu")
    answers, references = (list(part) for part in zip(*PAIRS, strict=True))
    found = text.corpus(answers, references)
    bleu = float(sacrebleu.corpus_bleu(answers, [references]).score) / 100
    chrf = float(sacrebleu.corpus_chrf(answers, [references]).score) / 100
    assert found["corpus BLEU"][0] == pytest.approx(bleu)
    assert found["corpus chrF"][0] == pytest.approx(chrf)
    for _, (low, high) in found.values():
        assert 0 <= low < high <= 1
    for answer, reference in PAIRS:
        peer = float(sacrebleu.sentence_chrf(answer, [reference]).score) / 100
        assert text.chrf(answer, reference) == pytest.approx(peer)


def test_bleu_of_equal_texts_is_one() -> None:
    """By hand: all n-grams shared is 1, none is 0; the same every time."""
    same = ["one two three four five", "six seven eight nine ten"]
    other = ["a b c d e", "f g h i j"]
    assert text.corpus(same, same)["corpus BLEU"][0] == pytest.approx(1)
    assert text.corpus(other, same)["corpus BLEU"][0] == pytest.approx(0, abs=1e-6)
    assert text.corpus(same, other) == text.corpus(same, other)
