"""The keywords about members that no other keyword looked at.

Source: draft 2020-12, core, section 11.
"""

from typing import TYPE_CHECKING, Any

from expert.grammar.schema.document import Schema
from expert.grammar.schema.kleene import Judgement, every
from expert.grammar.schema.members import item_schemas, member_schemas, members_of

if TYPE_CHECKING:
    from expert.grammar.schema.validator import Validator


def unevaluated_properties(
    judge: "Validator", given: Schema, value: Any, schema: dict[str, Any]
) -> Judgement:
    """Judge the properties that no schema applied to the same value looks at."""
    members, unfinished = members_of(value)
    if not isinstance(members, dict) or unfinished:
        return None if unfinished else True
    seen = _evaluated(judge, schema, value)
    return every(judge.apply(given, members[name]) for name in members if name not in seen)


def unevaluated_items(
    judge: "Validator", given: Schema, value: Any, schema: dict[str, Any]
) -> Judgement:
    """Judge the items that no schema applied to the same value looks at."""
    members, unfinished = members_of(value)
    if not isinstance(members, list) or unfinished:
        return None if unfinished else True
    seen = _evaluated(judge, schema, value)
    rest = (member for index, member in enumerate(members) if index not in seen)
    return every(judge.apply(given, member) for member in rest)


def _evaluated(judge: "Validator", schema: dict[str, Any], value: Any) -> set[str | int]:
    """Return the names or indexes of members that *schema* and what it applies look at."""
    seen: set[str | int] = set()
    whole: set[str | int] = set(value if isinstance(value, dict) else range(len(value)))
    rest = "unevaluatedProperties" if isinstance(value, dict) else "unevaluatedItems"
    applied, met = [schema], {id(schema)}
    for one in applied:  # grows while it is read
        if one is not schema and rest in one:
            return whole
        seen |= _looked_at(judge, one, value)
        for inner in _in_place(judge, one, value):
            if isinstance(inner, dict) and id(inner) not in met:
                met.add(id(inner))
                applied += [inner] if judge.apply(inner, value) is True else []
    return seen


def _looked_at(judge: "Validator", schema: dict[str, Any], value: Any) -> set[str | int]:
    if isinstance(value, dict):
        return {name for name in value if member_schemas(schema, name)}
    seen: set[str | int] = {index for index in range(len(value)) if item_schemas(schema, index)}
    if judge.draft >= 2020 and "contains" in schema:
        contained = schema["contains"]
        seen |= {index for index, one in enumerate(value) if judge.apply(contained, one)}
    return seen


def _in_place(judge: "Validator", schema: dict[str, Any], value: Any) -> list[Schema]:
    """Return the schemas that *schema* applies to the same value."""
    found = [judge.definition(schema["$ref"])] if "$ref" in schema else []
    for keyword in ("allOf", "anyOf", "oneOf"):
        found += schema.get(keyword, [])
    if "if" in schema:
        holds = judge.apply(schema["if"], value)
        found += [schema["if"]] if holds else []
        found.append(schema.get("then" if holds else "else", True))
    dependent = schema.get("dependentSchemas", {}).items()
    return found + [one for name, one in dependent if isinstance(value, dict) and name in value]
