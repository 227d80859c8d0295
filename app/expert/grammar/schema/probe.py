"""The mask engine on plain bytes: whether it reads a grammar, before any model is loaded."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer


def engine_error(grammar: str) -> str:
    """Return why the engine refuses *grammar*, in its words, or nothing."""
    matcher = byte_matcher(grammar)
    return matcher.get_error().strip().partition("\n")[0] if matcher.is_error() else ""


def byte_matcher(grammar: str) -> "LLMatcher":
    """Return a matcher of *grammar* whose tokens are bytes; it may be in an error state."""
    from llguidance import LLMatcher, LLParserLimits

    limits = LLParserLimits(verbose_errors=False)
    return LLMatcher(_bytes(), grammar, log_level=0, limits=limits)


@cache
def _bytes() -> "LLTokenizer":
    from llguidance import LLTokenizer

    return LLTokenizer("byte")
