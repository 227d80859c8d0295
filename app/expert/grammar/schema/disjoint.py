"""Finds schemas that no value matches together, by types, constants and required members."""

from dataclasses import dataclass, field

from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.values import key_of, type_of

_DEEPEST = 6
_MOST = 200  # schemas compared with each other
_WORK = 20_000  # comparisons, those of members counted in
_ALL = frozenset(("null", "boolean", "number", "string", "array", "object"))


def overlaps(schemas: list[Schema], document: Document) -> list[tuple[int, int]] | None:
    """Return the pairs of *schemas* that a value may match together, or None if it takes long."""
    if len(schemas) > _MOST:
        return None
    search = _Search(document)
    pairs = [
        (i, j)
        for i, one in enumerate(schemas)
        for j, other in enumerate(schemas[:i])
        if not search.disjoint(one, other, 0)
    ]
    return pairs if search.left >= 0 else None


@dataclass
class _View:
    """What a value must have to match a schema, as far as that is easily seen."""

    types: frozenset[str] = _ALL
    values: set[object] | None = None
    required: set[str] = field(default_factory=set)
    members: dict[str, list[Schema]] = field(default_factory=dict)
    closed: list[set[str]] = field(default_factory=list)
    """Sets of names outside of which no property may be."""


class _Search:
    """Compares schemas as long as there is work *left*."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._views: dict[int, _View] = {}
        self.left = _WORK

    def disjoint(self, left: Schema, right: Schema, depth: int) -> bool:
        """Tell whether it is certain that no value matches both."""
        self.left -= 1
        one, other = self._view(left), self._view(right)
        common = one.types & other.types
        if not common:
            return True
        if one.values is not None and other.values is not None and not one.values & other.values:
            return True
        if common != {"object"} or depth > _DEEPEST or self.left < 0:
            return False
        return (
            _lacks(one, other)
            or _lacks(other, one)
            or any(
                self.disjoint(mine, theirs, depth + 1)
                for name in one.required & other.required
                for mine in one.members.get(name, [])
                for theirs in other.members.get(name, [])
            )
        )

    def _view(self, schema: Schema) -> _View:
        if id(schema) not in self._views:
            self._views[id(schema)] = _view(schema, self._document)
        return self._views[id(schema)]


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
            view.types &= _ALL if one else frozenset()
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
