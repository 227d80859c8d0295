"""Few whole numbers between two bounds are listed: exactly those that jsonschema takes."""

import random
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest

from expert.forms import byte_table
from expert.grammar.schema.contract import compile_schema
from expert.grammar.schema.lowering import lower
from expert.grammar.schema.numbers import listed_numbers
from expert.grammar.schema.probe import engine_error
from expert.grammar.schema.reader import read_schema

STEPS: dict[str, Any] = {
    "type": "number",
    "allOf": [
        {"minimum": -400}, {"maximum": -30}, {"maximum": 20}, {"$ref": "#/$defs/one"},
        {"$ref": "#/$defs/two"}, {"not": {"multipleOf": 8}},
    ],
    "$defs": {
        "one": {"anyOf": [{"multipleOf": 33}, {"multipleOf": 12}, {"multipleOf": 77}]},
        "two": {"anyOf": [{"not": {"multipleOf": 6}}, {"multipleOf": 35}]},
    },
}  # fmt: skip
TABLE = byte_table()


def listed(schema: Any) -> list[int] | None:
    """Return what is listed of a schema."""
    document = read_schema(schema)
    return listed_numbers(document.root, document)


def drawn(draw: random.Random) -> dict[str, Any]:
    """Return a schema of numbers, most of them with two bounds and whole."""
    low = draw.randint(-60, 40)
    parts: list[Any] = [{"minimum": low}, {"maximum": low + draw.randint(0, 90)}]
    steps = [{"multipleOf": draw.randint(2, 9)} for _ in range(4)]
    parts.append(draw.choice([{"type": "integer"}, {"anyOf": steps[:2]}, {"oneOf": steps[:2]}]))
    parts.append({"not": steps[2]})
    if draw.random() < 0.5:
        parts.append({"if": steps[0], "then": steps[3], "else": {"exclusiveMinimum": low + 3}})
    return {"type": draw.choice(["number", "integer"]), "allOf": parts}


def takes(schema: Any, number: int) -> bool:
    """Tell whether the engine and its check let a number through."""
    constraint = compile_schema(schema).start(TABLE)
    for token in TABLE.encode(str(number)):
        if not constraint.allows(token):
            return False
        constraint.accept(token)
    return constraint.can_end()


@pytest.mark.parametrize("seed", range(40))
def test_they_are_those_of_a_peer(seed: int) -> None:
    """All whole numbers around the bounds, one by one."""
    schema = drawn(random.Random(seed))
    peer = jsonschema.Draft202012Validator(schema)
    wanted = [number for number in range(-200, 200) if peer.is_valid(number)]
    assert listed(schema) == wanted
    if not wanted:
        return
    assert takes(schema, wanted[-1])


def test_the_engine_gets_them_where_it_lacks_a_keyword() -> None:
    """A schema that had led to dead ends; every value fits, and none beside them."""
    values = listed(STEPS)
    assert values and all(number % 8 for number in values)
    assert '"enum"' in lower(read_schema(STEPS), engine_error).text
    for number in [*values[:3], *range(-400, -30, 37)]:
        assert takes(STEPS, number) == (number in values)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "minimum": 0, "maximum": 9},  # fractions
        {"type": "number", "minimum": 0, "maximum": 9, "multipleOf": 0.5},
        {"type": "integer", "minimum": 0},  # no end
        {"type": "integer", "minimum": 0, "maximum": 1_000_000},  # too many
        {"minimum": 0, "maximum": 9, "multipleOf": 3},  # or a string
        {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
        {"type": "integer", "anyOf": [{"minimum": 0}, {"maximum": 9}]},
        {
            "type": "number",
            "minimum": 0,
            "maximum": 9,
            "anyOf": [{"multipleOf": 3}, {"const": 1.5}],
        },
        True,
    ],
)
def test_what_is_not_surely_few_whole_numbers(schema: Any) -> None:
    """Is left to the engine and the check."""
    assert listed(schema) is None


def test_nothing_is_an_answer_too() -> None:
    """Bounds that leave nothing list nothing."""
    assert listed({"type": "integer", "minimum": 5, "maximum": 4}) == []
    assert listed({"type": "integer", "minimum": 4, "maximum": 4, "not": {"const": 4}}) == []


def test_a_plain_range_is_the_engines() -> None:
    """Only what it cannot say itself is spelt out."""
    plain = {"type": "integer", "minimum": 1, "maximum": 50}
    assert '"enum"' not in lower(read_schema(plain), engine_error).text
