"""A JSON Schema in one self-contained form, whatever its draft.

The form has the keywords of draft 2020-12 that constrain a value, in the order of the schema,
and no others; every `$ref` names an entry of `definitions`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from expert.grammar.schema import keywords

Schema: TypeAlias = bool | dict[str, Any]


@dataclass(frozen=True)
class Document:
    """A schema whose references are names in *definitions*."""

    root: Schema
    definitions: dict[str, Schema]
    draft: int
    """3, 4, 6, 7, 2019 or 2020."""
    places: dict[int, str] = field(default_factory=dict)
    """By identity of its schemas: where they come from, as JSON pointers."""

    def place(self, schema: Schema) -> str:
        """Return the JSON pointer of *schema* in the text it was read from."""
        return self.places.get(id(schema), "#")


def schemas_of(document: Document) -> Iterator[Schema]:
    """Yield every schema of the document."""
    for schema in (document.root, *document.definitions.values()):
        yield from _with_inner(schema)


def inner_first(document: Document) -> list[str]:
    """Return the names of the definitions that the root needs, each after those it refers to.

    Of definitions that refer to each other one comes before the other.
    """
    order: dict[str, None] = {}
    opened: set[str] = set()
    pending = _references(document.root)
    while pending:
        name = pending[-1]
        if name in opened:
            order.setdefault(pending.pop())
            continue
        opened.add(name)
        pending += (one for one in _references(document.definitions[name]) if one not in opened)
    return list(order)


def inner_schemas(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield the schemas directly inside *schema*, each with the keyword that holds it."""
    for keyword, given in schema.items() if isinstance(schema, dict) else ():
        if keyword in keywords.NAMED_SCHEMAS:
            yield from ((keyword, one) for one in given.values())
        elif keyword in keywords.SCHEMAS and isinstance(given, list):
            yield from ((keyword, one) for one in given)
        elif keyword in keywords.SCHEMA or keyword == "items":
            yield keyword, given


def _references(schema: Schema) -> list[str]:
    inside = _with_inner(schema)
    return [one["$ref"] for one in inside if isinstance(one, dict) and "$ref" in one]


def _with_inner(schema: Schema) -> Iterator[Schema]:
    pending = [schema]
    while pending:
        one = pending.pop()
        yield one
        pending += (inner for _, inner in inner_schemas(one))


def same_value_references(schema: Schema) -> Iterator[str]:
    """Yield the references of a schema that are about the same value."""
    pending = [schema]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            if "$ref" in one:
                yield one["$ref"]
            for keyword in ("allOf", "anyOf", "oneOf"):
                pending += one.get(keyword, [])
            pending += [one[keyword] for keyword in ("not", "if", "then", "else") if keyword in one]
            pending += one.get("dependentSchemas", {}).values()
