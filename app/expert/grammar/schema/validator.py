"""Judges JSON values by a schema document, finished or still being written.

A judgement is True, False, or None when members that may still follow decide; the connectives
are Kleene's three-valued ones, so a value is refused as soon as nothing could make it right.
"""

import base64
import json
from collections.abc import Callable
from typing import Any, TypeAlias

from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.formats import FORMATS
from expert.grammar.schema.kleene import Judgement, every, negate, some
from expert.grammar.schema.members import item_schemas, member_schemas, members_of
from expert.grammar.schema.patterns import search
from expert.grammar.schema.unevaluated import unevaluated_items, unevaluated_properties
from expert.grammar.schema.values import Unfinished, is_multiple, key_of, type_of

Keyword: TypeAlias = Callable[["Validator", Any, Any, dict[str, Any]], Judgement]


class Validator:
    """The schemas of one document, ready to judge values."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._judged: dict[tuple[str, int], Judgement] = {}
        self.draft = document.draft

    def judge(self, schema: Schema, value: Any) -> Judgement:
        """Tell whether *value* keeps *schema*; None if what may still follow decides."""
        self._judged.clear()
        return self.apply(schema, value)

    def apply(self, schema: Schema, value: Any) -> Judgement:
        """Judge as part of a judgement."""
        if isinstance(schema, bool):
            return schema
        return every(
            KEYWORDS[keyword](self, given, value, schema)
            for keyword, given in schema.items()
            if keyword in KEYWORDS
        )

    def refer(self, name: str, value: Any) -> Judgement:
        """Judge by a definition, each value once, or references could double the work for ever."""
        key = name, id(value)
        if key not in self._judged:
            self._judged[key] = self.apply(self._document.definitions[name], value)
        return self._judged[key]

    def definition(self, name: str) -> Schema:
        """Return the schema that a reference names."""
        return self._document.definitions[name]

    def explain(self, schema: Schema, value: Any, place: str = "") -> tuple[str, str]:
        """Return where a wrong value is wrong, as a JSON pointer, and the keyword it breaks."""
        if isinstance(schema, bool):
            return place, "false"
        for keyword, given in schema.items():
            if keyword in KEYWORDS and KEYWORDS[keyword](self, given, value, schema) is False:
                inner = self._inner(keyword, given, value, schema)
                for part, one, member in inner:
                    if self.judge(one, member) is False:
                        return self.explain(one, member, place + part)
                return place, keyword
        return place, ""

    def _inner(
        self, keyword: str, given: Any, value: Any, schema: dict[str, Any]
    ) -> list[tuple[str, Schema, Any]]:
        """Return the schemas that *keyword* asks all of, with the members they are about."""
        if keyword == "$ref":
            return [("", self.definition(given), value)]
        if keyword == "allOf":
            return [("", one, value) for one in given]
        if keyword in ("properties", "patternProperties", "additionalProperties"):
            return [
                ("/" + name.replace("~", "~0").replace("/", "~1"), one, value[name])
                for name in value
                for one in member_schemas(schema, name)
            ]
        if keyword in ("items", "prefixItems"):
            return [
                (f"/{index}", one, member)
                for index, member in enumerate(value)
                for one in item_schemas(schema, index)
            ]
        return []


def _type(judge: Validator, given: list[str], value: Any, _: dict[str, Any]) -> Judgement:
    found = type_of(value)
    if judge.draft <= 4 and isinstance(value, float):
        found = "number"  # later drafts take 1.0 for an integer
    return found in given or (found == "integer" and "number" in given)


def _enum(_: Validator, given: list[Any], value: Any, __: dict[str, Any]) -> Judgement:
    if isinstance(value, Unfinished):
        return None if type_of(value) in map(type_of, given) else False
    return key_of(value) in {key_of(one) for one in given}


def _const(judge: Validator, given: Any, value: Any, schema: dict[str, Any]) -> Judgement:
    return _enum(judge, [given], value, schema)


def _number(holds: Callable[[Any, Any], bool]) -> Keyword:
    def keyword(_: Validator, given: Any, value: Any, __: dict[str, Any]) -> Judgement:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return holds(value, given) if number else True

    return keyword


def _string(holds: Callable[[str, Any], bool]) -> Keyword:
    def keyword(_: Validator, given: Any, value: Any, __: dict[str, Any]) -> Judgement:
        return holds(value, given) if isinstance(value, str) else True

    return keyword


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True)) or not text
    except ValueError:
        return False


def _content(_: Validator, given: str, value: Any, schema: dict[str, Any]) -> Judgement:
    if given != "application/json" or not isinstance(value, str):
        return True
    try:
        encoded = schema.get("contentEncoding") == "base64"
        json.loads(base64.b64decode(value, validate=True) if encoded else value)
    except (ValueError, RecursionError):
        return False
    return True


def _size(kind: type[list[Any]] | type[dict[str, Any]], *, most: bool) -> Keyword:
    """Return the keyword that bounds how many members an object or array has."""

    def keyword(_: Validator, given: int, value: Any, __: dict[str, Any]) -> Judgement:
        members, unfinished = members_of(value)
        if not isinstance(members, kind):
            return True
        if most:
            return False if len(members) > given else None if unfinished else True
        return True if len(members) >= given else None if unfinished else False

    return keyword


def _required(_: Validator, given: list[str], value: Any, __: dict[str, Any]) -> Judgement:
    members, unfinished = members_of(value)
    if not isinstance(members, dict) or all(name in members for name in given):
        return True
    return None if unfinished else False


def _properties(
    judge: Validator, given: dict[str, Schema], value: Any, _: dict[str, Any]
) -> Judgement:
    members, unfinished = members_of(value)
    if not isinstance(members, dict):
        return True
    present = (judge.apply(one, members[name]) for name, one in given.items() if name in members)
    missing = unfinished and any(name not in members for name in given)
    return every((*present, None if missing else True))


def _other_properties(
    judge: Validator, given: Any, value: Any, schema: dict[str, Any]
) -> Judgement:
    members, unfinished = members_of(value)
    if not isinstance(members, dict):
        return True
    known = schema.get("properties", {})
    others = (
        judge.apply(one, member)
        for name, member in members.items()
        for one in member_schemas(schema, name)
        if name not in known or len(member_schemas(schema, name)) > 1
    )
    return every((*others, None if unfinished else True))


def _property_names(judge: Validator, given: Schema, value: Any, _: dict[str, Any]) -> Judgement:
    members, unfinished = members_of(value)
    if not isinstance(members, dict):
        return True
    return every((*(judge.apply(given, name) for name in members), None if unfinished else True))


def _dependent_required(
    _: Validator, given: dict[str, list[str]], value: Any, __: dict[str, Any]
) -> Judgement:
    members, unfinished = members_of(value)
    if not isinstance(members, dict):
        return True
    asked = {name for key, names in given.items() if key in members for name in names}
    whole = asked <= members.keys()
    return None if unfinished and not (whole and given.keys() <= members.keys()) else whole


def _dependent_schemas(
    judge: Validator, given: dict[str, Schema], value: Any, _: dict[str, Any]
) -> Judgement:
    members, unfinished = members_of(value)
    if not isinstance(members, dict):
        return True
    asked = (judge.apply(one, value) for name, one in given.items() if name in members)
    missing = unfinished and any(name not in members for name in given)
    return every((*asked, None if missing else True))


def _items(judge: Validator, _: Any, value: Any, schema: dict[str, Any]) -> Judgement:
    members, unfinished = members_of(value)
    if not isinstance(members, list):
        return True
    present = (
        judge.apply(one, member)
        for index, member in enumerate(members)
        for one in item_schemas(schema, index)
    )
    return every((*present, None if unfinished else True))


def _contains(judge: Validator, given: Schema, value: Any, schema: dict[str, Any]) -> Judgement:
    members, unfinished = members_of(value)
    if not isinstance(members, list):
        return True
    found = [judge.apply(given, member) for member in members]
    least, most = schema.get("minContains", 1), schema.get("maxContains")
    sure, possible = found.count(True), len(found) - found.count(False)
    room = schema.get("maxItems", len(found) + least) - len(found) if unfinished else 0
    if (most is not None and sure > most) or possible + max(0, room) < least:
        return False
    enough = sure >= least and (most is None or (possible <= most and not unfinished))
    return True if enough else None


def _unique(_: Validator, __: Any, value: Any, ___: dict[str, Any]) -> Judgement:
    members, unfinished = members_of(value)
    if not isinstance(members, list):
        return True
    whole = [key_of(member) for member in members if not isinstance(member, Unfinished)]
    if len(set(whole)) < len(whole):
        return False
    return None if unfinished or len(whole) < len(members) else True


def _one_of(judge: Validator, given: list[Schema], value: Any, _: dict[str, Any]) -> Judgement:
    found = [judge.apply(one, value) for one in given]
    if found.count(True) > 1 or found.count(False) == len(found):
        return False
    return True if found.count(True) == 1 and None not in found else None


def _if(judge: Validator, given: Schema, value: Any, schema: dict[str, Any]) -> Judgement:
    holds = judge.apply(given, value)
    yes = judge.apply(schema.get("then", True), value)
    no = judge.apply(schema.get("else", True), value)
    if holds is None:
        return yes if yes == no else None
    return yes if holds else no


KEYWORDS: dict[str, Keyword] = {
    "$ref": lambda judge, given, value, _: judge.refer(given, value),
    "type": _type,
    "enum": _enum,
    "const": _const,
    "multipleOf": _number(is_multiple),
    "maximum": _number(lambda value, given: value <= given),
    "exclusiveMaximum": _number(lambda value, given: value < given),
    "minimum": _number(lambda value, given: value >= given),
    "exclusiveMinimum": _number(lambda value, given: value > given),
    "maxLength": _string(lambda value, given: len(value) <= given),
    "minLength": _string(lambda value, given: len(value) >= given),
    "pattern": _string(lambda value, given: search(given, value)),
    "format": _string(lambda value, given: given not in FORMATS or FORMATS[given](value)),
    "contentEncoding": _string(lambda value, given: given != "base64" or _is_base64(value)),
    "contentMediaType": _content,
    "maxItems": _size(list, most=True),
    "minItems": _size(list, most=False),
    "maxProperties": _size(dict, most=True),
    "minProperties": _size(dict, most=False),
    "uniqueItems": _unique,
    "prefixItems": _items,
    "items": _items,
    "contains": _contains,
    "required": _required,
    "properties": _properties,
    "patternProperties": _other_properties,
    "additionalProperties": _other_properties,
    "propertyNames": _property_names,
    "dependentRequired": _dependent_required,
    "dependentSchemas": _dependent_schemas,
    "allOf": lambda judge, given, value, _: every(judge.apply(one, value) for one in given),
    "anyOf": lambda judge, given, value, _: some(judge.apply(one, value) for one in given),
    "oneOf": _one_of,
    "not": lambda judge, given, value, _: negate(judge.apply(given, value)),
    "if": _if,
    "unevaluatedProperties": unevaluated_properties,
    "unevaluatedItems": unevaluated_items,
}
