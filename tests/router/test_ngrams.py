"""Similarity by n-grams: sparse vectors, nearest examples and naive Bayes, against plain sums."""

import math
from collections import Counter

import pytest

from expert.router.ngrams import ADDED, bayes, by_document, char_grams, word_grams

DOCUMENTS = [
    ["list", "all", "users"],
    ["delete", "all", "files"],
    ["all", "the", "songs"],
    ["all", "done"],
]


def test_word_grams() -> None:
    """Words and pairs of neighbours."""
    assert word_grams(["a", "b", "c"]) == ["a", "b", "c", "a b", "b c"]
    assert word_grams([]) == []


def test_char_grams() -> None:
    """Groups of three and four inside a word and at its ends; nothing across words."""
    assert char_grams(["ab"]) == ["^ab", "ab$", "^ab$"]
    assert not any(" " in gram for gram in char_grams(["one", "two"]))
    assert len(char_grams(["x" * 1000])) < 60


def test_a_document_is_most_like_itself() -> None:
    """The cosine with itself is 1 but for grams too common to count."""
    postings = by_document([word_grams(words) for words in DOCUMENTS])
    for number, words in enumerate(DOCUMENTS):
        scores = postings.similarities(word_grams(words))
        assert scores.argmax() == number
        assert scores[number] <= 1 + 1e-4


def test_cosines_are_those_of_dense_vectors() -> None:
    """Postings give what the textbook formula gives."""
    grams = [word_grams(words) for words in DOCUMENTS]
    postings = by_document(grams)
    query = word_grams(["delete", "all", "songs", "now"])
    size = len(grams)
    frequency = Counter(gram for document in grams for gram in set(document))

    def vector(document: list[str]) -> dict[str, float]:
        unknown = math.log(1 + size)
        weights = {
            gram: (1 + math.log(count))
            * (math.log(1 + size / frequency[gram]) if gram in frequency else unknown)
            for gram, count in Counter(document).items()
        }
        norm = math.sqrt(sum(weight**2 for weight in weights.values()))
        return {gram: weight / norm for gram, weight in weights.items()}

    common = {gram for gram, count in frequency.items() if count > 3}
    wanted = vector(query)
    for number, document in enumerate(grams):
        mine = vector(document)
        cosine = sum(w * mine.get(gram, 0) for gram, w in wanted.items() if gram not in common)
        assert postings.similarities(query)[number] == pytest.approx(cosine, abs=1e-4)


def test_nothing_is_like_nothing() -> None:
    """Unknown or no grams give no similarity, and no error."""
    postings = by_document([word_grams(words) for words in DOCUMENTS])
    assert not postings.similarities([]).any()
    assert not postings.similarities(["qqq"]).any()


def test_evidence_is_the_log_likelihood() -> None:
    """Sparse evidence equals the multinomial formula, up to what all owners share."""
    owners = [0, 1, 1, 0]
    grams = [word_grams(words) for words in DOCUMENTS]
    learnt = bayes(grams, owners, 2)
    query = ["all", "files", "qqq"]
    counts = [Counter(), Counter()]  # type: list[Counter[str]]
    for document, owner in zip(grams, owners, strict=True):
        counts[owner].update(set(document))
    vocabulary = set(counts[0]) | set(counts[1])
    known = [gram for gram in query if gram in vocabulary]

    def likelihood(owner: int) -> float:
        total = sum(counts[owner].values()) + ADDED * len(vocabulary)
        return sum(math.log((counts[owner][gram] + ADDED) / total) for gram in known)

    found = learnt.evidence(query)
    difference = (likelihood(1) - likelihood(0)) / math.sqrt(len(known))
    assert found[1] - found[0] == pytest.approx(difference, abs=1e-3)


def test_no_evidence() -> None:
    """A text without a known gram speaks for nobody."""
    assert set(bayes([["a"]], [0], 2).evidence(["b"])) == {0.0}
    assert set(bayes([], [], 2).evidence(["b"])) == {0.0}
