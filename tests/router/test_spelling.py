"""Typing errors in words that matter are corrected, other words are left alone."""

import pytest

from expert.router.spelling import corrected, spellings

TABLE = spellings(["commit", "message", "translate", "select", "shell"])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("comit", "commit"),
        ("commmit", "commit"),
        ("mesage", "message"),
        ("transalte", "translate"),
        ("selact", "select"),
        ("selct", "select"),
    ],
)
def test_one_error(typed: str, meant: str) -> None:
    """A missing, surplus, swapped or wrong letter."""
    assert corrected(typed, {}, TABLE) == meant


@pytest.mark.parametrize("word", ["sell", "shoe", "commission", "x", "", "12345", "messengers"])
def test_other_words_stay(word: str) -> None:
    """Short, different and known words are what they are."""
    assert corrected(word, {}, TABLE) == word


def test_a_known_word_is_no_error() -> None:
    """`smell` is one letter from `shell`, but a word of its own."""
    assert corrected("smell", {}, TABLE) == "shell"
    assert corrected("smell", {"smell": 1.0}, TABLE) == "smell"


def test_an_ambiguous_error_is_left() -> None:
    """What could be two words is neither."""
    table = spellings(["parse", "purse"])
    assert corrected("prse", {}, table) == "prse"
