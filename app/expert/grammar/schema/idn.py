"""Internationalised host names: the labels that IDNA 2008 allows, in doubt none.

Source: RFC 5892 (code points and their contexts), RFC 5891 section 4.2, RFC 5893 (bidi rule).
"""

import unicodedata
from collections.abc import Callable

_LETTERS = frozenset(("Ll", "Lo", "Lm", "Mn", "Mc", "Nd"))
_ALLOWED = frozenset(
    "-\u00b7\u00df\u03c2\u0375\u05f3\u05f4\u0f0b\u3007\u30fb\u200c\u200d\u06fd\u06fe"
)
_FORBIDDEN = frozenset("\u0640\u07fa\u302e\u302f\u3031\u3032\u3033\u3034\u3035\u303b")
_IGNORED = (
    *((0x34F, 0x34F), (0x17B4, 0x17B5), (0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF)),
    *((0x20D0, 0x20FF), (0x1D100, 0x1D1FF), (0x1D200, 0x1D24F)),
    *((0x1100, 0x11FF), (0xA960, 0xA97F), (0xD7B0, 0xD7FF)),
)
"""Properties and blocks that RFC 5892 ignores, and Hangul in single letters: 2.3, 2.4 and 2.9."""
_VIRAMA = 9
_SEPARATORS = "\u3002\uff0e\uff61"


def is_idn_hostname(text: str) -> bool:
    """Tell whether *text* is a host name that may have labels in any script."""
    for separator in _SEPARATORS:
        text = text.replace(separator, ".")
    labels = text.split(".")
    plain = [_decoded(label) for label in labels]
    right_to_left = any(_has_class(label, "R", "AL", "AN") for label in plain)
    return (
        len(text) <= 253
        and all(map(is_label, labels))
        and not (right_to_left and any(label[0].isdigit() for label in plain))
    )


def is_label(label: str) -> bool:
    """Tell whether *label* is one part of a host name, plain, in Unicode, or as `xn--`."""
    if not label or len(label) > 63 or label.startswith("-") or label.endswith("-"):
        return False
    if label[:4].lower() == "xn--" and label.isascii():
        return _is_encoded(label[4:].lower())
    if label[2:4] == "--":
        return False
    if label.isascii():
        return all(char.isalnum() or char == "-" for char in label)
    return _is_unicode_label(label)


def _decoded(label: str) -> str:
    if label[:4].lower() != "xn--":
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return label


def _has_class(label: str, *classes: str) -> bool:
    return any(unicodedata.bidirectional(char) in classes for char in label)


def _is_encoded(code: str) -> bool:
    try:
        label = code.encode("ascii").decode("punycode")
        again = label.encode("punycode").decode("ascii")
    except (UnicodeError, ValueError, OverflowError):
        return False
    return again == code and not label.isascii() and is_label(label)


def _is_unicode_label(label: str) -> bool:
    try:
        short = len(label.encode("punycode")) + 4 <= 63
    except UnicodeError:
        return False
    return (
        short
        and unicodedata.is_normalized("NFC", label)
        and not unicodedata.category(label[0]).startswith("M")
        and all(map(_is_allowed, label))
        and all(
            rule(label, index) for index, char in enumerate(label) if (rule := _CONTEXT.get(char))
        )
        and not (_has(label, "\u0660", "\u0669") and _has(label, "\u06f0", "\u06f9"))
        and _is_bidi(label)
    )


def _is_allowed(char: str) -> bool:
    known = unicodedata.category(char) in _LETTERS or char in _ALLOWED
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold())
    stable = folded == char or char in _ALLOWED
    ignored = any(first <= ord(char) <= last for first, last in _IGNORED)
    return known and stable and char not in _FORBIDDEN and not ignored


def _has(label: str, first: str, last: str) -> bool:
    return any(first <= char <= last for char in label)


def _named(char: str, *scripts: str) -> bool:
    return unicodedata.name(char, "").startswith(scripts)


def _joiner(label: str, index: int) -> bool:
    return index > 0 and unicodedata.combining(label[index - 1]) == _VIRAMA


def _middle_dot(label: str, index: int) -> bool:
    return label[index - 1 : index + 2] == "l\u00b7l"


def _keraia(label: str, index: int) -> bool:
    return index + 1 < len(label) and _named(label[index + 1], "GREEK")


def _hebrew_mark(label: str, index: int) -> bool:
    return index > 0 and _named(label[index - 1], "HEBREW")


def _katakana_dot(label: str, _: int) -> bool:
    others = (char for char in label if char != "\u30fb")
    return any(_named(char, "HIRAGANA", "KATAKANA", "CJK", "IDEOGRAPHIC") for char in others)


_CONTEXT: dict[str, Callable[[str, int], bool]] = {
    "\u00b7": _middle_dot,
    "\u0375": _keraia,
    "\u05f3": _hebrew_mark,
    "\u05f4": _hebrew_mark,
    "\u30fb": _katakana_dot,
    "\u200c": _joiner,
    "\u200d": _joiner,
}


def _is_bidi(label: str) -> bool:
    classes = [unicodedata.bidirectional(char) for char in label]
    if not _has_class(label, "R", "AL", "AN"):
        return True
    if classes[0] not in ("R", "AL") or {"EN", "AN"} <= set(classes):
        return False
    body = [one for one in classes if one != "NSM"]
    allowed = {"R", "AL", "AN", "EN", "ES", "CS", "ET", "ON", "BN"}
    return set(body) <= allowed and body[-1] in ("R", "AL", "EN", "AN")
