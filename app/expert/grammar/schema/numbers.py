"""Lists the numbers that a schema allows, where they are few whole ones between two bounds."""

import math
from collections.abc import Iterator
from typing import Any

from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.validator import Validator

_MOST = 4096  # numbers that are tried


def listed_numbers(schema: Schema, document: Document) -> list[int] | None:
    """Return all values of a schema in order; None: they are not surely few whole numbers.

    A number with a fraction is left out even where the schema allows it, as 3.0 for 3.
    """
    parts = list(_always(schema, document, 0))
    if not any(_is_number(part) for part in parts) or not _is_whole(schema, document, 0):
        return None
    lowest = [part[word] for part in parts for word in ("minimum", "exclusiveMinimum")
              if word in part]  # fmt: skip
    highest = [part[word] for part in parts for word in ("maximum", "exclusiveMaximum")
               if word in part]  # fmt: skip
    if not lowest or not highest or max(lowest) < min(highest) - _MOST:
        return None
    judge = Validator(document)
    tried = range(math.ceil(max(lowest)), math.floor(min(highest)) + 1)
    return [number for number in tried if judge.judge(schema, number) is True]


def _always(schema: Schema, document: Document, depth: int) -> Iterator[dict[str, Any]]:
    """Yield the schema and those that every value of it keeps too."""
    if isinstance(schema, bool) or depth > 16:
        return
    yield schema
    for part in _together(schema, document):
        yield from _always(part, document, depth + 1)


def _together(schema: dict[str, Any], document: Document) -> list[Schema]:
    every = list(schema.get("allOf", ()))
    return every + ([document.definitions[schema["$ref"]]] if "$ref" in schema else [])


def _is_number(schema: dict[str, Any]) -> bool:
    types = schema.get("type", ())
    return bool(types) and set([types] if isinstance(types, str) else types) <= {
        "integer",
        "number",
    }


def _is_whole(schema: Schema, document: Document, depth: int) -> bool:
    """Tell whether every number that keeps the schema is surely whole."""
    if isinstance(schema, bool):
        return not schema
    if depth > 16:
        return False
    step = schema.get("multipleOf", 0.5)
    if schema.get("type") in ("integer", ["integer"]) or step == int(step):
        return True
    if any(_is_whole(part, document, depth + 1) for part in _together(schema, document)):
        return True
    ways = [schema[word] for word in ("anyOf", "oneOf") if word in schema]
    return any(all(_is_whole(one, document, depth + 1) for one in way) for way in ways)
