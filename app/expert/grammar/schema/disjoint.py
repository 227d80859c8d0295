"""Finds schemas that no value matches together, by types, constants and required members."""

from dataclasses import dataclass, field

from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.values import key_of, type_of

_DEEPEST = 6
_ALL = frozenset(("null", "boolean", "number", "string", "array", "object"))


@dataclass
class _View:
    """What a value must have to match a schema, as far as that is easily seen."""

    types: frozenset[str] = _ALL
    values: set[object] | None = None
    required: set[str] = field(default_factory=set)
    members: dict[str, list[Schema]] = field(default_factory=dict)
    closed: list[set[str]] = field(default_factory=list)
    """Sets of names outside of which no property may be."""


def disjoint(left: Schema, right: Schema, document: Document, depth: int = 0) -> bool:
    """Tell whether it is certain that no value matches both schemas."""
    if left is False or right is False:
        return True
    if depth > _DEEPEST:
        return False
    one, other = _view(left, document), _view(right, document)
    common = one.types & other.types
    if not common:
        return True
    if one.values is not None and other.values is not None and not one.values & other.values:
        return True
    if common != {"object"}:
        return False
    return (
        _lacks(one, other)
        or _lacks(other, one)
        or any(
            disjoint(mine, theirs, document, depth + 1)
            for name in one.required & other.required
            for mine in one.members.get(name, [])
            for theirs in other.members.get(name, [])
        )
    )


def _lacks(one: _View, other: _View) -> bool:
    """Tell whether *one* forbids a property that *other* requires."""
    return any(
        any(name not in allowed for allowed in one.closed) or False in one.members.get(name, [])
        for name in other.required
    )


def _view(schema: Schema, document: Document) -> _View:
    view, pending, seen = _View(), [schema], 0
    while pending and seen < 50:
        one = pending.pop()
        seen += 1
        if isinstance(one, bool):
            continue
        if "$ref" in one:
            pending.append(document.definitions[one["$ref"]])
        pending += one.get("allOf", [])
        if "type" in one:
            view.types &= {"number" if kind == "integer" else kind for kind in one["type"]}
        values = one.get("enum", [one["const"]] if "const" in one else None)
        if values is not None:
            _restrict(view, values)
        view.required |= set(one.get("required", ()))
        for name, member in one.get("properties", {}).items():
            view.members.setdefault(name, []).append(member)
        if one.get("additionalProperties") is False and not one.get("patternProperties"):
            view.closed.append(set(one.get("properties", ())))
    return view


def _restrict(view: _View, values: list[object]) -> None:
    keys = {key_of(value) for value in values}
    view.values = keys if view.values is None else view.values & keys
    kinds = {type_of(value) for value in values}
    view.types &= {"number" if kind == "integer" else kind for kind in kinds}
