"""What a schema says about the names of properties."""

from typing import Any

from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.patterns import engine_reads

FORMAT_PATTERNS = {
    "date": "^[0-9]{4}-[01][0-9]-[0-3][0-9]$",
    "idn-email": "^[^ @]+@[^ @]+$",
    "ipv4": r"^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$",
    "iri": "^[A-Za-z][A-Za-z0-9+.-]*:[^ ]*$",
    "json-pointer": "^(?:/(?:[^~/]|~[01])*)*$",
    "relative-json-pointer": "^(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~[01])*)*)$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*$",
    "uri-reference": r"^[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*$",
    "uri-template": '^[^ "<>\\\\^`|]*$',
    "uuid": "^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
}
"""By format: an expression that all its strings match, and others may."""


def is_impossible(schema: dict[str, Any]) -> bool:
    """Tell whether an object would need a property that it must not have."""
    known = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
    return schema.get("type") == ["object"] and any(
        known.get(name, not closed) is False for name in schema.get("required", ())
    )


def name_pattern(schema: Schema) -> str | None:
    """Return the expression of the names that a schema allows, if it is that simple."""
    if not isinstance(schema, dict):
        return None
    rest = {keyword: given for keyword, given in schema.items() if keyword != "type"}
    if set(rest) == {"pattern"} and engine_reads(rest["pattern"]):
        return str(rest["pattern"])
    if set(rest) == {"format"}:
        return FORMAT_PATTERNS.get(rest["format"])
    if set(rest) <= {"minLength", "maxLength"}:
        return f"^(?s:.{{{rest.get('minLength', 0)},{rest.get('maxLength', '')}}})$"
    if set(rest) == {"enum"}:
        words = [one for one in rest["enum"] if isinstance(one, str)]
        return "^(?:" + "|".join(map(_quoted, words)) + ")$" if words else None
    return None


def _quoted(word: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else f"\\x{{{ord(c):x}}}" for c in word)


def known_names(schema: Schema, document: Document) -> list[str] | None:
    """Return the properties that any schema applied to the same value knows, if they are listed."""
    names: dict[str, None] = {}
    pending, seen = [schema], 0
    while pending:
        one = pending.pop(0)
        seen += 1
        if isinstance(one, bool):
            continue
        if seen > 50 or "patternProperties" in one or "additionalProperties" in one:
            return None
        names |= dict.fromkeys(one.get("properties", ()))
        if "$ref" in one:
            pending.append(document.definitions[one["$ref"]])
        for keyword in ("allOf", "anyOf", "oneOf"):
            pending += one.get(keyword, [])
        pending += [one[keyword] for keyword in ("if", "then", "else") if keyword in one]
        pending += one.get("dependentSchemas", {}).values()
    return list(names)
