"""Measures of prose over random texts, beside the script of SQuAD and sacrebleu."""

import random
import re
import string
from collections import Counter

import pytest

from expert.metrics import text

WORDS = ["the", "a", "An", "cat", "Cat,", "sat.", "it's", "Größe", "x-y", "--", "", "the-", "42"]


def squad_f1(prediction: str, truth: str) -> float:
    """The F1 of evaluate-v1.1.py, line by line, for texts that keep a word."""

    def normalised(raw: str) -> list[str]:
        lowered = "".join(ch for ch in raw.lower() if ch not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", lowered).split()).split()

    found, wanted = normalised(prediction), normalised(truth)
    common = sum((Counter(found) & Counter(wanted)).values())
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("seed", range(4))
def test_f1_is_that_of_squads_script(seed: int) -> None:
    """On random texts with marks, articles and words that stand twice."""
    draw = random.Random(seed)
    for _ in range(80):
        one, two = (" ".join(draw.choices(WORDS, k=draw.randint(0, 6))) for _ in "ab")
        found = text.token_f1(one, two)
        assert found == text.token_f1(two, one) and 0 <= found <= 1
        if text.words(one) and text.words(two):
            assert found == pytest.approx(squad_f1(one, two))
        else:
            assert found == float(text.words(one) == text.words(two))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("The cat's a cat.", ["cats", "cat"]),
        ("an-the", ["anthe"]),
        ("theatre, another", ["theatre", "another"]),
        ("THE\tA\nAN", []),
        ("ÄÖ ß", ["äö", "ß"]),
        ("…", ["…"]),
        ("", []),
    ],
)
def test_which_words_count(raw: str, words: list[str]) -> None:
    """Lower case, without ASCII marks and articles; an article inside a word stays."""
    assert text.words(raw) == words


def test_word_order_means_nothing_to_f1_and_much_to_bleu() -> None:
    """Shuffled texts share all words; of their n-grams nearly none."""
    same = ["one two three four five six", "seven eight nine ten eleven twelve"]
    mixed = ["six four two one three five", "twelve nine seven ten eight eleven"]
    assert all(text.token_f1(a, b) == 1 for a, b in zip(same, mixed, strict=True))
    bleu = text.corpus(mixed, same)["corpus BLEU"][0]
    assert bleu < 0.2 < text.corpus(mixed, same)["corpus chrF"][0]


@pytest.mark.parametrize(
    ("answer", "reference", "low", "high"),
    [
        ("abc", "abc", 1, 1),
        ("abc", "xyz", 0, 0),
        ("", "abc", 0, 0),
        ("abcd", "abcx", 0.2, 0.9),
    ],
)
def test_chrf_runs_from_none_to_all(answer: str, reference: str, low: float, high: float) -> None:
    """Nothing shared is 0, everything 1, as shares and not as percent."""
    assert low - 1e-9 <= text.chrf(answer, reference) <= high + 1e-9


def test_worse_answers_score_worse() -> None:
    """With every further answer spoilt, both corpus figures fall, inside their intervals."""
    references = [f"add the option number{n} to the parser of commands" for n in range(8)]
    figures = []
    for spoilt in (0, 3, 8):
        answers = ["nothing of that kind"] * spoilt + references[spoilt:]
        found = text.corpus(answers, references)
        figures.append([found[name][0] for name in ("corpus BLEU", "corpus chrF")])
        assert all(low <= share <= high for share, (low, high) in found.values())
    assert figures[0] == pytest.approx([1, 1])
    for better, worse in zip(figures, figures[1:], strict=False):
        assert better[0] > worse[0] and better[1] > worse[1]


def test_answers_without_references_are_refused() -> None:
    """A missing pair would shift every row behind it."""
    with pytest.raises(ValueError, match="zip"):
        text.corpus(["a", "b"], ["a"])
