"""The nearest plain grammar of a JSON Schema, for reading and for other programs.

Answers are held to a schema by `schema`, exactly. A grammar of rules cannot say all of that: what
it leaves out is listed, so that nobody takes it for the schema itself. It matches every value of
the schema with its properties in the schema's order, unless a property is named twice over.
"""

import json
from collections.abc import Sequence
from typing import Any

from expert.errors import UsageError
from expert.grammar.form import (
    Chars,
    Choice,
    Grammar,
    Node,
    Reference,
    Repeat,
    Text,
    choice,
    optional,
    sequence,
)
from expert.grammar.gbnf import parse_gbnf
from expert.grammar.schema.reader import read_schema
from expert.grammar.schema.values import type_of

_JSON = r"""
root ::= value
value ::= object | array | string | number | boolean | null
object ::= "{" (member (", " member)*)? "}"
member ::= string ": " value
array ::= "[" (value (", " value)*)? "]"
string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
number ::= integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
boolean ::= "true" | "false"
null ::= "null"
"""
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_KEYWORDS = """type enum const properties required additionalProperties items prefixItems
additionalItems minItems maxItems minLength maxLength anyOf oneOf allOf $ref"""
_CONSTRAINTS = frozenset(_KEYWORDS.split())
_NOTES = """$defs definitions $schema $id title description default examples $comment deprecated
readOnly writeOnly"""
_SAID = _CONSTRAINTS.union(_NOTES.split())
_NOTHING = Choice(())
_COMMA = Text(", ")


def grammar_of_schema(schema: Any) -> tuple[Grammar, list[str]]:
    """Return the grammar of a JSON Schema, and the keywords that it leaves out.

    Raises:
        UsageError: it is no schema, or refers to something outside of it.
        VerificationError: it is too deep or too large.
    """
    read_schema(schema)
    reader = _Reader(schema)
    reader.rules["root"] = reader.node(schema, "root")
    return Grammar({**reader.rules, **reader.used()}), sorted(reader.left_out)


class _Reader:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._json = parse_gbnf(_JSON).rules
        self.rules: dict[str, Node] = {}
        self.left_out: set[str] = set()

    def used(self) -> dict[str, Node]:
        """Return the rules of JSON itself."""
        return {f"json {name}": _renamed(node) for name, node in self._json.items()}

    def node(self, schema: Any, name: str) -> Node:
        """Return what a schema matches; *name* is for rules that it needs."""
        if schema is True or schema == {}:
            return Reference("json value")
        if schema is False:
            return _NOTHING
        self.left_out |= schema.keys() - _SAID
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                self._forget(schema, keyword)
                options = enumerate(schema[keyword], 1)
                return choice(*(self.node(one, f"{name} {number}") for number, one in options))
        if schema.get("allOf"):
            self._forget(schema, "allOf", keep=1)
            return self.node(schema["allOf"][0], name)
        if "$ref" in schema:
            self._forget(schema, "$ref")
            return self._reference(schema["$ref"])
        for keyword in ("const", "enum"):
            if keyword in schema:
                return self._listed(schema, keyword)
        return self._typed(schema, name)

    def _listed(self, schema: dict[str, Any], keyword: str) -> Node:
        """Return the values that a schema lists, those of its type."""
        values = schema[keyword] if keyword == "enum" else [schema[keyword]]
        if "type" in schema:
            types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            kinds = {*types, "integer"} if "number" in types else {*types}
            values = [value for value in values if type_of(value) in kinds]
        self.left_out |= schema.keys() & _CONSTRAINTS - {keyword, "type"}
        return choice(*(Text(json.dumps(value, ensure_ascii=False)) for value in values))

    def _forget(self, schema: dict[str, Any], keyword: str, keep: int | None = None) -> None:
        """Note the keywords beside one that decides alone."""
        self.left_out |= schema.keys() & _CONSTRAINTS - {keyword}
        if keyword == "oneOf" or (keep is not None and len(schema[keyword]) > keep):
            self.left_out.add(keyword)

    def _reference(self, link: str) -> Node:
        name = f"ref {link}"
        if name not in self.rules:
            target: Any = self._root
            for part in link.removeprefix("#").split("/")[1:]:
                key = part.replace("~1", "/").replace("~0", "~")
                found = isinstance(target, dict) and key in target
                target = target[key] if found else None
            if target is None or not link.startswith("#"):
                raise UsageError(
                    f"The schema refers to {link}, which is not in it.",
                    "Only references inside a schema can be followed.",
                    "Copy what it refers to into `$defs`.",
                )
            self.rules[name] = Text("")  # so that a schema may refer to itself
            self.rules[name] = self.node(target, name)
        return Reference(name)

    def _typed(self, schema: dict[str, Any], name: str) -> Node:
        types = schema.get("type")
        if types is None:
            hints = {"properties": "object", "items": "array", "prefixItems": "array"}
            found = [kind for keyword, kind in hints.items() if keyword in schema]
            if not found:
                self.left_out |= schema.keys() & _CONSTRAINTS
                return Reference("json value")
            types = [found[0]]
            self.left_out.add("type (other values than the keywords suggest)")
        types = [types] if isinstance(types, str) else types
        if not types or any(kind not in _TYPES for kind in types):
            raise UsageError(
                f"There is no type {json.dumps(types)}.",
                f"JSON Schema has {', '.join(_TYPES)}.",
                "Correct the schema.",
            )
        return choice(*(self._kind(kind, schema, f"{name} {kind}") for kind in types))

    def _kind(self, kind: str, schema: dict[str, Any], name: str) -> Node:
        if kind == "object":
            return self._object(schema, name)
        if kind == "array":
            return self._array(schema, name)
        if kind == "string" and ("minLength" in schema or "maxLength" in schema):
            least, most = schema.get("minLength", 0), schema.get("maxLength")
            if most is not None and most < least:
                return _NOTHING
            return sequence(Text('"'), Repeat(Reference("json char"), least, most), Text('"'))
        return Reference(f"json {kind}")

    def _object(self, schema: dict[str, Any], name: str) -> Node:
        """Return an object whose named properties come first, in order, optional ones or not."""
        required = schema.get("required", [])
        properties = dict(schema.get("properties", {}))
        further = schema.get("additionalProperties", True)
        properties |= {key: True for key in required if key not in properties}
        pairs: list[tuple[Node, bool]] = []
        for key, value in properties.items():
            if value is not False:
                label = json.dumps(key, ensure_ascii=False)
                rule = f"{name} {label}"
                self.rules[rule] = sequence(Text(label + ": "), self.node(value, rule))
                pairs.append((Reference(rule), key in required))
        others: Node | None = None
        if further is not False:
            others = Reference(f"{name} other")
            self.rules[others.name] = sequence(
                Reference("json string"), Text(": "), self.node(further, others.name)
            )
        return sequence(Text("{"), self._members(pairs, others, name), Text("}"))

    def _members(self, pairs: Sequence[tuple[Node, bool]], others: Node | None, name: str) -> Node:
        """Return the members of an object, separated by commas; rules keep it linear in size."""
        rest: Node = Repeat(sequence(_COMMA, others), 0, None) if others else Text("")
        first: Node = optional(others, rest) if others else Text("")
        for number, (pair, needed) in reversed(list(enumerate(pairs, 1))):
            after = f"{name} after {number}"
            self.rules[after] = rest
            whole = sequence(pair, Reference(after))
            first = whole if needed else Choice((whole, first))
            follows = sequence(_COMMA, pair)
            rest = sequence(follows if needed else optional(follows), Reference(after))
        return first

    def _array(self, schema: dict[str, Any], name: str) -> Node:
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        listed, further = schema.get("prefixItems", []), schema.get("items", True)
        if isinstance(further, list):  # of drafts before 2020-12
            listed, further = further, schema.get("additionalItems", True)
        numbered = enumerate(listed[:most], 1)
        fixed = [self.node(one, f"{name} {number}") for number, one in numbered]
        if further is False:
            most = len(fixed) if most is None else min(most, len(fixed))
        if most is not None and most < least:
            return _NOTHING
        rest: Node = Text("")
        if most is None or most > len(fixed):
            item = self.node(further, f"{name} item")
            room = None if most is None else most - len(fixed)
            rest = _list(item, max(least - len(fixed), 0), room, started=bool(fixed))
        for number, one in reversed(list(enumerate(fixed))):
            whole = sequence(*([_COMMA] if number else []), one, rest)
            rest = whole if number < least else optional(whole)
        return sequence(Text("["), rest, Text("]"))


def _list(item: Node, least: int, most: int | None, *, started: bool) -> Node:
    """Return items with commas between them, and before the first if the list has *started*."""
    further = sequence(_COMMA, item)
    if started:
        return Repeat(further, least, most)
    filled = sequence(item, Repeat(further, max(least - 1, 0), None if most is None else most - 1))
    return filled if least else optional(filled)


def _renamed(node: Node) -> Node:
    """Return a rule of JSON with its references named as ours are."""
    match node:
        case Reference(name):
            return Reference(f"json {name}")
        case Repeat(item, least, most):
            return Repeat(_renamed(item), least, most)
        case Choice(options):
            return choice(*map(_renamed, options))
        case Text() | Chars():
            return node
        case _:
            return sequence(*map(_renamed, getattr(node, "parts", ())))
