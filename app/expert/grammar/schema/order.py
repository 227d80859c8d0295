"""Puts the properties of a value into the order in which a schema's grammar writes them.

The mask engine writes properties in the order of the schema: an object's own first, then those
of the schemas applied to it, then the required, then any other. Training examples for answers
under a schema should have that order as well.
"""

from collections.abc import Iterator
from typing import Any

from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.validator import Validator, item_schemas, member_schemas


def arrange(document: Document, value: Any) -> Any:
    """Return *value* with the properties of its objects in the grammar's order."""
    return _arrange(Validator(document), [document.root], value)


def _arrange(judge: Validator, schemas: list[Schema], value: Any) -> Any:
    if not isinstance(value, dict | list):
        return value
    applied = [one for schema in schemas for one in _applied(judge, schema, value)]
    if isinstance(value, list):
        return [
            _arrange(judge, [s for one in applied for s in item_schemas(one, index)], member)
            for index, member in enumerate(value)
        ]
    names = [name for one in applied for name in one.get("properties", ())]
    names += [name for one in applied for name in one.get("required", ())]
    order = [*(name for name in dict.fromkeys(names) if name in value), *value]
    return {
        name: _arrange(
            judge, [s for one in applied for s in member_schemas(one, name)], value[name]
        )
        for name in dict.fromkeys(order)
    }


def _applied(judge: Validator, schema: Schema, value: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas that apply to *value*, in the order of the engine's translation."""
    if isinstance(schema, bool):
        return
    yield schema
    inner: list[Schema] = [judge.definition(schema["$ref"])] if "$ref" in schema else []
    inner += schema.get("allOf", [])
    for keyword, given in schema.items():
        if keyword == "oneOf":
            inner += [one for one in given if judge.judge(one, value)]
        elif keyword == "if":
            holds = judge.judge(given, value)
            inner += [given, schema.get("then", True)] if holds else [schema.get("else", True)]
        elif keyword == "dependentSchemas":
            inner += [one for name, one in given.items() if name in value]
    inner += [one for one in schema.get("anyOf", []) if judge.judge(one, value)]
    for one in inner:
        yield from _applied(judge, one, value)
