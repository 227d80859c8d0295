"""Answers under JSON Schemas: what is accepted, refused, checked as it grows, or not begun."""

import json
from typing import Any

import pytest

from expert.errors import ContractError, UsageError, VerificationError
from expert.grammar.schema.contract import compile_schema, verify
from expert.grammar.schema.reader import read_schema
from expert.grammar.tokens import TokenTable
from grammar.schema_data import answers
from grammar.vocabularies import allowed, generate

# Each keyword that llama.cpp's converters or the engine lack: schema, values right and wrong.
KEYWORDS: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "minimum": ({"type": "number", "minimum": 1.5}, [1.5, 2, 1e3], [1, -2]),
    "multipleOf": ({"type": "integer", "multipleOf": 3}, [0, 9, -3], [4, 10]),
    "required unknown": ({"type": "object", "required": ["b"]}, [{"b": 1}], [{}, {"a": 1}]),
    "uniqueItems": ({"items": {"type": "integer"}, "uniqueItems": True}, [[1, 2]], [[1, 2, 1]]),
    "unique objects": ({"uniqueItems": True}, [[{"a": 1}, {"a": 2}]], [[{"a": 1}, {"a": 1.0}]]),
    "contains": ({"type": "array", "contains": {"const": 5}}, [[1, 5], [5]], [[], [1]]),
    "maxContains": (
        {"type": "array", "contains": {"type": "null"}, "minContains": 1, "maxContains": 2},
        [[None], [1, None, None]],
        [[1], [None, None, None]],
    ),
    "not required": ({"type": "object", "not": {"required": ["a"]}}, [{}, {"b": 1}], [{"a": 1}]),
    "not enum": ({"not": {"enum": ["a", "ab", 1]}}, ["b", "abc", "", 2, None], ["a", "ab", 1]),
    "not pattern": ({"type": "string", "not": {"pattern": "^a"}}, ["b", ""], ["a", "ab"]),
    "oneOf overlap": (
        {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 3}]},
        [1, 3.5],
        [4, "a"],
    ),
    "oneOf required": (
        {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        [{"a": 1}, {"b": 1}, {"a": 1, "c": 2}],
        [{}, {"a": 1, "b": 2}],
    ),
    "if then else": (
        {
            "properties": {"kind": {"enum": ["x", "y"]}, "value": {}},
            "if": {"properties": {"kind": {"const": "x"}}},
            "then": {"properties": {"value": {"type": "integer"}}},
            "else": {"properties": {"value": {"type": "string"}}},
            "required": ["kind", "value"],
            "type": "object",
        },
        [{"kind": "x", "value": 1}, {"kind": "y", "value": "s"}],
        [{"kind": "x", "value": "s"}, {"kind": "y", "value": 1}],
    ),
    "dependentRequired": (
        {"type": "object", "dependentRequired": {"card": ["address"]}},
        [{}, {"address": 1}, {"card": 1, "address": 2}],
        [{"card": 1}],
    ),
    "dependentSchemas": (
        {"type": "object", "dependentSchemas": {"a": {"minProperties": 2}}},
        [{}, {"b": 1}, {"a": 1, "b": 2}],
        [{"a": 1}],
    ),
    "propertyNames": (
        {"type": "object", "propertyNames": {"pattern": "^[a-c]+$"}},
        [{}, {"abc": 1}],
        [{"d": 1}, {"abcd": 1}],
    ),
    "propertyNames and others": (
        {"type": "object", "propertyNames": {"format": "date"}},
        [{"2024-02-29": 1}],
        [{"2023-02-29": 1}, {"x": 1}],
    ),
    "maxProperties": (
        {"properties": {"a": {}, "b": {}, "c": {}}, "type": "object", "maxProperties": 2},
        [{}, {"a": 1, "c": 2}],
        [{"a": 1, "b": 2, "c": 3}],
    ),
    "overlapping patternProperties": (
        {"type": "object", "patternProperties": {"a": {"type": "integer"}, "b": {"minimum": 5}}},
        [{"a": 1, "b": 6, "ab": 7}],
        [{"ab": 1}, {"a": "x"}],
    ),
    "unevaluatedProperties": (
        {
            "type": "object",
            "properties": {"a": {}},
            "anyOf": [{"properties": {"b": {"const": 1}}, "required": ["b"]}, True],
            "unevaluatedProperties": False,
        },
        [{"a": 1}, {"a": 1, "b": 1}],
        [{"b": 2}, {"c": 1}],
    ),
    "unevaluatedItems": (
        {"prefixItems": [{"type": "integer"}], "unevaluatedItems": False, "type": "array"},
        [[1], []],
        [[1, 2]],
    ),
    "format date": ({"type": "string", "format": "date"}, ["2024-02-29"], ["2023-02-31", "x"]),
    "format hostname": ({"type": "string", "format": "hostname"}, ["a-b.c"], ["-a.b", "a_b"]),
    "format json-pointer": ({"type": "string", "format": "json-pointer"}, ["/a/~0"], ["a", "/~2"]),
    "format regex": ({"type": "string", "format": "regex"}, ["^a+$"], ["a(", "(?P<a>b)"]),
    "unknown format": ({"type": "string", "format": "no-such"}, ["x"], [1]),
    "look-ahead": ({"type": "string", "pattern": "^(?!ab)a"}, ["ac"], ["ab", "b"]),
    "pattern and length": ({"type": "string", "pattern": "^a*$", "maxLength": 2}, ["aa"], ["aaa"]),
    "base64": (
        {"$schema": "http://json-schema.org/draft-07/schema#", "contentEncoding": "base64"},
        ["YWJj", 1],
        ["a%"],
    ),
    "recursion": (
        {
            "$ref": "#/$defs/node",
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": {"next": {"$ref": "#/$defs/node"}, "ids": {"uniqueItems": True}},
                    "additionalProperties": False,
                }
            },
        },
        [{}, {"next": {"next": {"ids": [1, 2]}}}],
        [{"next": {"ids": [1, 1]}}, {"next": 1}],
    ),
    "draft 4 exclusive": (
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "type": "number",
            "minimum": 2,
            "exclusiveMinimum": True,
        },
        [2.5, 3],
        [2, 1],
    ),
    "boolean": (True, [1, {"a": []}, None], []),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_every_keyword_is_kept_as_the_text_grows(table: TokenTable, name: str) -> None:
    """Right values can be answered; wrong ones cannot, before any final check."""
    schema, right, wrong = KEYWORDS[name]
    grammar, document = compile_schema(schema, table), read_schema(schema)
    for value in right:
        assert answers(grammar, table, document, value)[0], value
        verify(document, json.dumps(value))
    for value in wrong:
        assert not answers(grammar, table, document, value)[0], value
        with pytest.raises(ContractError, match="does not keep its schema"):
            verify(document, json.dumps(value))


@pytest.mark.parametrize("name", [name for name in KEYWORDS if name != "look-ahead"])
def test_random_answers_keep_their_schema(table: TokenTable, name: str) -> None:
    """Tokens drawn at random under the constraint end in a valid value within the limit."""
    schema, _, _ = KEYWORDS[name]
    document, found = read_schema(schema), 0
    for seed in range(6):
        constraint = compile_schema(schema, table).start(table, limit=200)
        try:
            text = generate(constraint, table, seed, limit=200)
        except ContractError:
            continue
        if text is not None:
            verify(document, text)
            found += 1
    assert found >= 4


@pytest.mark.parametrize(
    ("schema", "begun", "end"),
    [
        ({"type": "string", "format": "time"}, '"01:45:45.4', 'Z"'),
        ({"type": "string", "format": "uuid"}, '"0000', '0000-0000-0000-0000-000000000000"'),
        ({"type": "string", "pattern": "^a+-[0-9]{3}$"}, '"aaaa', '-000"'),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, "[1", ",0]"),
    ],
)
def test_an_answer_out_of_time_is_closed(
    table: TokenTable, schema: Any, begun: str, end: str
) -> None:
    """With no tokens to spare only what leads to the end is allowed, in exact grammars too."""
    constraint = compile_schema(schema, table).start(table, limit=0)
    for token in table.encode(begun):
        constraint.accept(token)
    while not constraint.can_end():
        constraint.accept(allowed(constraint, table.size)[0])
    assert len(constraint.text()) <= len(begun) + len(end) + 1, constraint.text()
    constraint.check(constraint.text())


def test_no_object_names_a_property_twice(table: TokenTable) -> None:
    """The engine allows further properties of the same name; the check does not."""
    grammar = compile_schema({"type": "object"}, table)
    constraint = grammar.start(table)
    for token in table.encode('{"a": 1, "'):
        constraint.accept(token)
    a, quote = table.encode("a")[0], table.encode('"')[0]
    constraint.accept(a)
    assert not constraint.allows(quote)
    assert constraint.allows(a)
    with pytest.raises(ContractError, match="not JSON"):
        verify(read_schema({}), '{"a": 1, "a": 2}')


def test_a_closed_schema_needs_no_check() -> None:
    """What the engine guarantees alone costs nothing more."""
    closed = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert compile_schema({**closed, "additionalProperties": False}).check is None
    assert compile_schema(closed).check is not None


def test_whitespace_cannot_run_away(table: TokenTable) -> None:
    """At most one space follows a comma or colon, none stands elsewhere."""
    document, grammar = read_schema({}), compile_schema({}, table)
    assert answers(grammar, table, document, {"a": [1, 2]})[0]
    for text in ('{ "a": 1}', '{"a":  1}', '{"a":\n1}', "[1 ]"):
        constraint = grammar.start(table)
        taken = 0
        for token in table.encode(text):
            if not constraint.allows(token):
                break
            constraint.accept(token)
            taken += 1
        assert taken < len(table.encode(text)), text


# Schema, and what the refusal names.
REFUSED: list[tuple[Any, str]] = [
    ({"type": "strin"}, "#/type"),
    ({"properties": {"a/b": {"minLength": "3"}}}, "#/properties/a~1b/minLength"),
    ({"properties": []}, "#/properties"),
    ({"required": True}, "#/required"),
    ({"enum": {}}, "#/enum"),
    ({"multipleOf": 0}, "#/multipleOf"),
    ({"maxItems": -1}, "#/maxItems"),
    ({"anyOf": {}}, "#/anyOf"),
    ({"items": 3}, "#/items"),
    ({"items": {"$ref": "https://example.com/other.json"}}, "#/items/$ref leads nowhere"),
    ({"$ref": "#/$defs/missing"}, "#/$ref leads nowhere"),
    ({"$ref": "#"}, "comes back to itself"),
    ({"allOf": [{"$ref": "#"}]}, "comes back to itself"),
    (False, "at #."),
    ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "#/allOf"),
    ({"items": {"$ref": "#/$defs/x"}, "minItems": 1, "type": "array",
      "$defs": {"x": {"type": "integer", "minimum": 5, "maximum": 4}}}, "#/$defs/x/minimum"),
    ({"properties": {"a": {"properties": {"b": {"required": ["x", "y"], "type": "object",
      "oneOf": [{"required": ["x"]}, {"required": ["y"]}]}}, "required": ["b"],
      "type": "object"}}, "required": ["a"], "type": "object"}, "#/properties/a/properties/b/"),
    ({"properties": {"a": {"pattern": "(a+)+(?!b)"}}}, "#/properties/a/pattern"),
    ({"patternProperties": {"a(": {}}}, "#/patternProperties"),
    ({"minLength": 10**7}, "#/minLength"),
    ({"$dynamicRef": "#x", "$defs": {"a": {"$dynamicAnchor": "x"}, "b": {"$dynamicAnchor": "x"}}},
     "#/$dynamicRef"),
    ({"$schema": "http://json-schema.org/draft-03/schema#", "divisibleBy": 2}, "#/divisibleBy"),
    ({"properties": {f"p{i}": {} for i in range(4000)}}, "#/properties with 4,000 names"),
    ('{"type": "string"', "not JSON"),
    ([], "a schema"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "named"), REFUSED)
def test_what_cannot_be_guaranteed_is_refused_before_it_begins(schema: Any, named: str) -> None:
    """The refusal names the keyword, and where it is as a JSON pointer."""
    with pytest.raises((UsageError, VerificationError)) as caught:
        compile_schema(schema)
    assert named in str(caught.value)
    assert caught.value.fix


def test_the_final_check_says_where_and_which_keyword() -> None:
    """An answer that breaks its schema is told with a JSON pointer."""
    document = read_schema({"properties": {"a": {"items": {"maximum": 3}}}})
    with pytest.raises(ContractError) as caught:
        verify(document, '{"a": [1, 5]}')
    assert "/a/1" in caught.value.why and "`maximum`" in caught.value.why
    for text in ("{", "[NaN]", ""):
        with pytest.raises(ContractError, match="not JSON"):
            verify(document, text)


def test_an_answer_cut_short_is_an_error(table: TokenTable) -> None:
    """Half a value is never passed off as an answer."""
    constraint = compile_schema({"type": "object"}, table).start(table)
    for token in table.encode('{"a": [1'):
        constraint.accept(token)
    with pytest.raises(ContractError, match="stopped in the middle"):
        constraint.check(constraint.text())
