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
from expert.grammar.schema.order import arrange
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.validator import Validator
from grammar.random_schemas import VALUES, SchemaWriter

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
PERSONS: list[Any] = [
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
        [_matches(form, json.dumps(value, ensure_ascii=False), table) for value in PERSONS]
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


WORDS = "type enum const properties required additionalProperties items prefixItems minItems "
WORDS += "maxItems minLength maxLength anyOf allOf oneOf $ref"


@pytest.mark.parametrize("seed", range(0, 120, 40))
def test_random_schemas_are_matched_whole(seed: int) -> None:
    """Every right value is matched in the schema's order; wrong ones only where it says so."""
    table, told = byte_table(), 0
    for number in range(seed, seed + 40):
        schema = SchemaWriter(number, WORDS.split()).whole()
        document = read_schema(schema)
        judge = Validator(document)
        right = [bool(judge.judge(document.root, value)) for value in VALUES]
        try:
            grammar, left_out = grammar_of_schema(schema)
            form = AnswerForm("x", compile_grammar(grammar))
        except UsageError:  # nothing is matched
            assert not any(right), json.dumps(schema)
            continue
        if any(word.startswith("type (") for word in left_out):
            continue
        for index in range(number % 3, len(VALUES), 3):
            text = json.dumps(arrange(document, VALUES[index]), ensure_ascii=False)
            matched = _matches(form, text, table)
            assert matched or not right[index], (json.dumps(schema), text)
            assert right[index] or not matched or left_out, (json.dumps(schema), text)
            told += not left_out
    assert told > 60


def test_a_property_may_be_called_anything() -> None:
    """Names of rules inside, spaces, quotes and letters beyond ASCII are just names."""
    names = ["other", "after 1", "item", "x y", 'a"b', "é", "json value", "root", ""]
    properties: dict[str, Any] = {name: {"const": place} for place, name in enumerate(names)}
    properties["x"] = {"type": "object", "properties": {"y": {"const": "inner"}}}
    schema = {"type": "object", "properties": properties}
    form = AnswerForm("x", compile_grammar(grammar_of_schema(schema)[0]))
    printed = AnswerForm("x", compile_gbnf(to_gbnf(grammar_of_schema(schema)[0])))
    table = byte_table()
    for place, name in enumerate(names):
        for value, right in ((place, True), (99, False)):
            if not right and name == "other":
                continue  # a further property may have any name that is not required
            text = json.dumps({name: value}, ensure_ascii=False)
            closed = {**schema, "additionalProperties": False}
            shut = AnswerForm("x", compile_grammar(grammar_of_schema(closed)[0]))
            assert _matches(shut, text, table) is right, text
            assert _matches(form, text, table) and _matches(printed, text, table)


@pytest.mark.parametrize(
    ("schema", "left_out"),
    [
        ({"anyOf": [{"type": "string"}], "minLength": 3}, ["minLength"]),
        ({"$ref": "#/$defs/a", "maxItems": 3, "$defs": {"a": True}}, ["maxItems"]),
        ({"enum": ["a", "bcd"], "minLength": 3}, ["minLength"]),
        ({"const": 1, "enum": [1, 2]}, ["enum"]),
        ({"minLength": 3}, ["minLength"]),
        ({"type": "string", "format": "date", "title": "x"}, ["format"]),
        ({"type": "integer", "minimum": 3}, ["minimum"]),
    ],
)
def test_every_keyword_that_is_left_out_is_listed(schema: Any, left_out: list[str]) -> None:
    """Also those that the grammar could say, beside one that decides alone."""
    assert grammar_of_schema(schema)[1] == left_out


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": 3}, {"allOf": {}}, {"$ref": 3}, {"type": "object", "properties": 3},
        {"type": "object", "properties": {"a": 1}}, {"enum": 1}, {"type": "array", "items": [3]},
        {"items": 3},
        {"type": "string", "minLength": "3"}, {"$ref": "#"}, {"type": "object", "required": 1},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_values_that_no_keyword_has_are_refused(schema: Any) -> None:
    """With the place of the keyword, not with a traceback."""
    with pytest.raises(UsageError) as caught:
        grammar_of_schema(schema)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]},
         [[], [1], [1, 2], [1, 2, "x"]], [[2], [1, 1]]),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False,
        "minItems": 1},
         [[1], [1, 2]], [[], [1, 2, 3]]),
        ({"type": "array", "prefixItems": [{"const": 1}], "minItems": 2, "maxItems": 3,
          "items": {"const": 0}}, [[1, 0], [1, 0, 0]], [[1], [1, 0, 0, 0], [1, 1]]),
        ({"type": "array", "maxItems": 0}, [[]], [[1]]),
        ({"type": "array", "minItems": 2, "maxItems": 2, "items": {"const": 0}}, [[0, 0]], [[0],
        []]),
        ({"type": ["string", "null"], "minLength": 3, "maxLength": 2}, [None], ["ab", "abc"]),
        ({"type": ["array", "null"], "minItems": 3, "maxItems": 2}, [None], [[1, 2]]),
        ({"type": "integer", "enum": [1, "a", 2.5]}, [1], ["a", 2.5]),
        ({"type": "number", "enum": [1, "a", 2.5]}, [1, 2.5], ["a"]),
        ({"allOf": [], "type": "null"}, [None], [1]),
        ({"anyOf": [False, {"const": 1}]}, [1], [2]),
        ({"type": "array", "items": [{"const": 1}], "additionalItems": {"const": 2}},
         [[], [1, 2]], [[2], [1, 1]]),
    ],
)  # fmt: skip
def test_lists_with_places_and_bounds(schema: Any, right: list[Any], wrong: list[Any]) -> None:
    """A place of its own for each of the first items, and nothing where bounds contradict."""
    grammar, left_out = grammar_of_schema(schema)
    form, table = AnswerForm("x", compile_grammar(grammar)), byte_table()
    assert not left_out
    assert all(_matches(form, json.dumps(value), table) for value in right)
    assert not any(_matches(form, json.dumps(value), table) for value in wrong)
    assert "{3,2}" not in to_gbnf(grammar)
