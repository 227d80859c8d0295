"""Answers that are JSON: whole, by field, and by whether they are what a schema allows."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

from expert.errors import ContractError
from expert.grammar.schema.contract import verify
from expert.grammar.schema.document import Document
from expert.grammar.schema.reader import parse_schema

INVALID = object()
"""Stands for an answer that is no JSON, so that it equals nothing."""


def parsed(text: str) -> Any:
    """Return the value of a JSON text, or `INVALID`."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return INVALID


def _refuse(name: str) -> None:
    raise ValueError(name)


def leaves(value: Any, path: str = "") -> Counter[tuple[str, str]]:
    """Return every field of a value with its path; the order of keys makes no difference."""
    found: Counter[tuple[str, str]] = Counter()
    if isinstance(value, dict) and value:
        for key, item in value.items():
            found += leaves(item, f"{path}/{json.dumps(key)}")
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            found += leaves(item, f"{path}/{number}")
    else:
        found[(path, json.dumps(value))] += 1
    return found


def field_f1(answer: Any, reference: Any) -> float:
    """Return the F1 of an answer's fields against the reference's, 0 to 1."""
    if answer is INVALID:
        return 0.0
    found, wanted = leaves(answer), leaves(reference)
    shared = (found & wanted).total()
    return 2 * shared / (found.total() + wanted.total())


def accuracy(answer: Any, reference: Any) -> float:
    """Return the share of the reference's fields that an answer has with the same value."""
    if answer is INVALID:
        return 0.0
    found, wanted = leaves(answer), leaves(reference)
    return (found & wanted).total() / wanted.total()


def keeps(text: str, schema: str) -> bool:
    """Tell whether a text is JSON that a JSON Schema, given as text, allows."""
    try:
        verify(_document(schema), text)
    except ContractError:
        return False
    return True


@cache
def _document(schema: str) -> Document:
    return parse_schema(schema)


def whole(answer: Any, reference: Any) -> bool:
    """Tell whether an answer has exactly the fields of the reference."""
    return answer is not INVALID and leaves(answer) == leaves(reference)
