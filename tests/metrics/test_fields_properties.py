"""Measures of JSON answers over random values, beside sets of fields worked out another way."""

import copy
import json
import random
from typing import Any

import pytest

from expert.errors import UsageError
from expert.metrics import fields

KEYS = ("name", "intent", "größe", "x", "y", "z")


def value(draw: random.Random, depth: int = 3) -> Any:
    """Return a random JSON value."""
    kind = draw.random()
    if depth and kind < 0.35:
        keys = draw.sample(KEYS, draw.randint(0, 4))
        return {key: value(draw, depth - 1) for key in keys}
    if depth and kind < 0.55:
        return [value(draw, depth - 1) for _ in range(draw.randint(0, 3))]
    return draw.choice((None, True, False, 0, 1, -7, 0.5, "", "text", 'Ω\n"', "1"))


def shuffled(draw: random.Random, one: Any) -> Any:
    """Return the same value with every object's keys in another order."""
    if isinstance(one, dict):
        keys = draw.sample(list(one), len(one))
        return {key: shuffled(draw, one[key]) for key in keys}
    return [shuffled(draw, item) for item in one] if isinstance(one, list) else one


def paths(one: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], str]]:
    """Return the fields of a value, by another walk: their way from the root, and what is there."""
    if isinstance(one, dict) and one:
        return [found for key in one for found in paths(one[key], (*path, key))]
    if isinstance(one, list) and one:
        return [found for place, item in enumerate(one) for found in paths(item, (*path, place))]
    return [(path, json.dumps(one))]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_keys_means_nothing(seed: int) -> None:
    """An answer with its keys shuffled, written with other spaces, is whole."""
    draw = random.Random(seed)
    for _ in range(50):
        wanted = value(draw)
        text = json.dumps(shuffled(draw, wanted), indent=draw.choice((None, 2)))
        answer = fields.parsed(text)
        assert fields.whole(answer, wanted)
        assert fields.field_f1(answer, wanted) == fields.accuracy(answer, wanted) == 1


@pytest.mark.parametrize("seed", range(4))
def test_f1_and_accuracy_follow_from_the_sets_of_fields(seed: int) -> None:
    """Shared fields against all of both sides, and against the reference's; F1 is symmetric."""
    draw = random.Random(100 + seed)
    for _ in range(60):
        answer, wanted = value(draw), value(draw)
        ours, theirs = set(paths(answer)), set(paths(wanted))
        shared = len(ours & theirs)
        f1 = fields.field_f1(answer, wanted)
        assert f1 == pytest.approx(2 * shared / (len(ours) + len(theirs)))
        assert f1 == fields.field_f1(wanted, answer)
        assert fields.accuracy(answer, wanted) == pytest.approx(shared / len(theirs))
        assert fields.whole(answer, wanted) == (ours == theirs)
        assert fields.leaves(wanted).total() == len(theirs)


@pytest.mark.parametrize("seed", range(3))
def test_one_changed_field_is_noticed(seed: int) -> None:
    """Whichever field is another, the answer is not whole, and F1 falls by that field alone."""
    draw = random.Random(200 + seed)
    tried = 0
    while tried < 40:
        wanted = value(draw)
        where = paths(wanted)
        if len(where) < 2 or not all(path for path, _ in where):
            continue
        tried += 1
        path, _ = draw.choice(where)
        answer = copy.deepcopy(wanted)
        inner = answer
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = "something else"
        assert not fields.whole(answer, wanted)
        assert fields.field_f1(answer, wanted) == pytest.approx((len(where) - 1) / len(where))


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": 0}, {"a": False}),
        ({"a": 1}, {"a": True}),
        ({"a": None}, {}),
        ({"a": None}, {"a": "null"}),
        ({"a": []}, {"a": {}}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": [[1], [2]]}, {"a": [[1, 2]]}),
        ({"a": ""}, {"a": []}),
        ({"A": 1}, {"a": 1}),
        ({"a ": 1}, {"a": 1}),
        ([], {}),
        ("", []),
    ],
)
def test_values_that_look_alike_are_different(answer: Any, wanted: Any) -> None:
    """Types, places in lists, empty values and the case of keys count."""
    assert not fields.whole(answer, wanted) and not fields.whole(wanted, answer)


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a": -Infinity}', "01", "'a'", '{"a":1,}', "[1]]", "\ufeff1"]
)
def test_only_json_is_parsed(text: str) -> None:
    """What Python's reader would let pass beside JSON is invalid."""
    assert fields.parsed(text) is fields.INVALID
    assert fields.field_f1(fields.parsed(text), {"a": 1}) == 0
    assert fields.accuracy(fields.parsed(text), {"a": 1}) == 0


@pytest.mark.parametrize("text", [" 1 ", "null", "[]", '"\\ud83d\\ude00"', "1e5", "-0.0"])
def test_every_json_value_is_parsed(text: str) -> None:
    """Not only objects."""
    assert fields.parsed(text) == json.loads(text)


@pytest.mark.parametrize("depth", [50, 500, 900])
def test_deep_answers_are_measured(depth: int) -> None:
    """However deep a value lies that the reader still takes, its measures are no error."""
    answer = fields.parsed('{"a":' * depth + "1" + "}" * depth)
    assert fields.field_f1(answer, {"a": 1}) == 0 and fields.whole(answer, answer)


def object_schema(draw: random.Random) -> dict[str, Any]:
    """Return a random schema of an object, of the kind that answers are held to."""
    kinds: list[dict[str, Any]] = [
        {"type": "string"},
        {"type": "integer"},
        {"type": "boolean"},
        {"enum": ["text", "other"]},
        {"const": "text"},
        {"type": "array", "items": {"type": "integer"}},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
    ]
    keys = draw.sample(KEYS, 3)
    return {
        "type": "object",
        "properties": {key: draw.choice(kinds) for key in keys},
        "required": draw.sample(keys, draw.randint(0, 3)),
        "additionalProperties": False,
    }


@pytest.mark.parametrize("seed", range(3))
def test_random_schemas_are_kept_as_jsonschema_says(seed: int) -> None:
    """Answers that fit by halves are judged as the peer judges them, right ones among them."""
    jsonschema: Any = pytest.importorskip("jsonschema")
    draw = random.Random(300 + seed)
    right = 0
    for _ in range(12):
        schema = object_schema(draw)
        peer = jsonschema.Draft202012Validator(schema)
        for _ in range(12):
            keys = draw.sample(list(schema["properties"]), draw.randint(0, 3))
            choices: tuple[Any, ...] = ("text", "other", 3, True, None, [1, 2], ["a"], [], {})
            answer = {key: draw.choice(choices) for key in keys}
            if draw.random() < 0.1:
                answer["surplus"] = 1
            wanted = peer.is_valid(answer)
            right += wanted
            assert fields.keeps(json.dumps(answer), json.dumps(schema)) is wanted, (answer, schema)
    assert right > 4, "agreement on refusals alone would show little"


@pytest.mark.parametrize("text", ["", "{", "null null", "\x00", "[" * 5000, "\ud800"])
def test_texts_that_are_no_json_keep_no_schema(text: str) -> None:
    """Nothing is raised, whatever an answer is."""
    assert not fields.keeps(text, '{"type": "object"}')


def test_a_schema_that_is_none_is_no_wrong_answer() -> None:
    """A broken schema is the caller's mistake, and says so instead of counting against answers."""
    with pytest.raises(UsageError):
        fields.keeps("{}", '{"type": "nothing"}')
