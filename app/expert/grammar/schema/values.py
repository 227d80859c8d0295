"""JSON values as JSON Schema compares them, and values that are still being written."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An object or array of which more members may follow."""

    value: Any


def type_of(value: Any) -> str:
    """Return the JSON type; a number without a fraction is an integer."""
    match value:
        case Unfinished(inner):
            return type_of(inner)
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def key_of(value: Any) -> object:
    """Return a hashable that is equal exactly for equal JSON values."""
    match value:
        case bool():
            return ("boolean", value)
        case list():
            return ("array", tuple(map(key_of, value)))
        case dict():
            return ("object", frozenset((name, key_of(inner)) for name, inner in value.items()))
        case _:
            return value


def is_multiple(value: float, factor: float) -> bool:
    """Tell whether *value* is a whole number of times *factor*, both as written in decimal."""
    if value in (float("inf"), float("-inf")):
        return False
    quotient = Fraction(repr(value)) / Fraction(repr(factor))
    return quotient.denominator == 1
