"""Text on a screen: nothing in it acts, and an editor's text keeps its length."""

import random
import unicodedata

from expert.screen import one_line, printable, screen_text, symbols

ACTING = "\x00\x07\x08\x1b\x7f\x80\x9b\x9f\r\u202e\u2066\u2069"


def acts(text: str) -> bool:
    """Tell whether a terminal could obey something in *text*, by what Unicode says of it."""
    kinds = [unicodedata.category(char) for char in text if char not in "\n\t"]
    directions = {unicodedata.bidirectional(char) for char in text}
    return "Cc" in kinds or "Cs" in kinds or bool(directions & {"LRO", "RLO", "LRE", "RLE", "PDF"})


def test_no_character_at_all_acts() -> None:
    """Alone and among others, whichever of all there are; the rest is shown as it is."""
    # Beyond the first plane and its neighbour, Unicode has none; looking at all takes seconds.
    acting = [char for char in map(chr, range(0x11000)) if acts(char)]
    assert len(acting) > 2000 and set(ACTING[:9]) <= set(acting)
    for show in (screen_text, one_line, symbols):
        assert not acts(show("a".join(acting)))
        assert show("é日 😀\u200d") == "é日 😀\u200d"


def test_an_editor_keeps_its_length() -> None:
    """Each character stands for one, so that the cursor is where it is drawn."""
    source = random.Random(1)
    pool = [*ACTING, *"ab é日\n\t", "\ud800", "\udcff", "\udfff", "\U0001f600"]
    for _ in range(300):
        text = "".join(source.choices(pool, k=source.randrange(12)))
        shown = symbols(text)
        assert len(shown) == len(text)
        kept = [(old, new) for old, new in zip(text, shown, strict=True) if old in "ab é日\n\t"]
        assert all(old == new for old, new in kept)
    assert symbols("\x1b[31m\x7f") == "␛[31m\ufffd"


def test_what_is_shown_instead_can_be_told() -> None:
    """Control pictures, or the number of what has none."""
    assert screen_text("\x00\x1b\r") == "␀␛␍"
    assert screen_text("\x7f\x9b\u202e") == "\\u007f\\u009b\\u202e"
    assert screen_text("a\n\tb") == "a\n\tb"
    assert one_line(" a\n\t b\x1b ") == "a b␛"


def test_bytes_that_are_no_characters_are_one_sign() -> None:
    """Whole characters that came as single bytes become what they are."""
    assert printable("caf\udcc3\udca9") == "café"
    assert printable("a\udcffb\ud800") == "a\ufffdb\ufffd"
