"""Values are judged as jsonschema judges them, and unfinished ones never too early."""

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from expert.grammar.schema.document import Document
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.validator import Validator
from expert.grammar.schema.values import Unfinished, is_multiple, key_of, type_of
from grammar.random_schemas import FURTHER, INNER, OF_2019, OF_2020, SIMPLE, VALUES, SchemaWriter

jsonschema: Any = import_module("jsonschema")  # it publishes no type hints

OLD = [one for one in FURTHER if one != "if"]
DRAFTS = {  # the unevaluated keywords of 2019-09 are compared with those of 2020-12
    "Draft202012Validator": ([*SIMPLE, *INNER, *FURTHER, *OF_2020], 220),
    "Draft201909Validator": ([*SIMPLE, *INNER, *FURTHER, *OF_2019[:2]], 60),
    "Draft7Validator": ([*SIMPLE, *INNER, *FURTHER], 60),
    "Draft6Validator": ([*SIMPLE, *INNER, *OLD], 60),
}  # fmt: skip


def document_of(schema: Any) -> tuple[Document, Validator]:
    """Return a schema, read and ready to judge."""
    document = read_schema(schema)
    return document, Validator(document)


def judge(schema: Any, value: Any) -> bool | None:
    """Judge one value by one schema."""
    document, validator = document_of(schema)
    return validator.judge(document.root, value)


@pytest.mark.parametrize("draft", DRAFTS)
def test_random_schemas_are_judged_as_jsonschema_does(draft: str) -> None:
    """Every keyword inside every other, on values that keep and break them about equally often."""
    kind = getattr(jsonschema, draft)
    keywords, count = DRAFTS[draft]
    right = wrong = 0
    for seed in range(count):
        schema = {"$schema": kind.META_SCHEMA["$schema"]}
        schema |= SchemaWriter(seed, keywords).whole()
        (document, validator), peer = document_of(schema), kind(schema)
        for value in VALUES:
            judged = validator.judge(document.root, value)
            assert judged == peer.is_valid(value), (json.dumps(schema), value)
            right, wrong = right + (judged is True), wrong + (judged is False)
    assert right > count * 20 and wrong > count * 20


def beginnings(value: Any) -> Iterator[Any]:
    """Yield an array or object as it is while it is written."""
    if isinstance(value, list):
        yield from (Unfinished(value[:size]) for size in range(len(value) + 1))
    elif isinstance(value, dict):
        names = list(value)
        for size in range(len(names) + 1):
            yield Unfinished({name: value[name] for name in names[:size]})


@pytest.mark.parametrize("seed", range(0, 120, 40))
def test_an_unfinished_value_is_refused_only_if_nothing_makes_it_right(seed: int) -> None:
    """What begins a right value is never wrong, and what is called right stays right."""
    decided = 0
    for number in range(seed, seed + 40):
        schema = SchemaWriter(number, [*SIMPLE, *INNER, *FURTHER, *OF_2020]).whole()
        document, validator = document_of(schema)
        for value in VALUES[15:150:2]:
            whole = validator.judge(document.root, value)
            for part in beginnings(value):
                early = validator.judge(document.root, part)
                assert early is None or early == whole, (json.dumps(schema), value, part)
                decided += early is not None
    assert decided > 1000


# Schema, what is written of a value, and the judgement: as early as can be.
EARLY: list[tuple[Any, Any, bool | None]] = [
    ({"maxItems": 1}, [1, 2], False),
    ({"maxItems": 2}, [1, 2], None),
    ({"minItems": 2}, [1, 2], True),
    ({"minItems": 3}, [1, 2], None),
    ({"maxProperties": 0}, {"a": 1}, False),
    ({"minProperties": 1}, {"a": 1}, True),
    ({"required": ["a"]}, {"a": 1}, True),
    ({"required": ["b"]}, {"a": 1}, None),
    ({"type": ["object"]}, [1], False),
    ({"type": ["array"]}, [1], True),
    ({"enum": [1, "x"]}, [1], False),
    ({"const": [1, 2]}, [1], None),
    ({"uniqueItems": True}, [1, 1.0], False),
    ({"items": {"type": "string"}}, [1], False),
    ({"properties": {"a": {"type": "string"}}}, {"a": 1}, False),
    ({"properties": {"a": {"type": "integer"}}}, {"a": 1}, True),
    ({"properties": {"a": {"type": "integer"}, "b": True}}, {"a": 1}, None),
    ({"additionalProperties": False}, {"a": 1}, False),
    ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, False),
    ({"contains": {"const": 1}}, [2, 1], True),
    ({"contains": {"const": 1}, "maxContains": 1}, [1, 1], False),
    ({"contains": {"const": 1}, "maxContains": 1}, [1], None),
    ({"dependentRequired": {"a": ["b"]}}, {"a": 1, "b": 1}, True),
    ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, None),
    ({"dependentSchemas": {"a": {"maxProperties": 1}}}, {"a": 1, "b": 2}, False),
    ({"oneOf": [{"minItems": 1}, {"minItems": 2}]}, [1, 2], False),
    ({"anyOf": [{"minItems": 1}, {"maxItems": 0}]}, [1], True),
    ({"not": {"minItems": 1}}, [1], False),
    ({"not": {"maxItems": 1}}, [1], None),
    ({"if": {"minItems": 1}, "then": False}, [1], False),
    ({"if": {"maxItems": 1}, "then": False}, [1], None),
    ({"unevaluatedItems": False}, [1], None),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "judgement"), EARLY)
def test_what_is_decided_early(schema: Any, value: Any, judgement: bool | None) -> None:
    """A wrong beginning is refused at once, and None stands for what more members may decide."""
    assert judge(schema, Unfinished(value)) is judgement


def test_what_is_wrong_is_named_as_jsonschema_names_it() -> None:
    """The place and keyword of a mistake are among those that jsonschema finds."""
    explained = 0
    for seed in range(80):
        schema = SchemaWriter(seed, [*SIMPLE, *INNER, *FURTHER, *OF_2020]).whole()
        (document, validator), peer = document_of(schema), jsonschema.Draft202012Validator(schema)
        for value in VALUES[::7]:
            if validator.judge(document.root, value):
                continue
            place, keyword = validator.explain(document.root, value)
            found = [(_pointer(one.absolute_path), one) for one in peer.iter_errors(value)]
            assert any(
                (where.startswith(place) and _is_named(keyword, one.absolute_schema_path))
                or (keyword == "false" and place.startswith(where))
                for where, one in found
            ), (json.dumps(schema), value, place, keyword)
            explained += 1
    assert explained > 300


def _is_named(keyword: str, path: Any) -> bool:
    """Tell whether a path through the schema has the keyword; jsonschema leaves `if` out."""
    return bool({keyword} & set(path)) or (keyword == "if" and bool({"then", "else"} & set(path)))


def _pointer(path: Any) -> str:
    return "".join(f"/{part}" for part in path)


def test_names_in_a_place_are_escaped() -> None:
    """The place of a mistake is a JSON pointer, whatever a property is called."""
    document, validator = document_of({"additionalProperties": {"items": {"maximum": 1}}})
    assert validator.explain(document.root, {"a/b~": [0, 2]}) == ("/a~1b~0/1", "maximum")


def test_equal_values_have_equal_keys() -> None:
    """As JSON compares: 1 is 1.0, true is not 1, and the order of properties is no matter."""
    same = [(1, 1.0), ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1.0}), (0, -0.0), ([], [])]
    other = [(True, 1), (False, 0), ([True], [1]), ("1", 1), ([], {}), (None, False)]
    assert all(key_of(one) == key_of(two) for one, two in same)
    assert not any(key_of(one) == key_of(two) for one, two in other)
    written = {json.dumps(value, sort_keys=True) for value in VALUES}
    assert len({key_of(value) for value in VALUES}) == len(written)


def test_multiples_are_counted_as_written_in_decimal() -> None:
    """0.3 is three times 0.1, whatever binary fractions make of it."""
    for value, factor in ((0.3, 0.1), (1.1, 0.01), (1e300, 1e299), (-6, 3), (0, 7), (4.0, 2)):
        assert is_multiple(value, factor), (value, factor)
    for value, factor in ((0.35, 0.1), (7, 2), (1e-7, 1), (float("inf"), 2), (2.5, 2)):
        assert not is_multiple(value, factor), (value, factor)


def test_types_are_those_of_json() -> None:
    """A number without a fraction is an integer, true is none, half an array is an array."""
    kinds: list[tuple[Any, str]] = [
        (1.0, "integer"),
        (1.5, "number"),
        (True, "boolean"),
        (None, "null"),
        ("", "string"),
    ]
    kinds += [(Unfinished([]), "array"), (Unfinished({}), "object"), ({}, "object")]
    assert [type_of(value) for value, _ in kinds] == [kind for _, kind in kinds]


def test_old_drafts_tell_whole_floats_from_integers() -> None:
    """Draft 4 took 1.0 for a number; draft 6 takes it for an integer."""
    for draft, whole in (("draft-04", False), ("draft-06", True)):
        schema = {"$schema": f"http://json-schema.org/{draft}/schema#", "type": "integer"}
        assert judge(schema, 1.0) is whole
        assert judge(schema, 1) is True and judge(schema, 1.5) is False


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"contentEncoding": "base64"}, ["", "YQ==", 3], ["YQ=", "é", "a b="]),
        ({"contentMediaType": "application/json"}, ["{}", "[1]", 3], ["{", "x", ""]),
        (
            {"contentMediaType": "application/json", "contentEncoding": "base64"},
            ["e30="], ["{}", "YQ=="],
        ),
        ({"contentMediaType": "text/plain"}, ["{", ""], []),
    ],
)  # fmt: skip
def test_content_is_judged_by_draft_7_only(schema: Any, right: list[Any], wrong: list[Any]) -> None:
    """Later drafts take these keywords for notes."""
    seventh = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    newest = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    assert all(judge(seventh, one) for one in right)
    assert not any(judge(seventh, one) for one in wrong)
    assert all(judge(newest, one) for one in [*right, *wrong])


def test_references_that_double_are_judged_once() -> None:
    """Forty definitions of which each asks the next twice take no time."""
    definitions: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": {**definitions, "d40": {"type": "integer"}}}
    assert judge(schema, 3) is True and judge(schema, "x") is False
