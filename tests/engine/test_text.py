"""Streaming text: whole characters, exact bytes, stop sequences at any cut."""

import random

import pytest

from expert.engine.text import TextStream
from expert.screen import printable

SAMPLES = ["plain", "naïve café", "日本語テキスト", "🙂 emoji 👩‍👩‍👧", "a\r\nb\tc"]


def cuts(raw: bytes, seed: int) -> list[bytes]:
    """Cut *raw* at random places, as tokens would."""
    draw = random.Random(seed)
    places = sorted(draw.sample(range(1, len(raw)), min(len(raw) - 1, 6)))
    return [raw[a:b] for a, b in zip([0, *places], [*places, len(raw)], strict=True)]


@pytest.mark.parametrize("text", SAMPLES)
def test_any_cut_gives_the_same_text(text: str) -> None:
    """However bytes are cut into tokens, only whole characters come out, and all of them."""
    for seed in range(50):
        stream = TextStream()
        shown = [stream.push(piece) for piece in cuts(text.encode(), seed)]
        assert all(char < "\udc80" or char > "\udcff" for part in shown for char in part)
        assert "".join(shown) + stream.finish() == text


def test_bytes_that_are_no_characters_survive_exactly() -> None:
    """Invalid bytes reach a pipe unchanged and a screen as replacement characters."""
    raw = b"ab\xff\xfe c\xe2\x82"
    stream = TextStream()
    text = "".join(stream.push(raw[i : i + 1]) for i in range(len(raw))) + stream.finish()
    assert text.encode("utf-8", "surrogateescape") == raw
    assert printable(text).startswith("ab\ufffd\ufffd c\ufffd")


@pytest.mark.parametrize("stops", [("END",), ("</s>", "</"), ("aa", "ab"), ("", "x")])
def test_stop_sequences_act_at_any_cut(stops: tuple[str, ...]) -> None:
    """The text before the earliest stop comes out, whole, at every cut."""
    text = "one aXab two </s> three END four x"
    ends = [text.find(stop) for stop in stops if stop and stop in text]
    expected = text[: min(ends)]
    for seed in range(80):
        stream = TextStream(stops)
        shown = "".join(stream.push(piece) for piece in cuts(text.encode(), seed))
        assert shown + stream.finish() == expected
        assert stream.stopped


def test_text_that_only_looks_like_a_stop_is_shown_in_the_end() -> None:
    """The beginning of a stop sequence is held back, then released."""
    stream = TextStream(("STOP",))
    assert stream.push(b"go ST") == "go "
    assert stream.push(b"ART") == "START"
    assert stream.push(b" ST") == " "
    assert stream.finish() == "ST"
    assert not stream.stopped
