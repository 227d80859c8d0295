"""Schemas and answers made to hang, crash or slip through: each ends in a typed error, or works."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from expert.errors import ContractError, ExpertError, UsageError, VerificationError
from expert.grammar.schema import compile_schema, verify
from expert.grammar.schema.document import Document, Schema, inner_first
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.stream import JsonCheck, Rules
from expert.grammar.tokens import TokenTable
from grammar.vocabularies import allowed, generate

NUMBER = {"type": "number"}


def nested(depth: int, around: Callable[[Any], Any]) -> Any:
    """Put a schema inside itself."""
    schema: Any = {"type": "integer"}
    for _ in range(depth):
        schema = around(schema)
    return schema


def laughs(keyword: str, length: int, width: int = 2) -> dict[str, Any]:
    """Return definitions of which each refers to the next several times: a billion laughs."""
    definitions: dict[str, Any] = {
        f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}] * width} for i in range(length)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{length}": {"type": "integer"}}}


def chain(length: int, link: Callable[[Any], Any]) -> dict[str, Any]:
    """Return definitions that lead from one to the next."""
    definitions = {f"d{i}": link({"$ref": f"#/$defs/d{i + 1}"}) for i in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{length}": {"type": "integer"}}}


HOSTILE: dict[str, Any] = {
    "deep": nested(5000, lambda s: {"properties": {"a": s}}),
    "deep text": '{"items":' * 50_000,
    "deep brackets": "[" * 100_000,
    "deep not": nested(90, lambda s: {"not": {"properties": {"a": s}}}),
    "deep anyOf": nested(98, lambda s: {"anyOf": [s, {"type": "string"}]}),
    "deep const": {"const": nested(2000, lambda s: [s])},
    "doubling if": nested(12, lambda s: {"if": s, "then": s, "else": NUMBER}),
    "doubling oneOf": nested(6, lambda s: {"oneOf": [s, NUMBER, s, {"minimum": 3}]}),
    "laughing allOf": laughs("allOf", 45),
    "laughing anyOf": laughs("anyOf", 45),
    "laughing oneOf": laughs("oneOf", 45),
    "wide laughs": laughs("anyOf", 12, 8),
    "laughing not": {**laughs("allOf", 40), "not": {"$ref": "#/$defs/d0"}},
    "laughing rest": {**laughs("allOf", 40), "unevaluatedProperties": False},
    "long chain": chain(5000, lambda link: link),
    "long chain of members": chain(1500, lambda link: {"properties": {"a": link}}),
    "longer chain of members": chain(8000, lambda link: {"properties": {"a": link}}),
    "cycle": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
              "$ref": "#/$defs/a"},
    "cycle through not": {"not": {"$ref": "#"}},
    "cycle through if": {"if": {"$ref": "#"}, "then": {"type": "integer"}},
    "cycle of required": {
        "type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"],
        "additionalProperties": False,
    },
    "names by itself": {"propertyNames": {"$ref": "#"}},
    "no URI": {"$id": "http://[bad", "$ref": "http://[bad#/x"},
    "bad escapes": {"$ref": "#/%zz%ff"},
    "file": {"$ref": "file:///etc/passwd"},
    "nested repetition": {"type": "string", "pattern": "(a+)+$"},
    "repeated count": {"type": "string", "pattern": "^(a{1000}){1000}$"},
    "optional repetition": {"type": "string", "pattern": "(a?){1000}a{1000}"},
    "no small automaton": {"type": "string", "pattern": "(a|b)*a(a|b){20}", "maxLength": 90},
    "repeated look-around": {"type": "string", "pattern": r"^(?!.*(a|aa)+$).*$"},
    "huge count": {"type": "string", "pattern": "a{99999999999}"},
    "long pattern": {"type": "string", "pattern": "(" * 3000 + ")" * 3000},
    "long list of words": {"enum": [f"v{i}" for i in range(100_000)]},
    "long list of objects": {"enum": [{"a": i} for i in range(20_000)]},
    "not of many words": {"type": "string", "not": {"enum": [f"v{i}" for i in range(20_000)]}},
    "large": {"enum": [{"x": [0] * 10}] * 200_000},
    "many properties": {"properties": {f"p{i}": {} for i in range(50_000)}},
    "many required": {"type": "object", "required": [f"p{i}" for i in range(50_000)]},
    "many options": {
        "oneOf": [
            {"properties": {"k": {"const": i}}, "required": ["k"]} for i in range(1500)
        ]
    },
    "many patterns": {"patternProperties": {f"a{i}.*b": NUMBER for i in range(2000)}},
    "many dependencies": {"dependentRequired": {f"p{i}": [f"q{i}"] for i in range(200)}},
    "many conditions": {
        "allOf": [
            {"if": {"properties": {"k": {"const": i}}}, "then": {"required": [f"v{i}"]}}
            for i in range(200)
        ]
    },
    "infinite count": {"maxItems": float("inf")},
    "not a number": {"minimum": float("nan")},
    "infinite constant": '{"const": 1e999}',
    "huge number": {"const": 10**400},
    "huge minimum": {"type": "integer", "minimum": 10**60},
    "fine factor": {"type": "number", "multipleOf": 1e-320},
    "endless string": {"type": "string", "minLength": 10**9},
    "endless array": {"type": "array", "items": NUMBER, "minItems": 10**30},
    "half a character": {"properties": {"\ud800": NUMBER}, "required": ["\ud800"]},
    "half a constant": {"const": "\ud800"},
    "zero byte": {"type": "object", "properties": {'\0\n"\\': NUMBER}, "required": ['\0\n"\\']},
    "grid": nested(9, lambda s: {"type": "array", "items": s, "minItems": 3, "maxItems": 5}),
    "engine options": {"x-guidance": {"lenient": True, "whitespace_flexible": True}},
}  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_schemas_end_in_a_typed_error_or_work(table: TokenTable, name: str) -> None:
    """No schema hangs, kills the process, or raises what is not an error of ours."""
    start = time.process_time()
    try:
        constraint = compile_schema(HOSTILE[name], table).start(table, limit=30)
        assert time.process_time() - start < 5
        generate(constraint, table, seed=1, limit=30)
    except ExpertError as error:
        assert isinstance(error, UsageError | VerificationError | ContractError)
        assert error.what and error.fix
    assert time.process_time() - start < 10


def test_answers_too_deep_are_refused(table: TokenTable) -> None:
    """Beyond 64 levels nothing is opened, so that nothing that reads the answer overflows."""
    constraint = compile_schema({}, table).start(table)
    opening = table.encode("[")[0]
    for _ in range(64):
        constraint.accept(opening)
    assert not constraint.allows(opening)
    with pytest.raises(ContractError, match="not JSON"):
        verify(read_schema({}), "[" * 100_000)


def test_numbers_too_long_are_refused() -> None:
    """Thousands of digits are JSON, but no program reads them."""
    check = JsonCheck(Rules(read_schema({"maximum": 5}), frozenset()))
    watched = check.push(b"[" + b"9" * 5000)
    assert watched is not None
    document = read_schema({"items": {"maximum": 5}})
    root = document.root
    assert isinstance(root, dict)
    check = JsonCheck(Rules(document, frozenset([id(root["items"])])))
    longer = check.push(b"[" + b"9" * 5000)
    assert longer is not None and longer.push(b"]") is None
    with pytest.raises(ContractError, match="not JSON"):
        verify(document, "[" + "9" * 5000 + "]")


def test_the_engine_takes_no_options_from_a_schema(table: TokenTable) -> None:
    """What is not a keyword of JSON Schema is left out, and so cannot loosen the mask."""
    grammar = compile_schema(HOSTILE["engine options"], table)
    assert "lenient" not in grammar.engine
    assert json.loads(grammar.engine.partition("%json ")[2])["x-guidance"] == {
        "item_separator": ", ?", "key_separator": ": ?", "whitespace_flexible": False,
    }  # fmt: skip


def test_a_dead_end_is_taken_back(table: TokenTable) -> None:
    """A second equal item cannot be closed or followed: the search goes back before it."""
    schema = {"type": "array", "items": {"const": 1}, "minItems": 1, "uniqueItems": True}
    constraint = compile_schema(schema, table).start(table)
    for token in table.encode("[1, 1"):
        constraint.accept(token)
    removed = 0
    while not constraint.can_end():
        usual = [one for one in allowed(constraint, table.size) if constraint.allows(one)]
        if usual:
            constraint.accept(usual[0])
        else:
            removed += constraint.retreat()
    assert removed >= 2
    assert constraint.text() == "[1]"
    constraint.check("[1]")


def test_definitions_come_after_what_they_need() -> None:
    """Unneeded definitions are left out; of recursive ones one comes first."""
    needed: dict[str, Schema] = {
        "a": {"$ref": "b"},
        "b": {"items": {"$ref": "c"}},
        "c": {"items": {"$ref": "b"}},
    }
    document = Document({"$ref": "a"}, {**needed, "unused": {}}, 2020)
    order = inner_first(document)
    assert sorted(order) == ["a", "b", "c"]
    assert order.index("b") < order.index("a")
