"""Finds a small value that keeps a schema, for answers that must come to an end."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from expert.grammar.schema.document import Schema
from expert.grammar.schema.expression import automaton
from expert.grammar.schema.formats import FORMATS
from expert.grammar.schema.members import item_schemas, member_schemas
from expert.grammar.schema.validator import Validator
from expert.grammar.schema.values import key_of

_DEEPEST = 12  # values inside each other
_WORK = 1000  # values tried
_MOST_ITEMS = 50
_OTHERS = 26  # numbers and strings tried beside those that a schema itself names
_TYPES = ("null", "boolean", "integer", "string", "array", "object", "number")
_BOUNDS = {"minimum": 0, "exclusiveMinimum": 1, "maximum": 0, "exclusiveMaximum": -1}
"""By keyword: how far from it a number is tried."""
_FORMATS = {
    "date": ["2000-01-01"],
    "date-time": ["2000-01-01T00:00:00Z", "2000-01-01T00:00:00+00:00"],
    "duration": ["P1D", "P1W", "P1Y", "P1M", "PT1H", "PT1M", "PT1S"],
    "email": ["a@b.c"],
    "hostname": ["a"],
    "idn-email": ["a@b.c"],
    "ipv4": ["0.0.0.0"],
    "ipv6": ["1:1:1:1:1:1:1:1", "::1"],
    "iri": ["a:b"],
    "json-pointer": ["/a"],
    "relative-json-pointer": ["0"],
    "time": ["00:00:00Z", "00:00:00+00:00"],
    "uri": ["a:b"],
    "uri-reference": ["a"],
    "uri-template": ["a"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
}
"""By format: strings whose ends complete most beginnings of others."""


def smallest(judge: Validator, schemas: list[Schema]) -> tuple[Any] | None:
    """Return a value, in a tuple, that keeps all *schemas*; None if none was soon found."""
    return next(((value,) for value in small_values(judge, schemas)), None)


def small_values(judge: Validator, schemas: list[Schema]) -> Iterator[Any]:
    """Yield different values that keep all *schemas*, as far as they are soon found."""
    return _Search(judge).find(schemas, 0)


def endings(schema: dict[str, Any], text: str) -> Iterator[str]:
    """Yield what makes *text*, the beginning of a string, keep a keyword of *schema*."""
    for word in schema.get("enum", [schema["const"]] if "const" in schema else []):
        if isinstance(word, str) and word.startswith(text):
            yield word[len(text) :]
    if "pattern" in schema and (found := automaton(schema["pattern"])) is not None:
        ending = found.completion(text)
        if ending:
            yield ending
    yield from _format_endings(schema.get("format"), text)
    if len(text) < schema.get("minLength", 0):
        yield "a" * (schema["minLength"] - len(text))


def _format_endings(name: str | None, text: str) -> list[str]:
    """Return the shortest ending known that gives *text* the format *name*, if there is one."""
    samples = _FORMATS.get(name or "", ())
    ends = {sample[place:] for sample in samples for place in range(len(sample) + 1)}
    fitting = (end for end in sorted(ends, key=len) if FORMATS[name or ""](text + end))
    return [*islice(fitting, 1)]


class _Search:
    """Tries values until the work allowed is done."""

    def __init__(self, judge: Validator) -> None:
        self._judge = judge
        self._left = _WORK

    def find(self, schemas: list[Schema], depth: int) -> Iterator[Any]:
        """Yield different values that keep all *schemas*, which are *depth* values deep."""
        if depth > _DEEPEST:
            return
        met = set[object]()
        for value in self._candidates(schemas, depth):
            self._left -= 1
            if self._left < 0:
                return
            key = key_of(value)
            if key not in met and all(self._judge.judge(schema, value) for schema in schemas):
                met.add(key)
                yield value

    def _candidates(self, schemas: list[Schema], depth: int) -> Iterator[Any]:
        applied = list(_applied(self._judge, schemas))
        for schema in applied:
            yield from schema.get("enum", [schema["const"]] if "const" in schema else [])
        known = [set(schema["type"]) for schema in applied if "type" in schema]
        for kind in _TYPES:
            if all(kind in types or (kind == "integer" and "number" in types) for types in known):
                yield from self._of_type(kind, applied, depth)

    def _of_type(self, kind: str, applied: list[dict[str, Any]], depth: int) -> Iterator[Any]:
        match kind:
            case "null":
                yield None
            case "boolean":
                yield from (False, True)
            case "integer" | "number":
                yield from _numbers(applied)
            case "string":
                yield from _strings(applied)
            case "array":
                yield from self._arrays(applied, depth)
            case "object":
                yield from self._objects(applied, depth)

    def _arrays(self, applied: list[dict[str, Any]], depth: int) -> Iterator[list[Any]]:
        least = max((one.get("minItems", 0) for one in applied), default=0)
        items: list[Any] = []
        unique = any(one.get("uniqueItems") for one in applied)
        contained = [
            one["contains"]
            for one in applied
            if "contains" in one
            for _ in range(min(one.get("minContains", 1), _MOST_ITEMS))
        ]
        for index in range(min(max(least, len(contained)), _MOST_ITEMS)):
            schemas = [inner for one in applied for inner in item_schemas(one, index)]
            met = {key_of(item) for item in items} if unique else ()
            for item in self.find(schemas + contained[index : index + 1], depth + 1):
                if key_of(item) not in met:
                    items.append(item)
                    break
            else:
                return
        yield items

    def _objects(self, applied: list[dict[str, Any]], depth: int) -> Iterator[dict[str, Any]]:
        members: dict[str, Any] = {}
        for name in dict.fromkeys(name for one in applied for name in one.get("required", ())):
            schemas = [inner for one in applied for inner in member_schemas(one, name)]
            for member in self.find(schemas, depth + 1):
                members[name] = member
                break
            else:
                return
        yield members


def _applied(judge: Validator, schemas: list[Schema]) -> Iterator[dict[str, Any]]:
    pending = list(schemas)
    for _ in range(100):
        if not pending:
            return
        schema = pending.pop(0)
        if isinstance(schema, bool):
            continue
        yield schema
        pending += [judge.definition(schema["$ref"])] if "$ref" in schema else []
        pending += schema.get("allOf", [])
        for keyword in ("oneOf", "anyOf"):
            pending += schema.get(keyword, [])[:1]


def _numbers(applied: list[dict[str, Any]]) -> Iterator[float]:
    for keyword, step in _BOUNDS.items():
        yield from (one[keyword] + step for one in applied if keyword in one)
    for step in (one["multipleOf"] for one in applied if "multipleOf" in one):
        yield from (step * times for times in range(_OTHERS))
    least = max((one["minimum"] for one in applied if "minimum" in one), default=0)
    yield from (least + step for step in range(_OTHERS))


def _strings(applied: list[dict[str, Any]]) -> Iterator[str]:
    least = max((one.get("minLength", 0) for one in applied), default=0)
    yield "a" * least
    for schema in applied:
        yield from _FORMATS.get(schema.get("format", ""), [])[:1]
        if "pattern" in schema and (found := automaton(schema["pattern"])) is not None:
            text = found.completion("")
            if text is not None:
                yield text
                yield text + "a" * (least - len(text))
    yield from (chr(ord("a") + step) + "a" * (least - 1) for step in range(_OTHERS))
