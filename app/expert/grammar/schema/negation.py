"""What does not match a schema, as a schema again, where JSON Schema without `not` can say it.

The mask engine has no `not`, and no `oneOf` of schemas that overlap; both come down to negating
schemas. Everything here keeps the meaning exactly, or gives up with None.
"""

from collections.abc import Iterable
from typing import Any

from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.values import key_of, type_of

_TYPES = ("null", "boolean", "number", "string", "array", "object")
_DEEPEST = 8  # references and negations inside each other
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


def negate(schema: Schema, document: Document, depth: int = 0) -> Schema | None:
    """Return what matches exactly the values that *schema* does not, or None."""
    if isinstance(schema, bool):
        return not schema
    if depth > _DEEPEST:
        return None
    options: list[Schema] = []
    for keyword, given in schema.items():
        if keyword == "else" or (keyword == "then" and "if" in schema):
            continue
        option = _negate_keyword(keyword, given, document, depth)
        if option is None:
            return None
        options.append(option)
    return any_of(options)


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


def _negate_keyword(keyword: str, given: Any, document: Document, depth: int) -> Schema | None:
    match keyword:
        case "$ref":
            return negate(document.definitions[given], document, depth + 1)
        case "not":
            return given  # type: ignore[no-any-return]  # schemas are JSON
        case "allOf":
            return _each(any_of, given, document, depth)
        case "anyOf":
            return _each(all_of, given, document, depth)
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
            return _some_property_wrong(given, document, depth)
        case _ if keyword in _OPPOSITE:
            kind, opposite, step = _OPPOSITE[keyword]
            below = opposite.startswith("max") and step and given + step < 0
            return False if below else {"type": [kind], opposite: given + step}
        case _:
            return None


def _each(join: Any, given: list[Schema], document: Document, depth: int) -> Schema | None:
    parts = [negate(one, document, depth + 1) for one in given]
    some = [part for part in parts if part is not None]
    return join(some) if len(some) == len(parts) else None


def _other_types(given: list[str]) -> Schema | None:
    if "integer" in given:  # numbers with a fraction have no name
        return None
    rest = [one for one in _TYPES if one not in given]
    return {"type": rest} if rest else False


def _some_property_wrong(given: dict[str, Schema], document: Document, depth: int) -> Schema | None:
    options: list[Schema] = []
    for name, schema in given.items():
        wrong = negate(schema, document, depth + 1)
        if wrong is None:
            return None
        if wrong is not False:
            options.append({"type": ["object"], "properties": {name: wrong}, "required": [name]})
    return any_of(options)


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
    options.append(f"[^{escaped}](?s:.*)" if heads else "(?s:.+)")
    for head in heads:
        tails = [word[1:] for word in words if word[:1] == head]
        options.append(f"\\x{{{ord(head):x}}}(?:{_other_words(tails)})")
    return "|".join(options)
