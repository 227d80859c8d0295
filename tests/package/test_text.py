"""Which characters a manifest may hold: by Unicode's own table."""

import sys
import unicodedata

import pytest

from expert.package.text import inert, texts


def test_every_character_that_acts_is_refused() -> None:
    """Controls, surrogates, separators of lines, tags and direction marks, and no letter."""
    acting = {"Cc", "Cs", "Zl", "Zp"}
    direction = set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        bad = unicodedata.category(char) in acting or char in direction or 0xE0000 <= code < 0xE0080
        assert inert(char, multiline=False) is not bad, hex(code)


@pytest.mark.parametrize("text", ["", "plain", "é漢字", "👩‍👩‍👧", "naïve — “quoted”", "a\u0301"])
def test_ordinary_text_is_inert(text: str) -> None:
    """In any script, with accents and joined pictures."""
    assert inert(text, multiline=False)


def test_line_breaks_only_where_there_are_lines() -> None:
    """And carriage returns nowhere."""
    assert inert("a\n\tb", multiline=True)
    assert not inert("a\n\tb", multiline=False)
    assert not inert("a\r\nb", multiline=True)


def test_all_texts_are_visited_with_their_fields() -> None:
    """Keys as well, at any depth."""
    found = list(texts({"a": ["x", {"b": "y"}], "c": 1, "d": ("z",)}))
    assert found == [
        ("", "a"), ("a", "x"), ("a", "b"), ("b", "y"), ("", "c"), ("", "d"), ("d", "z"),
    ]  # fmt: skip
