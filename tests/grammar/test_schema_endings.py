"""Beginnings of JSON texts that are completed so that they keep their schema."""

import json
from typing import Any

import pytest

from expert.forms import byte_table
from expert.grammar.schema.contract import compile_schema, verify
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.smallest import small_values, smallest
from expert.grammar.schema.validator import Validator
from expert.grammar.schema.values import Unfinished
from expert.grammar.tokens import TokenTable

_INT = {"type": "integer", "minimum": 0, "maximum": 99}
_SEVEN = {"type": "array", "items": _INT, "contains": {"const": 7}, "maxItems": 5}
_UNIQUE = {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True}
_PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 2}, "age": _INT, "more": True},
    "required": ["name", "age"],
}
_KINDS = {
    "type": "object",
    "properties": {"kind": {"enum": ["x", "y"]}},
    "required": ["kind"],
    "if": {"properties": {"kind": {"const": "x"}}},
    "then": {"properties": {"size": _INT}, "required": ["size"]},
}
_DEPENDENT = {
    "type": "object",
    "properties": {"card": _INT, "owner": {"type": "string"}},
    "dependentRequired": {"card": ["owner"]},
    "additionalProperties": False,
}
_NODE = {"type": "object", "properties": {"v": _INT, "next": {"$ref": "#/$defs/n"}},
         "required": ["v"], "additionalProperties": False}  # fmt: skip
_TREE = {"$ref": "#/$defs/n", "$defs": {"n": _NODE}}


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


@pytest.mark.parametrize(
    ("schema", "beginning"),
    [
        (_SEVEN, "["),
        (_SEVEN, "[1, 2, 3, 4, "),
        (_SEVEN, "[1, 2, 3, 4"),
        (_SEVEN, "[7, 2, 3, 4, 5"),
        ({**_SEVEN, "minContains": 2, "maxContains": 2}, "[1, 7, 2, "),
        (_UNIQUE, "["),
        (_UNIQUE, "[1, "),
        (_UNIQUE, "[3, 1"),
        ({"type": "array", "minItems": 9, "uniqueItems": True, "items": _INT}, "[0, 1, 2, 3"),
        ({"type": "array", "minItems": 4, "uniqueItems": True, "items": {"type": "string"}}, '["a'),
        (_PERSON, "{"),
        (_PERSON, '{"'),
        (_PERSON, '{"name": "a'),
        (_PERSON, '{"name": "abc"'),
        (_PERSON, '{"name": "abc", '),
        (_PERSON, '{"name": "abc", "a'),
        (_PERSON, '{"name": "abc", "age": 1, "more": {"x": [[[{"y": '),
        (_PERSON, '{"name": "abc", "age": 1, "more": "\\u00'),
        (_PERSON, '{"name": "abc", "age": 1, "more": -1.'),
        (_KINDS, '{"kind": "x"'),
        (_KINDS, '{"kind": "x", "'),
        (_KINDS, '{"kind": "y"'),
        (_DEPENDENT, '{"card": 1'),
        (_DEPENDENT, '{"card": 1, '),
        (_TREE, '{"v": 1, "next": {"v": 2, "next": {'),
        ({"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}, '"AB-1'),
        ({"type": "string", "format": "date-time"}, '"2024-02-2'),
        ({"type": "integer", "multipleOf": 7, "minimum": 50}, "5"),
        ({"type": "integer", "oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]}, "1"),
        ({"not": {"maxLength": 3}, "type": "string"}, '"a'),
        ({"type": "object", "minProperties": 3}, '{"a": 1, '),
        ({"type": "object", "propertyNames": {"minLength": 3}, "minProperties": 1}, "{"),
    ],
)  # fmt: skip
def test_a_beginning_is_completed(octets: TokenTable, schema: Any, beginning: str) -> None:
    """The whole text keeps the schema, also what only the check beside the mask knows."""
    constraint = compile_schema(schema).start(octets)
    for byte in beginning.encode():
        assert constraint.allows(byte), constraint.text()
        constraint.accept(byte)
    found = constraint.ending()
    assert found is not None
    assert len(found) < 120
    verify(read_schema(schema), beginning + octets.decode(found).decode())


@pytest.mark.parametrize(
    ("value", "judgement"),
    [([1, 2, 3, 4], None), ([1, 2, 3, 4, 5], False), ([1, 7, 3, 4, 5], None), ([7], None)],
)
def test_an_array_without_room_for_what_it_must_contain_is_refused(
    value: list[int], judgement: bool | None
) -> None:
    """As soon as `maxItems` leaves no place for it, not only when the array ends."""
    document = read_schema(_SEVEN)
    assert Validator(document).judge(document.root, Unfinished(value)) is judgement
    assert Validator(document).judge(document.root, value) is (7 in value)


def test_room_is_counted_for_every_item_that_is_missing() -> None:
    """`minContains` of two needs two places."""
    document = read_schema({**_SEVEN, "minContains": 2})
    judge = Validator(document).judge
    assert judge(document.root, Unfinished([1, 2, 3])) is None
    assert judge(document.root, Unfinished([1, 2, 3, 4])) is False
    assert judge(document.root, Unfinished([1, 7, 3, 4])) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 5, "maximum": 30},
        {"type": "integer", "multipleOf": 10},
        {"type": "string", "minLength": 3},
        {"enum": ["a", 1, None, {"b": 2}]},
    ],
)
def test_small_values_differ_and_keep_the_schema(schema: Any) -> None:
    """There are several, so that one can be found that is not in an array yet."""
    document = read_schema(schema)
    judge = Validator(document)
    found = [*small_values(judge, [document.root])]
    assert len(found) >= 4
    assert len({json.dumps(value) for value in found}) == len(found)
    assert all(judge.judge(document.root, value) for value in found)


@pytest.mark.parametrize(
    "schema",
    [
        _UNIQUE,
        {**_SEVEN, "minContains": 3},
        {"type": "array", "minItems": 12, "uniqueItems": True, "items": _INT},
        {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"type": "boolean"}},
    ],
)
def test_a_smallest_array_keeps_what_binds_its_items_together(schema: Any) -> None:
    """Equal items are avoided, and contained ones counted."""
    document = read_schema(schema)
    judge = Validator(document)
    found = smallest(judge, [document.root])
    assert found is not None and judge.judge(document.root, found[0])


def test_there_is_no_smallest_value_of_what_nothing_keeps() -> None:
    """The search ends without one."""
    document = read_schema({"type": "array", "minItems": 3, "uniqueItems": True,
                            "items": {"type": "boolean"}})  # fmt: skip
    assert smallest(Validator(document), [document.root]) is None
