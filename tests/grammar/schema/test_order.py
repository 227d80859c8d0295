"""Values in the order of their schema, and the smallest values that keep one."""

import json
from itertools import islice
from typing import Any

import pytest

from expert.forms import byte_table
from expert.grammar.schema.contract import compile_schema
from expert.grammar.schema.order import arrange
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.smallest import endings, small_values, smallest
from expert.grammar.schema.validator import Validator
from expert.grammar.tokens import TokenTable
from grammar.random_schemas import FURTHER, INNER, OF_2020, SIMPLE, VALUES, SchemaWriter
from grammar.vocabularies import accepts

ALL = [*SIMPLE, *INNER, *FURTHER, *OF_2020]


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


def test_a_value_stays_the_same_value() -> None:
    """Only the order of properties changes, and the second time not even that."""
    moved = 0
    for seed in range(120):
        document = read_schema(SchemaWriter(seed, ALL).whole())
        for value in VALUES[::3]:
            ordered = arrange(document, value)
            assert ordered == value and type(ordered) is type(value)
            written = json.dumps(ordered)
            assert json.dumps(arrange(document, ordered)) == written
            moved += written != json.dumps(value)
    assert moved > 30


ANY = {"type": "object"}
# Schema, a value out of order, and its order.
ORDERS: list[tuple[Any, dict[str, Any], str]] = [
    ({"properties": {"b": {}, "a": {}}}, {"a": 1, "b": 2}, "b a"),
    ({"properties": {"b": {}}}, {"c": 1, "b": 2, "a": 3}, "b c a"),
    ({"required": ["a"], "properties": {"b": {}}}, {"c": 1, "a": 2, "b": 3}, "b a c"),
    ({"allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}}, {"a": 1, "b": 2}, "b a"),
    ({"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"b": {}}}}}, {"a": 1, "b": 2}, "b a"),
    (
        {"oneOf": [{"properties": {"k": {"const": 1}, "x": {}}, "required": ["x"]},
                   {"properties": {"k": {"const": 2}, "y": {}}, "required": ["y"]}]},
        {"y": 1, "k": 2}, "k y",
    ),
    ({"const": {"b": 1, "a": 2}}, {"a": 2, "b": 1}, "b a"),
    ({"const": {"b": 1, "a": 2}, "properties": {"a": {}}}, {"b": 1, "a": 2}, "a b"),
    ({"dependentRequired": {"a": ["b"]}}, {"c": 1, "b": 2, "a": 3}, "a b c"),
    ({"dependentSchemas": {"b": {"maxProperties": 3}}}, {"a": 1, "b": 2}, "b a"),
    ({"if": {"required": ["a"]}, "then": {"properties": {"b": {}}}}, {"a": 1, "b": 2}, "b a"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "order"), ORDERS)
def test_the_order_is_the_one_that_can_be_answered(
    octets: TokenTable, schema: Any, value: dict[str, Any], order: str
) -> None:
    """Named properties first, then required ones, then the others; the engine takes just that."""
    ordered = arrange(read_schema(schema), value)
    assert list(ordered) == order.split()
    constraint = compile_schema({**ANY, **schema}, octets).start(octets)
    assert accepts(constraint, [*json.dumps(ordered).encode()])


def test_properties_inside_of_arrays_and_objects_are_put_in_order() -> None:
    """Each by its own schema, by its place in an array and by the pattern of its name."""
    inner: Any = {"properties": {"b": {}, "a": {}}}
    schema = {
        "prefixItems": [inner], "items": {"required": ["z"]},
        "patternProperties": {"^x": inner}, "additionalProperties": {"required": ["z"]},
    }  # fmt: skip
    document, value = read_schema(schema), {"a": 1, "b": 2, "z": 3}
    assert [list(one) for one in arrange(document, [value, value])] == [[*"baz"], [*"zab"]]
    found = arrange(document, {"y": value, "x": value})
    assert list(found["x"]) == [*"baz"] and list(found["y"]) == [*"zab"]


def test_small_values_keep_their_schema() -> None:
    """All that are found do, they differ, and for schemas that our values keep one is found."""
    hopeless = 0
    for seed in range(150):
        document = read_schema(SchemaWriter(seed, ALL).whole())
        judge = Validator(document)
        found = [*islice(small_values(judge, [document.root]), 6)]
        assert all(judge.judge(document.root, value) is True for value in found)
        assert len({json.dumps(value, sort_keys=True) for value in found}) == len(found)
        possible = any(judge.judge(document.root, value) for value in VALUES)
        hopeless += possible and not found
    assert hopeless <= 6


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "exclusiveMaximum": -7},
        {"type": "number", "exclusiveMaximum": 0, "minimum": -1},
        {"type": "integer", "exclusiveMinimum": 99},
        {"type": "integer", "maximum": -3, "multipleOf": 3},
        {"type": "string", "pattern": "^[0-9]{3}$", "minLength": 3},
        {"type": "string", "minLength": 40},
        {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/d"}},
         "$defs": {"d": {"type": "array", "minItems": 2, "items": {"format": "date"}}}},
        {"type": "array", "contains": {"const": 5}, "minContains": 3, "items": {"minimum": 4}},
        {"allOf": [{"minimum": 3}, {"maximum": 3}], "type": "number"},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_the_smallest_value_of_a_narrow_schema(schema: Any) -> None:
    """Bounds from either side, patterns and what must be contained are met."""
    document = read_schema(schema)
    found = smallest(Validator(document), [document.root])
    assert found is not None
    assert Validator(document).judge(document.root, found[0]) is True


@pytest.mark.parametrize(
    ("schema", "text", "ending"),
    [
        ({"enum": ["alpha", "beta"]}, "be", "ta"),
        ({"const": "x y"}, "x", " y"),
        ({"pattern": "^[0-9]{2}-[a-z]$"}, "1", "0-a"),
        ({"format": "date"}, "2024-0", "1-01"),
        ({"format": "ipv4"}, "192.168", ".0.0"),
        ({"format": "uuid"}, "12345678-1234-1234-1234-", "000000000000"),
        ({"minLength": 5}, "ab", "aaa"),
    ],
)
def test_an_ending_makes_the_beginning_of_a_text_right(schema: Any, text: str, ending: str) -> None:
    """It keeps the keyword, and is no longer than it must be."""
    found = next(endings(schema, text))
    document = read_schema({"type": "string", **schema})
    assert Validator(document).judge(document.root, text + found) is True
    assert len(found) <= len(ending)


def test_there_is_no_ending_of_what_is_wrong_already() -> None:
    """A text that no keyword can be kept from is left alone."""
    assert not [*endings({"enum": ["alpha"]}, "b")]
    assert not [*endings({"pattern": "^[0-9]{2}$"}, "x")]
    assert not [*endings({"format": "date"}, "in May")]
    assert not [*endings({"minLength": 2}, "abc")]
