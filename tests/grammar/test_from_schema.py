"""The plain grammar of a JSON Schema, beside the schema itself."""

import itertools
import json
from typing import Any

import pytest

from expert.errors import UsageError
from expert.forms import AnswerForm, byte_table
from expert.grammar.compile import compile_gbnf, compile_grammar
from expert.grammar.from_schema import grammar_of_schema
from expert.grammar.language.gbnf_writer import to_gbnf
from expert.grammar.schema.contract import compile_schema

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 4},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["age"],
    "additionalProperties": False,
}
VALUES: list[Any] = [
    None, True, 0, -17, 2.5, "", "x", "abcde", "é\n\"", [], [1], ["a"], ["a", "b"], ["a", "b", "a"],
    {}, {"age": 3}, {"name": "Ada", "age": 3}, {"age": 3, "tags": ["a"]}, {"age": "3"},
    {"name": "Ada"}, {"name": "", "age": 3}, {"name": "Ada", "age": 3, "tags": []},
    {"name": "Ada", "age": 3, "tags": ["c"]}, {"age": 3, "other": 1}, {"other": 1},
    {"a": {"a": {}}},
    {"age": 3, "other": 1, "more": [1, {"x": None}]}, [[1], [2]], [1, "x"], [1, 2],
]  # fmt: skip


@pytest.mark.parametrize(
    "schema",
    [
        PERSON,
        {**PERSON, "additionalProperties": {"type": "integer"}},
        {"type": ["integer", "null"]},
        {"enum": [0, "x", [1], None]},
        {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        {"type": "array", "minItems": 2, "maxItems": 2},
        {"anyOf": [{"type": "boolean"}, {"type": "array", "items": False}]},
        {"$ref": "#/$defs/tree", "$defs": {"tree": {
            "type": "object", "additionalProperties": {"$ref": "#/$defs/tree"}}}},
        {"type": "object", "required": ["age"]},
        True,
    ],
    ids=lambda schema: json.dumps(schema)[:60],
)  # fmt: skip
def test_it_matches_what_the_schema_allows(schema: Any) -> None:
    """The grammar, and the GBNF printed of it, give the schema's verdict on every value."""
    grammar, left_out = grammar_of_schema(schema)
    assert not left_out
    table = byte_table()
    forms = [AnswerForm("x", compile_schema(schema)), AnswerForm("x", compile_grammar(grammar))]
    forms.append(AnswerForm("x", compile_gbnf(to_gbnf(grammar))))
    verdicts = [
        [_matches(form, json.dumps(value, ensure_ascii=False), table) for value in VALUES]
        for form in forms
    ]
    assert verdicts[1] == verdicts[0] == verdicts[2]
    assert any(verdicts[0])


def _matches(form: AnswerForm, text: str, table: Any) -> bool:
    constraint = form.grammar.start(table)
    for token in table.encode(text):
        if not constraint.allows(token):
            return False
        constraint.accept(token)
    return constraint.can_end()


def test_what_it_cannot_say_is_listed_and_still_matched() -> None:
    """Keywords that rules do not express are named; what they allow is matched."""
    schema = {"type": "string", "pattern": "^a", "maxLength": 3}
    grammar, left_out = grammar_of_schema(schema)
    assert left_out == ["pattern"]
    form = AnswerForm("x", compile_grammar(grammar))
    assert _matches(form, '"ab"', byte_table())
    assert grammar_of_schema({"oneOf": [{"const": 1}], "type": "integer"})[1] == ["oneOf", "type"]
    assert grammar_of_schema({"allOf": [{}, {}]})[1] == ["allOf"]


def test_many_optional_properties_stay_small() -> None:
    """The grammar grows with the number of properties, not with that of their subsets."""
    names = [f"p{number}" for number in range(30)]
    schema = {"type": "object", "properties": dict.fromkeys(names, {"type": "null"})}
    grammar, _ = grammar_of_schema({**schema, "additionalProperties": False})
    form = AnswerForm("x", compile_grammar(grammar))
    table = byte_table()
    for chosen in itertools.combinations(names[:6], 2):
        assert _matches(form, json.dumps(dict.fromkeys(chosen)), table)
    assert not _matches(form, '{"p1": null, "p0": null}', table)
    assert len(to_gbnf(grammar)) < 6000


@pytest.mark.parametrize(
    "schema", [{"$ref": "#/nowhere"}, {"$ref": "other.json"}, {"type": "text"}, {"items": 3}, 7]
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    """With words, not with a traceback."""
    with pytest.raises(UsageError):
        grammar_of_schema(schema)
