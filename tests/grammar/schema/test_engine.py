"""Schemas translated for the mask engine: nothing wrong is accepted, and hardly anything lost."""

import json
from collections import Counter
from typing import Any

import pytest

from expert.errors import UsageError
from expert.forms import byte_table
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.schema.contract import compile_schema
from expert.grammar.schema.document import schemas_of
from expert.grammar.schema.engine import TooLargeError, Translator
from expert.grammar.schema.order import arrange
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.validator import Validator
from expert.grammar.tokens import TokenTable
from grammar.random_schemas import FURTHER, INNER, OF_2020, SIMPLE, VALUES, SchemaWriter
from grammar.vocabularies import accepts

ALL = [*SIMPLE, *INNER, *FURTHER, *OF_2020]


@pytest.fixture(scope="module")
def octets() -> TokenTable:
    """Return the vocabulary of the 256 bytes."""
    return byte_table()


def dumped(value: Any) -> list[int]:
    """Return a value as bytes of JSON."""
    return [*json.dumps(value, ensure_ascii=False).encode()]


@pytest.mark.parametrize("seed", range(0, 160, 40))
def test_random_schemas_are_kept_whole(octets: TokenTable, seed: int) -> None:
    """Of all values exactly the right ones can be answered, in the schema's order.

    One in two hundred may be too narrow: where schemas that apply together disagree on an order.
    A schema is refused only if none of the values keeps it.
    """
    found: Counter[str] = Counter()
    for number in range(seed, seed + 40):
        schema = SchemaWriter(number, ALL).whole()
        document = read_schema(schema)
        validator = Validator(document)
        right = {index: validator.judge(document.root, one) for index, one in enumerate(VALUES)}
        try:
            opened = compile_schema(schema, octets).start(octets)
        except UsageError:
            assert not any(right.values()), json.dumps(schema)
            found["refused"] += 1
            continue
        for index in range(number % 4, len(VALUES), 4):
            ordered = arrange(document, VALUES[index])
            accepted = accepts(opened.copy(), dumped(ordered))
            assert right[index] or not accepted, (json.dumps(schema), ordered)
            found["narrow" if right[index] and not accepted else "same"] += 1
    assert found["same"] > 1000 and found["refused"] < 8
    assert found["narrow"] <= found["same"] / 200


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_translation_is_never_too_narrow(octets: TokenTable, level: int) -> None:
    """At each level of care it has all right values, and what it has too many is watched."""
    narrow = same = 0
    for number in range(40):
        schema = SchemaWriter(number, [*SIMPLE, *INNER, "oneOf", "if", "$ref", "contains"]).whole()
        document = read_schema(schema)
        try:
            translated = Translator(document, level).translate()
        except TooLargeError:
            continue
        validator = Validator(document)
        made = {} if translated.schema is True else translated.schema
        grammar = CompiledGrammar(f"start: %json {json.dumps(made)}")
        if made is False or octets.error(grammar.engine):
            continue
        exact = not translated.watched
        for value in VALUES[number % 3 :: 3]:
            right = validator.judge(document.root, value)
            accepted = accepts(grammar.start(octets), dumped(arrange(document, value)))
            narrow += bool(right and not accepted)
            same += 1
            assert right or not accepted or not exact, (json.dumps(schema), value)
    assert same > 800 and narrow <= same / 100


# What is rewritten exactly, so that no check beside the engine is needed.
EXACT: list[Any] = [
    {"not": {"type": "string"}},
    {"not": {"enum": [1, 2]}, "type": "integer"},
    {"oneOf": [{"type": "string"}, {"type": "object", "additionalProperties": False}]},
    {"oneOf": [{"const": "a"}, {"const": "b"}]},
    {"oneOf": [{"type": "number", "maximum": 3}, {"type": "number", "minimum": 3}]},
    {"anyOf": [{"const": 1}, {"type": "null"}]},
    {"if": {"const": "a"}, "then": {"type": "string"}, "else": {"type": "integer"}},
    {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"],
     "additionalProperties": False},
]  # fmt: skip


@pytest.mark.parametrize("schema", EXACT, ids=json.dumps)
def test_what_can_be_rewritten_is_not_watched(octets: TokenTable, schema: Any) -> None:
    """The engine alone gives the verdicts of the schema."""
    document = read_schema(schema)
    translated = Translator(document).translate()
    assert not translated.watched and not translated.dropped
    validator = Validator(document)
    grammar = CompiledGrammar(f"start: %json {json.dumps(translated.schema)}")
    for value in VALUES:
        assert accepts(grammar.start(octets), dumped(value)) == validator.judge(
            document.root, value
        ), value


@pytest.mark.parametrize(
    ("schema", "dropped"),
    [
        ({"uniqueItems": True}, "uniqueItems"),
        ({"contains": {"const": 1}}, "contains"),
        ({"unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"not": {"pattern": "a"}}, "not"),
        ({"pattern": "(?=a)"}, "pattern"),
        ({"properties": {"a": {"properties": {"b": {"uniqueItems": True}}}}}, "uniqueItems"),
        ({"maxProperties": 2, "properties": {"a": {}, "b": {}, "c": {}}}, "maxProperties"),
    ],
)
def test_what_the_engine_lacks_is_watched_where_it_stands(schema: Any, dropped: str) -> None:
    """The innermost schema with the keyword is judged again, not the whole document."""
    document = read_schema(schema)
    translated = Translator(document).translate()
    assert dropped in translated.dropped
    watched = [one for one in schemas_of(document) if id(one) in translated.watched]
    assert watched and all(isinstance(one, dict) and dropped in one for one in watched)


def test_a_schema_that_depends_on_a_watched_one_is_watched_itself() -> None:
    """Where a schema applies only sometimes, what it stands in must be judged as a whole."""
    document = read_schema({"anyOf": [{"type": "null"}, {"uniqueItems": True}]})
    translated = Translator(document).translate()
    assert id(document.root) in translated.watched
    plain = read_schema({"items": {"uniqueItems": True}})
    assert id(plain.root) not in Translator(plain).translate().watched


def test_rewriting_has_an_end() -> None:
    """What doubles with every level is left to a lower level of care."""
    schema: Any = {"type": "integer"}
    for _ in range(13):
        schema = {"if": schema, "then": schema, "else": {"type": "number"}}
    document = read_schema(schema)
    with pytest.raises(TooLargeError):
        Translator(document, 0).translate()
    assert Translator(document, 1).translate().watched
