"""A JSON text followed as it grows is judged as the value that it is in the end."""

import json
import random
from typing import Any

import pytest

from expert.grammar.schema.document import schemas_of
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.stream import JsonCheck, Rules
from expert.grammar.schema.validator import Validator
from grammar.random_schemas import FURTHER, INNER, OF_2020, SIMPLE, VALUES, SchemaWriter

ALL = [*SIMPLE, *INNER, *FURTHER, *OF_2020]


def follower(schema: Any) -> JsonCheck:
    """Return the check of a schema of which every part is watched."""
    document = read_schema(schema)
    return JsonCheck(Rules(document, frozenset(map(id, schemas_of(document)))))


def push(state: JsonCheck | None, text: str) -> JsonCheck | None:
    """Go on with a text, if that is still possible."""
    return state.push(text.encode()) if state else None


@pytest.mark.parametrize("seed", range(0, 120, 40))
def test_a_text_is_complete_exactly_if_its_value_is_right(seed: int) -> None:
    """With everything watched, the check alone gives the verdict of the whole value."""
    for number in range(seed, seed + 40):
        schema = SchemaWriter(number, ALL).whole()
        document, opened = read_schema(schema), follower(schema)
        validator = Validator(document)
        for value in VALUES[number % 3 :: 3]:
            state = push(opened, json.dumps(value, ensure_ascii=False))
            complete = state is not None and state.complete()
            assert complete == validator.judge(document.root, value), (json.dumps(schema), value)


def test_every_cut_of_a_text_is_judged_alike() -> None:
    """It is no matter how many bytes come at once, also in the middle of a character."""
    draw, refused = random.Random(5), 0
    for number in range(60):
        schema = SchemaWriter(number, ALL).whole()
        opened = follower(schema)
        value = {"é": [1, {"a": draw.choice(VALUES)}], 'b"\\': draw.choice(VALUES)}
        raw = json.dumps(draw.choice([value, *VALUES]), ensure_ascii=False).encode()
        whole, place = opened.push(raw), 0
        state: JsonCheck | None = opened
        while state is not None and place < len(raw):
            step = draw.randint(1, 4)
            state, place = state.push(raw[place : place + step]), place + step
        assert (state is None) == (whole is None)
        assert state is None or whole is None or state.complete() == whole.complete()
        refused += state is None
    assert 10 < refused < 50


# Schema, what may be written, and the first thing that may not follow.
SOON = [
    ({"uniqueItems": True}, "[1, [2], [2", "]"),
    ({"maxProperties": 1}, '{"a": 1, "b": 2', ","),
    ({"propertyNames": {"pattern": "^a"}}, '{"ab": 1, "b', '"'),
    ({"items": {"multipleOf": 3}}, "[3, 4", ","),
    ({"properties": {"a": {"const": "x"}}}, '{"a": "xy', '"'),
    ({"not": {"required": ["a"]}}, '{"b": 1, "a": 2', ","),
    ({"dependentRequired": {"a": ["b"]}}, '{"a": 1', "}"),
    ({"contains": {"const": 7}, "maxItems": 2}, "[1, 2", ","),
    ({"items": {"items": {"items": {"uniqueItems": True}}}}, "[[[[1,1", "]"),
]


@pytest.mark.parametrize(("schema", "right", "wrong"), SOON)
def test_a_mistake_is_refused_where_it_is_made(schema: Any, right: str, wrong: str) -> None:
    """Not at the end of the text, when everything after it would have to be taken back."""
    state = push(follower(schema), right)
    assert state is not None
    assert push(state, wrong) is None


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a"', '{"a\\u0062": 1, "ab"', '{"x": {"y": [1, {"a": 1, "a"', '{"": 1, "": '],
)
def test_a_property_is_named_once(text: str) -> None:
    """However its name is written, and at any depth; elsewhere the name is free."""
    assert push(follower({}), text) is None
    assert push(follower({}), '{"a": {"a": [{"a": 1}, {"a": 2}]}, "b": "a"}') is not None


def test_signs_inside_of_texts_are_no_signs() -> None:
    """Brackets, commas and escaped quotes in a string open and close nothing."""
    state = push(follower({"maxItems": 2}), r'["a\"],[{", "\\"')
    assert state is not None and not state.complete()
    closed = push(state, "]")
    assert closed is not None and closed.complete()
    assert push(state, ", 1]") is None


def test_a_number_ends_only_where_something_follows() -> None:
    """12 may still become 120, so it is judged at its end, and at the end of the answer."""
    state = push(follower({"minimum": 100}), "12")
    assert state is not None and not state.complete()
    longer = push(state, "0")
    assert longer is not None and longer.complete()


def test_members_that_can_be_taken_back_are_known() -> None:
    """Anchors are where members and values of what is open begin, and only of what is open."""
    text = '{"a": [1, {"b": 2}], "c": ['
    state = push(follower({}), text)
    assert state is not None
    starts = [text.encode()[place:].lstrip(b" ,") for place in state.anchors()]
    assert [start[:3] for start in starts] == [b'"a"', b"[1,", b'"c"', b"[", b""]
    inner = text.index('"b"')
    assert inner not in state.anchors()


def test_states_are_left_as_they_are() -> None:
    """One beginning goes on in two ways, and neither knows of the other."""
    state = push(follower({"uniqueItems": True}), "[1, ")
    assert state is not None
    first, second = push(state, "2, 3]"), push(state, "3]")
    assert first is not None and first.complete() and second is not None and second.complete()
    assert state.text == b"[1, " and not state.complete()


def test_unwatched_schemas_judge_nothing() -> None:
    """Only what the engine lacks costs work; the rest is left to the engine."""
    state = push(JsonCheck(Rules(read_schema({"maximum": 1}), frozenset())), "[7]")
    assert state is not None and state.complete()


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"items": {"minItems": 2}}, "[[1, 2], [3, 4, 5]]"),
        ({"properties": {"a": {"required": ["x", "y"]}}}, '{"a": {"x": 1, "y": 2}}'),
        ({"items": {"items": {"minProperties": 2}}}, '[[{"a": 1, "b": 2}]]'),
        ({"properties": {"a": {"contains": {"const": 3}}}}, '{"a": [1, 2, 3]}'),
        ({"items": {"enum": [[1, 2], {"a": 1, "b": 2}]}}, '[[1, 2], {"a": 1, "b": 2}]'),
    ],
)
def test_what_is_open_inside_is_not_judged_as_if_it_were_closed(schema: Any, text: str) -> None:
    """An inner array or object may still get the members that it needs."""
    state = push(follower(schema), text)
    assert state is not None and state.complete()
