"""Text that cannot act on the terminal that shows it."""

import re

# Everything a terminal could obey: C0 but newline and tab, DEL, C1, and bidirectional overrides.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Surrogates that stand for no byte (PEP 383 uses U+DC80 to U+DCFF).
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")

_SURROGATE = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """Return *text* with bytes that are no characters shown as U+FFFD."""
    text = _NO_BYTE.sub("\ufffd", text)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def screen_text(text: str) -> str:
    """Return *text* with everything a terminal could obey made visible instead."""
    return _UNSAFE.sub(_visible, printable(text))


def symbols(text: str) -> str:
    """Return *text* as `screen_text` does, but with one character for each, as an editor needs."""
    return _UNSAFE.sub(_symbol, _SURROGATE.sub("\ufffd", text))


def one_line(text: str) -> str:
    """Return *text* for one line of a screen: harmless, and without breaks."""
    return screen_text(" ".join(text.split()))


def _visible(match: re.Match[str]) -> str:
    symbol = _symbol(match)
    return f"\\u{ord(match[0]):04x}" if symbol == "\ufffd" else symbol


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\ufffd"  # Unicode control pictures
