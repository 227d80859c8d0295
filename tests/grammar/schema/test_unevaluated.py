"""Members that no other keyword looked at, judged as jsonschema judges them."""

from importlib import import_module
from typing import Any

import pytest

from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.validator import Validator
from expert.grammar.schema.values import Unfinished
from grammar.random_schemas import VALUES, SchemaWriter

jsonschema: Any = import_module("jsonschema")  # it publishes no type hints

APPLYING = [
    "properties",
    "items",
    "anyOf",
    "allOf",
    "not",
    "oneOf",
    "if",
    "patternProperties",
    "additionalProperties",
]
MEMBERS = [*APPLYING, "prefixItems", "contains", "containsFew", "dependentSchemas", "$ref", "const"]


@pytest.mark.parametrize("rest", ["unevaluatedProperties", "unevaluatedItems"])
def test_random_schemas_with_a_rest(rest: str) -> None:
    """Beside every keyword that looks at members, whether it holds or not."""
    told = 0
    for seed in range(50):
        schema = {
            **SchemaWriter(seed, MEMBERS).whole(),
            rest: [False, {"type": "integer"}][seed % 2],
        }
        document, peer = read_schema(schema), jsonschema.Draft202012Validator(schema)
        free = jsonschema.Draft202012Validator({**schema, rest: True})
        validator = Validator(document)
        for value in VALUES[15::2]:
            right = peer.is_valid(value)
            assert validator.judge(document.root, value) == right, (schema, value)
            told += right != free.is_valid(value)
    assert told > 80


def test_contained_items_count_as_looked_at_since_2020() -> None:
    """In draft 2019-09 `contains` looked at none."""
    schema = {"contains": {"const": 1}, "unevaluatedItems": False}
    for draft, right in (("2020-12", True), ("2019-09", False)):
        document = read_schema(
            {"$schema": f"https://json-schema.org/draft/{draft}/schema", **schema}
        )
        assert Validator(document).judge(document.root, [1, 1]) is right


def test_what_is_still_written_is_left_open() -> None:
    """Members that follow may change which schemas hold, so nothing is decided before the end."""
    schema = {
        "anyOf": [{"properties": {"a": {}}, "required": ["b"]}, True],
        "properties": {"b": {}}, "unevaluatedProperties": False,
    }  # fmt: skip
    document = read_schema(schema)
    judge = Validator(document).judge
    assert judge(document.root, Unfinished({"a": 1})) is None
    assert judge(document.root, {"a": 1, "b": 1}) is True
    assert judge(document.root, {"a": 1}) is False


def test_inner_schemas_see_only_what_is_inside() -> None:
    """A cousin's properties are not looked at from inside of `allOf`, those of the whole are."""
    inside = {"allOf": [{"properties": {"a": {}}}, {"unevaluatedProperties": False}]}
    around = {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}
    for schema, right in ((inside, False), (around, True)):
        document = read_schema(schema)
        assert Validator(document).judge(document.root, {"a": 1}) is right


@pytest.mark.parametrize(
    ("rest", "value"), [("unevaluatedProperties", {"a": 1}), ("unevaluatedItems", [1, 2])]
)
def test_a_rest_inside_looks_at_all_that_it_allows(rest: str, value: Any) -> None:
    """What an inner schema lets pass as its own rest is no rest of the whole."""
    for inner, right in ((True, True), ({"type": "integer"}, True), ({"type": "null"}, False)):
        schema = {"anyOf": [{rest: inner}, {"type": ["array", "object"]}], rest: False}
        document, peer = read_schema(schema), jsonschema.Draft202012Validator(schema)
        assert Validator(document).judge(document.root, value) is right
        assert peer.is_valid(value) is right
