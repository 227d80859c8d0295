"""What a schema asks of the members of an object or array."""

from typing import Any

from expert.grammar.schema.document import Schema
from expert.grammar.schema.patterns import search
from expert.grammar.schema.values import Unfinished


def member_schemas(schema: dict[str, Any], name: str) -> list[Schema]:
    """Return what *schema* asks of the property *name*."""
    found: list[Schema] = []
    if name in schema.get("properties", {}):
        found.append(schema["properties"][name])
    for pattern, one in schema.get("patternProperties", {}).items():
        if search(pattern, name):
            found.append(one)
    if not found and "additionalProperties" in schema:
        found.append(schema["additionalProperties"])
    return found


def item_schemas(schema: dict[str, Any], index: int) -> list[Schema]:
    """Return what *schema* asks of the item at *index*."""
    first: list[Schema] = schema.get("prefixItems", [])
    if index < len(first):
        return [first[index]]
    return [schema["items"]] if "items" in schema else []


def members_of(value: Any) -> tuple[Any, bool]:
    """Return a value as far as it is written, and whether more members may follow."""
    return (value.value, True) if isinstance(value, Unfinished) else (value, False)
