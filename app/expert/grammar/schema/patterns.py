"""Regular expressions of schemas, matched in linear time by the mask engine itself.

Python's `re` needs exponential time on some expressions, and reads others than ECMA-262, which
JSON Schema names. It is used only for what the engine lacks, look-around and back references,
and then refuses repetitions inside each other.
"""

import json
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from expert.errors import UsageError
from expert.grammar import chars
from expert.grammar.schema.expression import class_members
from expert.grammar.schema.probe import byte_matcher

if TYPE_CHECKING:
    from llguidance import LLMatcher

_SPACE = r"\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_SETS = {"d": "0-9", "w": "0-9A-Za-z_", "s": _SPACE}
_CONTROLS = chars.ranges([(1, 0x1F)])
_ESCAPED = chars.of('"\\')
_OPERATORS = re.compile(r"\[|&&|--|~~")
_GROUP = re.compile(r"\(\?(?![:=!]|<[=!]|<[A-Za-z_$][\w$]*>)")
_LACKING = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9k]")
_NESTED = re.compile(r"[*+}]\??\)[*+{]")
_LONGEST = 2000  # characters matched by `re`


@lru_cache(maxsize=4096)
def search(pattern: str, text: str) -> bool:
    """Tell whether *pattern* matches somewhere in *text*, in the sense of ECMA-262.

    Raises:
        UsageError: it is no regular expression, or one that could take for ever.
    """
    matcher = _engine_matcher(pattern)
    if matcher is None:
        return len(text) <= _LONGEST and _python_pattern(pattern).search(text) is not None
    string = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f").encode()
    matcher = matcher.deep_copy()
    return matcher.try_consume_tokens(list(string)) == len(string) and matcher.is_accepting()


def unusable(pattern: str) -> str:
    """Return why `search` could not use *pattern*, or nothing."""
    try:
        if not engine_reads(pattern):
            _python_pattern(pattern)
    except UsageError as error:
        return error.why
    return ""


def is_plain(pattern: str) -> bool:
    """Tell whether *pattern* has nothing that the mask engine is known to lack."""
    return not _LACKING.search(pattern)


def engine_reads(pattern: str) -> bool:
    """Tell whether the mask engine reads *pattern*."""
    return _engine_matcher(pattern) is not None


def is_expression(text: str) -> bool:
    """Tell whether *text* is a regular expression of ECMA-262; in doubt it is not."""
    plain = re.sub(r"\\\\", "", text)
    if _GROUP.search(re.sub(r"\\.", "", text)) or re.search(r"\\[aAZzQE]", plain):
        return False
    try:
        re.compile(_to_python(to_engine_syntax(text)))
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def to_engine_syntax(pattern: str) -> str:
    """Write the character classes of ECMA-262 out, which other engines read differently."""
    made: list[str] = []
    inside, opened, index = False, 0, 0
    while index < len(pattern):
        part = pattern[index : index + 2] if pattern[index] == "\\" else pattern[index]
        if part[1:] == "c" and pattern[index + 2 : index + 3].isalpha():
            part = pattern[index : index + 3]
        index += len(part)
        opened = len(made) if part == "[" and not inside else opened
        made.append(_written_out(part, inside))
        if inside and part == "]":
            made[opened:] = [_class("".join(made[opened:]))]
        inside = part == "[" or (inside and part != "]")
    return "".join(made)


def _class(written: str) -> str:
    """Return a class of characters as the engine reads it in the sense of ECMA-262.

    To Rust brackets in a class are a class inside, and doubled signs operators; llguidance 1.9
    lets a class of all control characters match a quote and a backslash, so U+0000 is left out.
    """
    members = class_members(written)
    if not members:
        return written
    wide = chars.intersect(members, _CONTROLS) == _CONTROLS
    misread = wide and chars.intersect(members, _ESCAPED) != _ESCAPED
    if misread or _OPERATORS.search(written, 1):
        return "[" + "".join(map(_range, members)) + "]"
    return written


def _range(ends: tuple[int, int]) -> str:
    return "-".join(map(_point, dict.fromkeys(ends)))


def _point(point: int) -> str:
    if point > 0xFFFF:
        return chr(point)
    return f"\\x{point:02x}" if point < 256 else f"\\u{point:04x}"


def _written_out(part: str, inside: bool) -> str:
    if len(part) == 3:
        return f"\\x{ord(part[2]) % 32:02x}"
    kind = part[1:].lower()
    if kind not in _SETS or (inside and part[1].isupper()):
        return part
    members = _SETS[kind]
    return members if inside else f"[{'^' if part[1].isupper() else ''}{members}]"


@cache
def _engine_matcher(pattern: str) -> "LLMatcher | None":
    schema = json.dumps({"type": "string", "pattern": pattern})
    matcher = byte_matcher(f"start: %json {schema}")
    return None if matcher.is_error() else matcher


@cache
def _python_pattern(pattern: str) -> re.Pattern[str]:
    try:
        if _NESTED.search(pattern):
            raise re.error("a repetition is repeated, which could take for ever")
        return re.compile(_to_python(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"The pattern {pattern!r} cannot be used.",
            f"Not as an expression without look-around, nor with it: {error}.",
            "Rewrite it without look-around and back references.",
        ) from error


def _to_python(pattern: str) -> str:
    """Return *pattern* in the syntax of Python's `re`."""

    def translate(found: re.Match[str]) -> str:
        text = found[0]
        known = {"$": r"\Z", "[]": r"(?!)", "[^]": r"[\s\S]", r"\/": "/", r"\-": r"\-"}
        if text.startswith("(?<"):
            return "(?P<" + text[3:]
        return f"(?P={text[3:-1]})" if text.startswith(r"\k") else known.get(text, text)

    parts = r"\(\?<(?![=!])|\\k<\w+>|\\.|\[\^?\]|\[(?:\\.|[^\]\\])*\]|\$"
    return re.sub(parts, translate, pattern, flags=re.DOTALL)
