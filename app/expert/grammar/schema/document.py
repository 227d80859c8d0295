"""Reads a JSON Schema of any draft from 4 on into one self-contained form.

The form has the keywords of draft 2020-12 that constrain a value, in the order of the schema,
and no others; every `$ref` names an entry of `definitions`. What a draft ignores is left out:
unknown keywords, keywords of later drafts, siblings of `$ref` up to draft 7.
Source: https://json-schema.org/specification, with the migration notes between the drafts.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote, urldefrag, urljoin

from expert.errors import UsageError, VerificationError
from expert.grammar.schema import keywords
from expert.grammar.schema.patterns import to_engine_syntax

Schema: TypeAlias = bool | dict[str, Any]

_DEEPEST = 100  # schemas inside each other
_LARGEST = 100_000  # schemas in a document
_TYPES = frozenset(("null", "boolean", "integer", "number", "string", "array", "object"))


@dataclass(frozen=True)
class Document:
    """A schema whose references are names in *definitions*."""

    root: Schema
    definitions: dict[str, Schema]
    draft: int
    """4, 6, 7, 2019 or 2020."""


def read_schema(schema: object) -> Document:
    """Return the one form of *schema*, which is JSON of any draft.

    Raises:
        UsageError: a keyword has a value that no draft allows, a reference leads nowhere or
            outside, or comes back to itself.
        VerificationError: the schema is too deep or too large.
    """
    draft = _draft(schema)
    reader = _Reader(_Index(schema, draft), draft)
    root = reader.read(schema, reader.index.base(schema, ""), "")
    while reader.pending:
        name, raw, base, place = reader.pending.pop()
        reader.definitions[name] = reader.read(raw, base, place)
    document = Document(root, reader.definitions, draft)
    _require_progress(document)
    return document


def schemas_of(document: Document) -> Iterator[Schema]:
    """Yield every schema of the document."""
    pending: list[Schema] = [document.root, *document.definitions.values()]
    while pending:
        one = pending.pop()
        yield one
        for keyword, given in one.items() if isinstance(one, dict) else ():
            if keyword in keywords.NAMED_SCHEMAS:
                pending += given.values()
            elif keyword in keywords.SCHEMAS and isinstance(given, list):
                pending += given
            elif keyword in keywords.SCHEMA or keyword == "items":
                pending.append(given)


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


def _draft(schema: object) -> int:
    """Return the draft that a schema names, or else the one its keywords are of."""
    named = schema.get("$schema") if isinstance(schema, dict) else None
    for mark, draft in keywords.DRAFTS.items():
        if isinstance(named, str) and mark in named:
            return draft
    found = {key for one in _dicts(schema) for key in one}
    if found & keywords.OF_2020:
        return 2020
    lists = any(isinstance(one.get("items"), list) for one in _dicts(schema))
    return 7 if lists or found & keywords.OF_7 else 2020


def _dicts(schema: object) -> Iterator[dict[str, Any]]:
    pending, count = [schema], 0
    while pending:
        one = pending.pop()
        count += 1
        if count > 10 * _LARGEST:
            raise VerificationError(
                "The schema is too large.",
                f"It has more than {10 * _LARGEST:,} values.",
                "Use a part of it.",
            )
        if isinstance(one, dict):
            yield one
            pending += one.values()
        elif isinstance(one, list):
            pending += one


class _Index:
    """Where the identifiers inside a document lead."""

    def __init__(self, schema: object, draft: int) -> None:
        self._draft = draft
        self._root = schema
        self._resources: dict[str, object] = {"": schema}
        self._anchors: dict[str, tuple[object, str]] = {}
        self._key = "id" if draft == 4 else "$id"
        pending = [(schema, self.base(schema, ""))]
        while pending:
            raw, base = pending.pop()
            for child, _ in _children(raw):
                inner = self.base(child, base)
                self._note(child, inner, base)
                pending.append((child, inner))
        self._resources.setdefault(self.base(schema, ""), schema)
        self._note(schema, self.base(schema, ""), "")

    def _note(self, raw: object, base: str, outer: str) -> None:
        if not isinstance(raw, dict):
            return
        if base != outer:
            self._resources.setdefault(base, raw)
        named = raw.get(self._key)
        if self._draft <= 7 and isinstance(named, str) and "#" in named:
            self._anchors.setdefault(_join(base, "#" + urldefrag(named)[1]), (raw, base))
        for keyword in ("$anchor", "$dynamicAnchor"):
            if self._draft > 7 and isinstance(raw.get(keyword), str):
                self._anchors.setdefault(f"{base}#{raw[keyword]}", (raw, base))

    def base(self, raw: object, base: str) -> str:
        """Return the base URI inside *raw*."""
        if not isinstance(raw, dict) or (self._draft <= 7 and "$ref" in raw):
            return base
        named = raw.get(self._key)
        if not isinstance(named, str) or named.startswith("#"):
            return base
        return urldefrag(_join(base, named))[0]

    def find(self, reference: str, base: str) -> tuple[object, str, str] | None:
        """Return the schema that *reference* leads to, its base and a name; None if nowhere."""
        uri = _join(base, reference)
        if uri in self._anchors:
            return *self._anchors[uri], uri
        resource, fragment = urldefrag(uri)
        if resource not in self._resources:
            return None
        found, inner = self._resources[resource], resource
        for part in unquote(fragment).split("/")[1:] if fragment else []:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return None
            inner = self.base(found, inner)
        return (found, inner, uri) if not fragment or fragment.startswith("/") else None


def _join(base: str, reference: str) -> str:
    if reference.startswith("#"):
        return urldefrag(base)[0] + (reference if reference != "#" else "")
    return urljoin(base, reference)


def _children(raw: object) -> Iterator[tuple[object, str]]:
    """Yield the schemas directly inside *raw*, each with its place."""
    if not isinstance(raw, dict):
        return
    for keyword, value in raw.items():
        if keyword in keywords.SCHEMA or keyword in keywords.SCHEMAS:
            if isinstance(value, list):
                yield from ((one, f"{keyword}/{index}") for index, one in enumerate(value))
            else:
                yield value, keyword
        elif keyword in keywords.NAMED_SCHEMAS and isinstance(value, dict):
            yield from ((one, f"{keyword}/{name}") for name, one in value.items())


def _too_deep() -> VerificationError:
    return VerificationError(
        "The schema is too deep.",
        f"More than {_DEEPEST} schemas are inside each other.",
        "Move inner schemas to `$defs` and refer to them.",
    )


class _Reader:
    """Translates schemas one by one; what references lead to waits in *pending*."""

    def __init__(self, index: _Index, draft: int) -> None:
        self.index = index
        self.definitions: dict[str, Schema] = {}
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
        if self._depth > _DEEPEST or self._count > _LARGEST:
            raise _too_deep()
        base = self.index.base(raw, base)
        made: dict[str, Any] = {}
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
            made["$ref"] = self._reference(value, base, place)
        elif keyword == "type":
            made["type"] = _types(value, place)
        elif keyword in ("enum", "const", "required", "uniqueItems"):
            self._plain(keyword, value, place, made)
        elif keyword in keywords.NUMBERS:
            self._number(keyword, value, raw, place, made)
        elif keyword in keywords.COUNTS:
            if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
                raise _wrong(place, keyword, "a whole number")
            made[keyword] = int(value)
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
        elif keyword in keywords.NAMED_SCHEMAS - {"$defs", "definitions"}:
            patterns = keyword == "patternProperties"
            made[keyword] = {
                to_engine_syntax(name) if patterns else name: self.read(
                    value[name], base, f"{place}/{name}"
                )
                for name in _mapping(value, keyword, place)
            }

    def _reference(self, value: object, base: str, place: str) -> str:
        if not isinstance(value, str):
            raise _wrong(place, "$ref", "a string")
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
        if keyword.startswith("exclusive") and self._draft == 4:
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(place, keyword, "a number")
        if keyword == "multipleOf" and value <= 0:
            raise _wrong(place, keyword, "a number above zero")
        exclusive = "exclusive" + keyword[0].upper() + keyword[1:]
        if self._draft == 4 and raw.get(exclusive) is True:
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
                schema = self.read(need, base, f"{place}/{name}")
                made.setdefault("dependentSchemas", {})[name] = schema
            else:
                needed = [need] if isinstance(need, str) else need
                made.setdefault("dependentRequired", {})[name] = _names(needed, place)


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
        f"The schema is wrong at {place or 'its root'}.",
        f"The value of {keyword} must be {expected}.",
        "Correct it there.",
    )


def _require_progress(document: Document) -> None:
    """Refuse references that come back to themselves without any value in between."""
    leads = {
        name: set(_same_value_references(schema)) for name, schema in document.definitions.items()
    }
    grounded: set[str] = set()
    while ready := {name for name in leads if name not in grounded and leads[name] <= grounded}:
        grounded |= ready
    if len(grounded) < len(leads):
        raise UsageError(
            "A $ref of this schema comes back to itself.",
            "Nothing lies between the reference and what it refers to, so it says nothing.",
            "Remove the reference, or put it inside `properties` or `items`.",
        )


def _same_value_references(schema: Schema) -> Iterator[str]:
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
