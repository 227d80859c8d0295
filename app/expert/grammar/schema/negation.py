"""What does not match a schema, as a schema again, where JSON Schema without `not` can say it.

The mask engine has no `not`, and no `oneOf` of schemas that overlap; both come down to negating
schemas. Everything here keeps the meaning exactly, or gives up with None.
"""

from collections.abc import Iterable
from typing import Any

from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.values import key_of, type_of

_TYPES = ("null", "boolean", "number", "string", "array", "object")
_DEEPEST = 8  # schemas inside each other that are negated
_LARGEST = 1000  # schemas and values negated for one
_LONGEST = 200  # characters of the words that a text must not be
_OPPOSITE = {
    "minimum": ("number", "exclusiveMaximum", 0),
    "exclusiveMinimum": ("number", "maximum", 0),
    "maximum": ("number", "exclusiveMinimum", 0),
    "exclusiveMaximum": ("number", "minimum", 0),
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}
"""By keyword: the type it is about, the keyword that says the opposite, and what to add."""


def negate(schema: Schema, document: Document) -> Schema | None:
    """Return what matches exactly the values that *schema* does not, or None."""
    return _Negation(document).of(schema, 0)


def any_of(options: Iterable[Schema]) -> Schema:
    """Return what matches any of *options*."""
    some = [option for option in options if option is not False]
    if True in some or {} in some:
        return True
    return {"anyOf": some} if len(some) > 1 else some[0] if some else False


def all_of(parts: Iterable[Schema]) -> Schema:
    """Return what matches all *parts*."""
    every = [part for part in parts if part is not True and part != {}]
    if False in every:
        return False
    return {"allOf": every} if len(every) > 1 else every[0] if every else True


class _Negation:
    """One schema being negated, as long as the result stays small."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = _LARGEST

    def of(self, schema: Schema, depth: int) -> Schema | None:
        """Negate one schema."""
        if isinstance(schema, bool):
            return not schema
        self._left -= 1 + sum(len(one) for one in schema.values() if isinstance(one, list | dict))
        if depth > _DEEPEST or self._left < 0:
            return None
        options: list[Schema] = []
        for keyword, given in schema.items():
            if keyword == "else" or (keyword == "then" and "if" in schema):
                continue
            option = self._keyword(keyword, given, depth + 1)
            if option is None:
                return None
            options.append(option)
        return any_of(options)

    def _keyword(self, keyword: str, given: Any, depth: int) -> Schema | None:
        match keyword:
            case "$ref":
                return self.of(self._document.definitions[given], depth)
            case "not":
                return given  # type: ignore[no-any-return]  # schemas are JSON
            case "allOf":
                return self._each(any_of, given, depth)
            case "anyOf":
                return self._each(all_of, given, depth)
            case "type":
                return _other_types(given)
            case "enum":
                return _other_values(given)
            case "const":
                return _other_values([given])
            case "required":
                missing = ({"type": ["object"], "properties": {name: False}} for name in given)
                return any_of(missing)
            case "properties":
                return self._some_property_wrong(given, depth)
            case _ if keyword in _OPPOSITE:
                kind, opposite, step = _OPPOSITE[keyword]
                below = opposite.startswith("max") and step and given + step < 0
                return False if below else {"type": [kind], opposite: given + step}
            case _:
                return None

    def _each(self, join: Any, given: list[Schema], depth: int) -> Schema | None:
        parts = [self.of(one, depth) for one in given]
        some = [part for part in parts if part is not None]
        return join(some) if len(some) == len(parts) else None

    def _some_property_wrong(self, given: dict[str, Schema], depth: int) -> Schema | None:
        options: list[Schema] = []
        for name, schema in given.items():
            wrong = self.of(schema, depth)
            if wrong is None:
                return None
            if wrong is not False:
                there = {"properties": {name: wrong}, "required": [name]}
                options.append({"type": ["object"], **there})
        return any_of(options)


def _other_types(given: list[str]) -> Schema | None:
    if "integer" in given:  # numbers with a fraction have no name
        return None
    rest = [one for one in _TYPES if one not in given]
    return {"type": rest} if rest else False


def _other_values(given: list[Any]) -> Schema | None:
    kinds = {"number" if type_of(one) == "integer" else type_of(one) for one in given}
    if kinds & {"array", "object"}:
        return None
    options: list[Schema] = []
    rest = [one for one in _TYPES if one not in kinds]
    if rest:
        options.append({"type": rest})
    if "boolean" in kinds:
        options += [{"const": one} for one in (True, False) if not any(one is g for g in given)]
    if "number" in kinds:
        options += _gaps([one for one in given if type_of(one) in ("integer", "number")])
    if "string" in kinds:
        words = [one for one in given if isinstance(one, str)]
        if sum(map(len, words)) > _LONGEST:
            return None
        options.append({"type": ["string"], "pattern": f"^({_other_words(words)})$"})
    return any_of(options)


def _gaps(numbers: list[float]) -> list[Schema]:
    points = sorted({key_of(number): number for number in numbers}.values())
    bounds = [None, *points, None]
    gaps: list[Schema] = []
    for low, high in zip(bounds, bounds[1:], strict=False):
        gap: dict[str, Any] = {"type": ["number"]}
        if low is not None:
            gap["exclusiveMinimum"] = low
        if high is not None:
            gap["exclusiveMaximum"] = high
        gaps.append(gap)
    return gaps


def _other_words(words: list[str]) -> str:
    """Return an expression that matches every text but *words*, of which none is a duplicate."""
    heads = sorted({word[0] for word in words if word})
    options = [] if "" in words else [""]
    escaped = "".join(f"\\x{{{ord(head):x}}}" for head in heads)
    # U+0000 keeps the engine from misreading the class: see `patterns.to_engine_syntax`.
    options.append(f"[^\\x00{escaped}](?s:.*)" if heads else "(?s:.+)")
    for head in heads:
        tails = [word[1:] for word in words if word[:1] == head]
        options.append(f"\\x{{{ord(head):x}}}(?:{_other_words(tails)})")
    return "|".join(options)
