"""Reads a JSON Schema of any draft into the one form.

What a draft ignores is left out: unknown keywords, keywords of later drafts, siblings of `$ref`
up to draft 7. Nothing is looked up outside of the schema.
Source: https://json-schema.org/specification, with the migration notes between the drafts.
"""

import json
import math
from typing import Any

from expert.errors import UsageError, VerificationError
from expert.grammar.schema import keywords
from expert.grammar.schema.document import Document, Schema, same_value_references
from expert.grammar.schema.patterns import to_engine_syntax
from expert.grammar.schema.references import Index

_DEEPEST = 100  # schemas inside each other
_DEEPEST_JSON = 250  # objects and lists inside each other
_LONGEST_CHAIN = 50  # references to references
_LARGEST = 100_000  # schemas in a document
_LARGEST_COUNT = 100_000  # members or characters that a schema may ask for
_TYPES = frozenset(("null", "boolean", "integer", "number", "string", "array", "object"))


def read_schema(schema: object) -> Document:
    """Return the one form of *schema*, which is JSON of any draft.

    Raises:
        UsageError: a keyword has a value that no draft allows, a reference leads nowhere or
            outside, or comes back to itself.
        VerificationError: the schema is too deep or too large.
    """
    keys = _keys(schema)
    draft = _draft(schema, keys)
    reader = _Reader(Index(schema, draft, keys), draft)
    root = reader.read(schema, reader.index.base(schema, ""), "#")
    while reader.pending:
        name, raw, base, place = reader.pending.pop()
        reader.definitions[name] = reader.read(raw, base, place)
    document = Document(root, reader.definitions, draft, reader.places)
    _require_progress(document)
    return document


def parse_schema(text: str) -> Document:
    """Read a schema from its JSON text.

    Raises:
        UsageError: the text is no JSON, or no schema.
        VerificationError: the schema is too deep or too large.
    """
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            "The schema is not JSON.",
            f"Line {error.lineno}, column {error.colno}: {error.msg}.",
            "Correct it there; keys and strings need double quotes.",
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    return read_schema(raw)


def _draft(schema: object, keys: set[str]) -> int:
    """Return the draft that a schema names, or else the one its keywords are of."""
    named = schema.get("$schema") if isinstance(schema, dict) else None
    for mark, draft in keywords.DRAFTS.items():
        if isinstance(named, str) and mark in named:
            return draft
    return 7 if keys & keywords.OF_7 and not keys & keywords.OF_2020 else 2020


def _keys(schema: object) -> set[str]:
    """Return the names of all members anywhere in *schema*."""
    keys, count = set[str](), 0
    pending = [(schema, 0)]
    while pending:
        one, depth = pending.pop()
        count += 1
        if count > 10 * _LARGEST:
            raise _too_large(10 * _LARGEST, "values")
        if depth > _DEEPEST_JSON:
            raise _too_deep()
        if isinstance(one, dict):
            keys.update(one)
            pending += [(inner, depth + 1) for inner in one.values()]
        elif isinstance(one, list):
            pending += [(inner, depth + 1) for inner in one]
    return keys


def _too_large(most: int, what: str) -> VerificationError:
    return VerificationError(
        "The schema is too large.", f"It has more than {most:,} {what}.", "Use a part of it."
    )


def _too_deep() -> VerificationError:
    return VerificationError(
        "The schema is too deep.",
        f"More than {_DEEPEST} schemas or {_DEEPEST_JSON} values are inside each other.",
        "Move inner schemas to `$defs` and refer to them.",
    )


class _Reader:
    """Translates schemas one by one; what references lead to waits in *pending*."""

    def __init__(self, index: Index, draft: int) -> None:
        self.index = index
        self.definitions: dict[str, Schema] = {}
        self.places: dict[int, str] = {}
        self.pending: list[tuple[str, object, str, str]] = []
        self._names: dict[tuple[int, str], str] = {}
        self._draft = draft
        self._depth = 0
        self._count = 0

    def read(self, raw: object, base: str, place: str) -> Schema:
        """Return the form of one schema; *place* is its JSON pointer, for errors."""
        if isinstance(raw, bool):
            return raw
        if not isinstance(raw, dict):
            raise _wrong(place, "a schema", "an object, true or false")
        self._depth += 1
        self._count += 1
        if self._depth > _DEEPEST:
            raise _too_deep()
        if self._count > _LARGEST:
            raise _too_large(_LARGEST, "schemas, each counted as often as it stands there")
        base = self.index.base(raw, base)
        made: dict[str, Any] = {}
        self.places[id(made)] = place
        if "$ref" in raw and self._draft <= 7:
            raw = {"$ref": raw["$ref"]}
        for keyword, value in raw.items():
            if keywords.SINCE.get(keyword, 0) <= self._draft <= keywords.UNTIL.get(keyword, 9999):
                self._keyword(keyword, value, raw, base, f"{place}/{keyword}", made)
        self._depth -= 1
        return made

    def _keyword(
        self,
        keyword: str,
        value: Any,
        raw: dict[str, Any],
        base: str,
        place: str,
        made: dict[str, Any],
    ) -> None:
        if keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            made["$ref"] = self._reference(keyword, value, base, place)
        elif keyword == "type":
            made["type"] = _types(value, place)
        elif keyword in ("enum", "const", "required", "uniqueItems"):
            self._plain(keyword, value, place, made)
        elif keyword in keywords.NUMBERS:
            self._number(keyword, value, raw, place, made)
        elif keyword in keywords.COUNTS:
            made[keyword] = _count(value, keyword, place)
        elif keyword in keywords.STRINGS:
            if not isinstance(value, str):
                raise _wrong(place, keyword, "a string")
            made[keyword] = to_engine_syntax(value) if keyword == "pattern" else value
        elif keyword in ("items", "additionalItems"):
            self._items(keyword, value, raw, base, place, made)
        elif keyword in keywords.SCHEMA:
            made[keyword] = self.read(value, base, place)
        elif keyword in keywords.SCHEMAS:
            made[keyword] = self._several(value, base, place)
        elif keyword == "dependencies":
            self._dependencies(value, base, place, made)
        elif keyword == "dependentRequired":
            made[keyword] = {
                name: _names(value[name], place) for name in _mapping(value, keyword, place)
            }
        elif keyword in keywords.OF_3 and self._draft == 3:
            raise UsageError(
                f"The keyword at {place} is not supported.",
                f"Only draft 3 has {keyword}.",
                "Write the schema for a later draft.",
            )
        elif keyword in keywords.NAMED_SCHEMAS - {"$defs", "definitions"}:
            patterns = keyword == "patternProperties"
            made[keyword] = {
                to_engine_syntax(name) if patterns else name: self.read(
                    value[name], base, _inside(place, name)
                )
                for name in _mapping(value, keyword, place)
            }

    def _reference(self, keyword: str, value: object, base: str, place: str) -> str:
        if not isinstance(value, str):
            raise _wrong(place, keyword, "a string")
        if self.index.is_dynamic(keyword, value):
            raise UsageError(
                f"The {keyword} at {place} cannot be followed.",
                "Several anchors have its name, and the way to it decides which is meant.",
                "Use $ref.",
            )
        found = self.index.find(value, base)
        if found is None:
            raise UsageError(
                f"The reference {value} at {place} leads nowhere in this schema.",
                "Only what is inside the schema itself is looked up, never another file or host.",
                "Copy what it refers to into `$defs`.",
            )
        raw, inner, uri = found
        key = id(raw), inner
        if key not in self._names:
            self._names[key] = f"d{len(self._names)}"
            self.pending.append((self._names[key], raw, inner, uri))
        return self._names[key]

    def _plain(self, keyword: str, value: Any, place: str, made: dict[str, Any]) -> None:
        if keyword == "enum" and not isinstance(value, list):
            raise _wrong(place, keyword, "a list")
        if keyword == "required":
            value = _names(value, place)
        if keyword == "uniqueItems" and not isinstance(value, bool):
            raise _wrong(place, keyword, "true or false")
        if keyword != "uniqueItems" or value:
            made[keyword] = value

    def _number(
        self, keyword: str, value: Any, raw: dict[str, Any], place: str, made: dict[str, Any]
    ) -> None:
        if keyword.startswith("exclusive") and self._draft <= 4:
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(place, keyword, "a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise _wrong(place, keyword, "a finite number")
        if keyword == "multipleOf" and value <= 0:
            raise _wrong(place, keyword, "a number above zero")
        exclusive = "exclusive" + keyword[0].upper() + keyword[1:]
        if self._draft <= 4 and raw.get(exclusive) is True:
            keyword = exclusive
        made[keyword] = value

    def _items(
        self,
        keyword: str,
        value: Any,
        raw: dict[str, Any],
        base: str,
        place: str,
        made: dict[str, Any],
    ) -> None:
        listed = isinstance(raw.get("items"), list)
        if keyword == "items" and listed:
            made["prefixItems"] = self._several(value, base, place)
        elif keyword == "items" or listed and self._draft <= 2019:
            made["items"] = self.read(value, base, place)

    def _several(self, value: object, base: str, place: str) -> list[Schema]:
        if not isinstance(value, list):
            raise _wrong(place, place.rpartition("/")[2], "a list of schemas")
        return [self.read(one, base, f"{place}/{index}") for index, one in enumerate(value)]

    def _dependencies(self, value: Any, base: str, place: str, made: dict[str, Any]) -> None:
        for name in _mapping(value, "dependencies", place):
            need = value[name]
            if isinstance(need, dict | bool):
                schema = self.read(need, base, _inside(place, name))
                made.setdefault("dependentSchemas", {})[name] = schema
            else:
                needed = [need] if isinstance(need, str) else need
                made.setdefault("dependentRequired", {})[name] = _names(needed, place)


def _inside(place: str, name: str) -> str:
    """Return the JSON pointer of what *name* holds (RFC 6901)."""
    return place + "/" + name.replace("~", "~0").replace("/", "~1")


def _count(value: object, keyword: str, place: str) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not isinstance(value, int | float) or not whole or value < 0:
        raise _wrong(place, keyword, "a whole number, not below zero")
    if keyword.startswith("min") and value > _LARGEST_COUNT:
        raise UsageError(
            f"No answer can be as long as the schema asks for at {place}.",
            f"{keyword} is above {_LARGEST_COUNT:,}.",
            "Ask for less.",
        )
    return int(value)


def _types(value: object, place: str) -> list[str]:
    types = value if isinstance(value, list) else [value]
    if not types or not all(isinstance(one, str) and one in _TYPES for one in types):
        raise _wrong(place, "type", "one or more of " + ", ".join(sorted(_TYPES)))
    return [one for one in dict.fromkeys(types) if one != "integer" or "number" not in types]


def _names(value: object, place: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _wrong(place, place.rpartition("/")[2], "a list of names")
    return list(dict.fromkeys(value))


def _mapping(value: object, keyword: str, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(place, keyword, "an object")
    return value


def _wrong(place: str, keyword: str, expected: str) -> UsageError:
    return UsageError(
        f"The schema is wrong at {place}.",
        f"The value of {keyword} must be {expected}.",
        "Correct it there.",
    )


def _require_progress(document: Document) -> None:
    """Refuse references that come back to themselves without any value in between."""
    leads = {
        name: set(same_value_references(schema)) for name, schema in document.definitions.items()
    }
    for _ in range(_LONGEST_CHAIN):
        grounded = {name for name, led in leads.items() if not led}
        if not grounded:
            break
        leads = {name: led - grounded for name, led in leads.items() if led}
    if grounded:
        raise VerificationError(
            "The references of the schema are too deep.",
            f"More than {_LONGEST_CHAIN} of them lead to each other.",
            "Refer to the last schema at once.",
        )
    if leads:
        name = next(iter(leads))
        raise UsageError(
            "A $ref of this schema comes back to itself.",
            f"Nothing lies between {document.place(document.definitions[name])} and what it "
            "refers to, so it says nothing.",
            "Remove the reference, or put it inside `properties` or `items`.",
        )
