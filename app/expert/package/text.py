"""Which characters a manifest may hold: text that cannot act on the terminal that shows it."""

import unicodedata
from collections.abc import Iterator
from typing import Any

MULTILINE = frozenset({"system_prompt", "description", "example", "workaround", "examples", "stop"})
"""Fields that may hold line breaks and tabs."""
_BIDI = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x61C)))
_TAGS = range(0xE0000, 0xE0080)


def texts(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in plain data with the name of the field it is in, keys included."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield field, str(key)
            yield from texts(item, key)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item, field)


def inert(text: str, *, multiline: bool) -> bool:
    """Tell whether *text* has no control, bidirectional, tag or line-separating characters."""
    if text.isascii() and text.isprintable():
        return True
    return all(_inert(char) or (multiline and char in "\n\t") for char in text)


def _inert(char: str) -> bool:
    if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
        return False
    return char not in _BIDI and ord(char) not in _TAGS
