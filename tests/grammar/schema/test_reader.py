"""Schemas of any draft come into one form, and references lead where jsonschema follows them."""

import json
from importlib import import_module
from typing import Any

import pytest

from expert.errors import UsageError, VerificationError
from expert.grammar.schema.document import inner_first, same_value_references, schemas_of
from expert.grammar.schema.reader import parse_schema, read_schema
from expert.grammar.schema.validator import Validator

jsonschema: Any = import_module("jsonschema")  # it publishes no type hints

NEWEST = "https://json-schema.org/draft/2020-12/schema"
SEVENTH = "http://json-schema.org/draft-07/schema#"
FOURTH = "http://json-schema.org/draft-04/schema#"


def judge(schema: Any, value: Any) -> bool | None:
    """Judge one value by a schema of any draft."""
    document = read_schema(schema)
    return Validator(document).judge(document.root, value)


# References of every kind, each to a schema that takes integers alone.
REFERENCES: dict[str, dict[str, Any]] = {
    "definition": {"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}},
    "escaped name": {"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": {"type": "integer"}}},
    "percent": {"$ref": "#/$defs/a%20b%25", "$defs": {"a b%": {"type": "integer"}}},
    "in a list": {"$ref": "#/$defs/a/allOf/1", "$defs": {"a": {"allOf": [{},
    {"type": "integer"}]}}},
    "chain": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "integer"}}},
    "anchor": {"$ref": "#here", "$defs": {"a": {"$anchor": "here", "type": "integer"}}},
    "resource": {"$ref": "int.json", "$defs": {"a": {"$id": "int.json", "type": "integer"}}},
    "resource of a base": {
        "$id": "http://x.y/root.json", "$ref": "sub/int.json",
        "$defs": {"a": {"$id": "/sub/int.json", "type": "integer"}},
    },
    "whole address": {
        "$id": "http://x.y/root.json", "$ref": "http://x.y/root.json#/$defs/a",
        "$defs": {"a": {"type": "integer"}},
    },
    "anchor of a resource": {
        "$ref": "http://x.y/i#n",
        "$defs": {"a": {"$id": "http://x.y/i", "$defs": {"b": {"$anchor": "n",
        "type": "integer"}}}},
    },
    "relative to the resource around": {
        "$ref": "http://x.y/dir/outer",
        "$defs": {
            "o": {"$id": "http://x.y/dir/outer", "$ref": "inner"},
            "i": {"$id": "http://x.y/dir/inner", "type": "integer"},
            "wrong": {"$id": "http://x.y/inner", "type": "string"},
        },
    },
    "pointer through a resource": {
        "$ref": "http://x.y/o#/$defs/b", "$defs": {"a": {"$id": "http://x.y/o",
        "$defs": {"b": {"$ref": "#/$defs/c"}, "c": {"type": "integer"}}}, "c": {"type": "string"}},
    },
    "urn": {"$id": "urn:x:y", "$ref": "urn:x:y#/$defs/a", "$defs": {"a": {"type": "integer"}}},
    "dynamic, with one anchor": {
        "$dynamicRef": "#n", "$defs": {"a": {"$dynamicAnchor": "n", "type": "integer"}},
    },
    "siblings": {"$ref": "#/$defs/a", "type": "integer", "$defs": {"a": {"type": "number"}}},
}  # fmt: skip


@pytest.mark.parametrize("name", REFERENCES)
def test_references_lead_where_jsonschema_follows_them(name: str) -> None:
    """By pointer, anchor and address, relative to the resource that they stand in."""
    schema = {"$schema": NEWEST, **REFERENCES[name]}
    peer = jsonschema.Draft202012Validator(schema)
    for value in (3, 2.5, "x", None):
        assert judge(schema, value) == peer.is_valid(value) == (value == 3)


OLD: dict[str, dict[str, Any]] = {
    "definition": {"$ref": "#/definitions/a", "definitions": {"a": {"type": "integer"}}},
    "siblings are ignored": {
        "$ref": "#/definitions/a", "maximum": 0, "definitions": {"a": {"type": "integer"}},
    },
    "anchor": {"$ref": "#here", "definitions": {"a": {"$id": "#here", "type": "integer"}}},
    "resource": {
        "$id": "http://x.y/r", "allOf": [{"$ref": "i.json#"}],
        "definitions": {"a": {"$id": "i.json", "type": "integer"}},
    },
    "an address beside a reference is none": {
        "$id": "http://x.y/r", "definitions": {
            "a": {"$id": "http://other/", "$ref": "#/definitions/b"}, "b": {"type": "integer"},
        },
        "$ref": "#/definitions/a",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_references_of_draft_7(name: str) -> None:
    """Whose anchors are addresses, and whose references hide everything beside them."""
    schema = {"$schema": SEVENTH, **OLD[name]}
    peer = jsonschema.Draft7Validator(schema)
    for value in (3, 2.5, "x"):
        assert judge(schema, value) == peer.is_valid(value) == (value == 3)


@pytest.mark.parametrize(
    "reference",
    ["#/$defs/b", "#nowhere", "other.json", "http://x.y/", "#/$defs/a/3", "#/type/0/x", "#x/y",
     "#/$defs/a/allOf/7", "#/$defs/a/allOf/x"],
)  # fmt: skip
def test_a_reference_to_nowhere_is_named(reference: str) -> None:
    """Nothing outside is ever looked up; the error has the reference and its place."""
    schema = {"items": {"$ref": reference}, "$defs": {"a": {"allOf": [{}]}}, "type": "array"}
    with pytest.raises(UsageError, match="leads nowhere") as caught:
        read_schema(schema)
    assert reference in caught.value.what and "#/items/$ref" in caught.value.what


# A schema without `$schema`, and the draft that its keywords are of.
DRAFTS: list[tuple[Any, int]] = [
    ({"definitions": {}}, 7),
    ({"dependencies": {}}, 7),
    ({"additionalItems": False}, 7),
    ({"$defs": {}, "definitions": {}}, 2020),
    ({"prefixItems": [], "dependencies": {}}, 2020),
    ({"type": "string"}, 2020),
    (True, 2020),
    ({"$schema": FOURTH, "$defs": {}}, 4),
    ({"$schema": "http://json-schema.org/draft-06/schema"}, 6),
    ({"$schema": "https://json-schema.org/draft/2019-09/schema"}, 2019),
    ({"$schema": "http://example.com/mine"}, 2020),
    ({"$schema": 3, "definitions": {}}, 7),
]


@pytest.mark.parametrize(("schema", "draft"), DRAFTS)
def test_the_draft_of_a_schema(schema: Any, draft: int) -> None:
    """It is the one named, or else the one that its keywords tell."""
    assert read_schema(schema).draft == draft


# Keywords of one draft as they come out, in the one form.
FORMS: list[tuple[str, Any, Any]] = [
    (FOURTH, {"maximum": 3, "exclusiveMaximum": True}, {"exclusiveMaximum": 3}),
    (FOURTH, {"maximum": 3, "exclusiveMaximum": False}, {"maximum": 3}),
    (FOURTH, {"minimum": 3, "exclusiveMinimum": True}, {"exclusiveMinimum": 3}),
    (FOURTH, {"const": 3, "if": {}, "contains": {}, "propertyNames": {}}, {}),
    (SEVENTH, {"items": [{}, True], "additionalItems": False}, {"prefixItems": [{}, True],
    "items": False}),
    (SEVENTH, {"items": {}, "additionalItems": False}, {"items": {}}),
    (SEVENTH, {"additionalItems": False}, {}),
    (SEVENTH, {"dependencies": {"a": ["b"], "c": {"type": "null"}}},
     {"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": {"type": ["null"]}}}),
    (SEVENTH, {"dependentRequired": {"a": ["b"]}, "unevaluatedItems": False}, {}),
    (NEWEST, {"dependencies": {"a": ["b"]}, "additionalItems": False}, {}),
    (NEWEST, {"items": [{}], "additionalItems": False}, {"prefixItems": [{}]}),
    (NEWEST, {"type": ["integer", "number", "string", "string"]}, {"type": ["number", "string"]}),
    (NEWEST, {"type": "null", "title": "x", "default": 1, "x-y": {}, "$comment": ""},
    {"type": ["null"]}),
    (NEWEST, {"uniqueItems": False, "required": ["a", "a"], "minItems": 2.0},
     {"required": ["a"], "minItems": 2}),
    (NEWEST, {"pattern": r"\d[\w]\cJ"}, {"pattern": r"[0-9][0-9A-Za-z_]\x0a"}),
    (NEWEST, {"patternProperties": {r"^\d": True}}, {"patternProperties": {"^[0-9]": True}}),
]  # fmt: skip


@pytest.mark.parametrize(("draft", "schema", "form"), FORMS)
def test_every_draft_comes_into_one_form(draft: str, schema: Any, form: Any) -> None:
    """Old keywords are translated; what a draft does not know is left out."""
    assert read_schema({"$schema": draft, **schema}).root == form


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": []}, "#/type"), ({"type": [3]}, "#/type"), ({"minLength": True}, "#/minLength"),
        ({"minLength": 1.5}, "#/minLength"), ({"maximum": "3"}, "#/maximum"),
        ({"maximum": True}, "#/maximum"), ({"uniqueItems": 1}, "#/uniqueItems"),
        ({"pattern": 3}, "#/pattern"), ({"format": None}, "#/format"), ({"required": ["a", 1]},
        "#/required"),
        ({"dependentRequired": []}, "#/dependentRequired"), ({"dependentRequired": {"a": "b"}},
        "#/dep"),
        ({"allOf": [{}, 3]}, "#/allOf/1"), ({"not": []}, "#/not"), ({"$ref": 3}, "#/$ref"),
        ({"properties": {"a": {"items": "x"}}}, "#/properties/a/items"),
        ({"multipleOf": -1}, "#/multipleOf"), ({"minimum": float("inf")}, "#/minimum"),
        ({"$schema": SEVENTH, "dependencies": 3}, "#/dependencies"),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_no_draft_allows_is_named(schema: Any, place: str) -> None:
    """With the JSON pointer of the keyword, and what its value must be."""
    with pytest.raises(UsageError) as caught:
        read_schema(schema)
    assert place in caught.value.what and "must be" in caught.value.why


def test_text_that_is_no_json_is_placed() -> None:
    """By line and column."""
    with pytest.raises(UsageError, match="not JSON") as caught:
        parse_schema('{\n  "type": string}')
    assert "Line 2, column 11" in caught.value.why
    assert parse_schema('{"type": "null"}').root == {"type": ["null"]}


def test_sizes_have_their_own_words() -> None:
    """What is too deep is told from what is too large."""
    deep: Any = {}
    for _ in range(120):
        deep = {"items": deep}
    with pytest.raises(VerificationError, match="too deep"):
        read_schema(deep)
    wide: Any = {}
    for _ in range(17):
        wide = {"allOf": [wide, wide]}
    with pytest.raises(VerificationError, match="too large"):
        read_schema(wide)


def test_references_in_circles_need_something_between() -> None:
    """A tree may hold itself; what is its own definition is refused with its place."""
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}}, "additionalProperties": False}
    assert judge(tree, {"left": {"left": {}}}) is True
    assert judge(tree, {"left": {"right": {}}}) is False
    for circle in (
        {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
        {"dependentSchemas": {"a": {"$ref": "#"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}},
    ):
        with pytest.raises(UsageError, match="comes back to itself"):
            read_schema(circle)


def test_a_document_lists_its_schemas_and_what_they_lead_to() -> None:
    """All of them once, also inside of names and lists; and inner definitions come first."""
    document = read_schema({
        "properties": {"a": {"anyOf": [{"const": 1}, False]}}, "items": {"$ref": "#/$defs/x"},
        "$defs": {"x": {"not": {"$ref": "#/$defs/y"}}, "y": {"const": 2}, "z": {"const": 3}},
    })  # fmt: skip
    shown = sorted(json.dumps(one) for one in schemas_of(document))
    assert len(shown) == 8 and '{"const": 2}' in shown and '{"const": 3}' not in shown
    assert [document.definitions[name] for name in inner_first(document)][0] == {"const": 2}
    assert isinstance(document.root, dict)
    assert list(same_value_references(document.root)) == []
    assert len(list(same_value_references(document.root["items"]))) == 1


def test_places_are_kept_for_messages() -> None:
    """Every schema knows its JSON pointer in the text that it was read from."""
    document = read_schema({"properties": {"a/b": {"items": {"type": "null"}}}})
    assert isinstance(document.root, dict)
    inner = document.root["properties"]["a/b"]
    assert document.place(inner) == "#/properties/a~1b"
    assert document.place(inner["items"]) == "#/properties/a~1b/items"
    assert document.place({"made": "elsewhere"}) == "#"
