"""Puts the properties of a value into the order in which a schema's grammar writes them.

The mask engine writes properties in the order of the schema: an object's own first, then those
of the schemas applied to it, then the required, then any other. Training examples for answers
under a schema should have that order as well.
"""

from collections.abc import Iterator
from typing import Any

from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.members import item_schemas, member_schemas
from expert.grammar.schema.validator import Validator
from expert.grammar.schema.values import key_of


def arrange(document: Document, value: Any) -> Any:
    """Return *value* with the properties of its objects in the grammar's order."""
    return arrange_under(Validator(document), [document.root], value)


def arrange_under(judge: Validator, schemas: list[Schema], value: Any) -> Any:
    """Return *value* in the order that *schemas* together give it."""
    if not isinstance(value, dict | list):
        return value
    applied = _applied(judge, schemas, value)
    value = _as_listed(applied, value)
    if isinstance(value, list):
        return [
            arrange_under(judge, [s for one in applied for s in item_schemas(one, index)], member)
            for index, member in enumerate(value)
        ]
    names = [name for one in applied for name in one.get("properties", ())]
    names += [name for one in applied for name in _required(one, value)]
    order = [*(name for name in dict.fromkeys(names) if name in value), *value]
    return {
        name: arrange_under(
            judge, [s for one in applied for s in member_schemas(one, name)], value[name]
        )
        for name in dict.fromkeys(order)
    }


def _as_listed(applied: list[dict[str, Any]], value: Any) -> Any:
    """Return *value* in the order in which a schema lists it, if one does."""
    for schema in applied:
        for listed in schema.get("enum", [schema["const"]] if "const" in schema else []):
            if key_of(listed) == key_of(value):
                return listed
    return value


def _required(schema: dict[str, Any], value: dict[str, Any]) -> list[str]:
    names = list(schema.get("required", ()))
    for name, asked in schema.get("dependentRequired", {}).items():
        names += [name, *asked] if name in value else []
    return names + [name for name in schema.get("dependentSchemas", {}) if name in value]


def _applied(judge: Validator, schemas: list[Schema], value: Any) -> list[dict[str, Any]]:
    """Return the schemas that apply to *value*, in the order of the engine's translation."""
    found: dict[int, dict[str, Any]] = {}
    pending = schemas[::-1]
    while pending:
        schema = pending.pop()
        if isinstance(schema, dict) and id(schema) not in found:
            found[id(schema)] = schema
            pending += list(_inner(judge, schema, value))[::-1]
    return list(found.values())


def _inner(judge: Validator, schema: dict[str, Any], value: Any) -> Iterator[Schema]:
    if "$ref" in schema:
        yield judge.definition(schema["$ref"])
    yield from schema.get("allOf", [])
    for keyword, given in schema.items():
        if keyword == "oneOf":
            yield from (one for one in given if judge.judge(one, value))
        elif keyword == "if":
            holds = judge.judge(given, value)
            yield from [given, schema.get("then", True)] if holds else [schema.get("else", True)]
        elif keyword == "dependentSchemas":
            yield from (one for name, one in given.items() if name in value)
    yield from (one for one in schema.get("anyOf", []) if judge.judge(one, value))
