"""Schemas are negated and told apart exactly, or not at all."""

import json
from typing import Any

import pytest

from expert.grammar.schema.disjoint import overlaps
from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.negation import all_of, any_of, negate
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.validator import Validator
from grammar.random_schemas import FURTHER, INNER, OF_2020, SIMPLE, VALUES, SchemaWriter

KNOWN = [*SIMPLE, "properties", "anyOf", "allOf", "not", "$ref"]
KNOWN.remove("multipleOf")


def kept(document: Document, schema: Schema) -> list[bool]:
    """Tell which of the values keep a schema that may refer to definitions of *document*."""
    whole = Validator(Document(schema, document.definitions, document.draft))
    return [whole.judge(schema, value) is True for value in VALUES]


def test_what_is_negated_matches_exactly_the_rest() -> None:
    """Every value keeps a schema or its negation, and none keeps both."""
    negated = 0
    for seed in range(250):
        document = read_schema(SchemaWriter(seed, KNOWN).whole())
        opposite = negate(document.root, document)
        if opposite is None:
            continue
        mine, theirs = kept(document, document.root), kept(document, opposite)
        assert all(one != other for one, other in zip(mine, theirs, strict=True)), (
            json.dumps(document.root), json.dumps(opposite),
        )  # fmt: skip
        negated += 1
    assert negated > 120


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "a"}, {"format": "date"}, {"multipleOf": 2}, {"items": {"type": "null"}},
        {"type": "integer"}, {"oneOf": [{"type": "null"}, True]}, {"if": True, "then": False},
        {"contains": {}}, {"uniqueItems": True}, {"additionalProperties": False},
        {"properties": {"a": {"properties": {"b": {"pattern": "x"}}}}},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_what_has_no_exact_negation_is_given_up(schema: Any) -> None:
    """Also when it stands deep inside of what could be negated."""
    document = read_schema(schema)
    assert negate(document.root, document) is None


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"enum": ["a", "ab", ""]}, ["b", "abc", "aa", "é", 1, None], ["a", "ab", ""]),
        ({"enum": [1, 2.5]}, [0, 2, 3, "1"], [1, 1.0, 2.5]),
        ({"enum": ["a]", "\\", "^", "é"]}, ["a", "]", "\\\\", "ë"], ["a]", "\\", "^", "é"]),
        ({"const": None}, [False, 0, ""], [None]),
        ({"const": True}, [False, 1, "true"], [True]),
    ],
)
def test_other_words_and_numbers(schema: Any, right: list[Any], wrong: list[Any]) -> None:
    """Every word but those listed, in expressions; every number in the gaps between those."""
    document = read_schema(schema)
    opposite = negate(document.root, document)
    assert opposite is not None
    judge = Validator(Document(opposite, {}, 2020)).judge
    assert all(judge(opposite, one) for one in right)
    assert not any(judge(opposite, one) for one in wrong)


def test_a_large_schema_is_not_negated() -> None:
    """A thousand options are too many, and recursion comes to an end."""
    many = read_schema({"enum": [f"word {index}" for index in range(2000)]})
    assert negate(many.root, many) is None
    node = {"properties": {"next": {"$ref": "#/$defs/n"}}}
    recursive = read_schema({"$ref": "#/$defs/n", "$defs": {"n": node}})
    assert negate(recursive.root, recursive) is None


def test_joined_schemas_are_as_short_as_can_be() -> None:
    """True and false settle a choice or a row; one alone stands for itself."""
    a, b = {"type": ["null"]}, {"type": ["string"]}
    assert any_of([a, False]) is a and all_of([a, True, {}]) is a
    assert any_of([a, {}]) is True and all_of([a, False]) is False
    assert any_of([]) is False and all_of([]) is True
    assert any_of([a, b]) == {"anyOf": [a, b]} and all_of([a, b]) == {"allOf": [a, b]}


def test_what_is_called_disjoint_has_no_value_together() -> None:
    """Of random schemas no value keeps two that are said never to meet."""
    apart = 0
    for seed in range(150):
        writer = SchemaWriter(seed, [*SIMPLE, *INNER, *FURTHER, *OF_2020])
        parts = [writer.schema(2) for _ in range(4)]
        defs = writer.whole()["$defs"]
        document = read_schema({"anyOf": parts, "$defs": defs})
        assert isinstance(document.root, dict)
        schemas = document.root["anyOf"]
        pairs = overlaps(schemas, document)
        assert pairs is not None
        known = [kept(document, schema) for schema in schemas]
        for i in range(len(schemas)):
            for j in range(i):
                if (i, j) not in pairs:
                    apart += 1
                    together = map(all, zip(known[i], known[j], strict=True))
                    assert not any(together), (parts[i], parts[j])
    assert apart > 30


# Schemas that a plain look tells apart, and some alike that meet.
PAIRS: list[tuple[Any, Any, bool]] = [
    ({"type": "string"}, {"type": ["null", "integer"]}, False),
    ({"type": "integer"}, {"type": "number"}, True),
    ({"const": 1}, {"enum": [2, "x"]}, False),
    ({"const": 1}, {"enum": [1.0, 2]}, True),
    ({"const": "x"}, {"type": "integer"}, False),
    ({"allOf": [{"type": "string"}]}, {"allOf": [{}, {"type": "null"}]}, False),
    ({"$ref": "#/$defs/text"}, {"type": "object"}, False),
    (
        {"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]},
        {"type": "object", "properties": {"k": {"const": "b"}}, "required": ["k"]},
        False,
    ),
    (
        {"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]},
        {"type": "object", "properties": {"k": {"const": "b"}}},
        True,
    ),
    (
        {"type": "object", "properties": {"a": True}, "additionalProperties": False},
        {"type": "object", "required": ["b"]},
        False,
    ),
    (
        {"type": "object", "properties": {"a": True}, "additionalProperties": False,
         "patternProperties": {"^b": True}},
        {"type": "object", "required": ["b"]},
        True,
    ),
    ({"type": "object", "properties": {"b": False}}, {"type": "object", "required": ["b"]}, False),
    ({"properties": {"b": False}}, {"required": ["b"]}, True),
    (False, {}, False),
    ({}, True, True),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "meet"), PAIRS)
def test_what_is_told_apart(left: Any, right: Any, meet: bool) -> None:
    """By types, constants, required members, and properties that one forbids."""
    document = read_schema({"anyOf": [left, right], "$defs": {"text": {"type": "string"}}})
    assert isinstance(document.root, dict)
    assert overlaps(document.root["anyOf"], document) == ([(1, 0)] if meet else [])


def test_too_many_schemas_are_not_compared() -> None:
    """Rather than take long, no answer is given."""
    document = read_schema({})
    some: list[Schema] = [{"const": index} for index in range(60)]
    assert overlaps(some, document) == []
    assert overlaps([{"const": index} for index in range(300)], document) is None
    wide = {f"p{index}": {"type": ["object"], "required": [f"p{index}"]} for index in range(60)}
    deep: list[Schema] = [
        {"type": ["object"], "properties": wide, "required": list(wide)} for _ in range(100)
    ]
    assert overlaps(deep, document) is None
