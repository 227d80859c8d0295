"""Follows a JSON text as it grows, and judges what the mask engine left open.

A value is judged when it is complete, and the objects and arrays around it whenever a member of
theirs is, as unfinished values. Also, no object may name a property twice, which neither JSON
Schema nor the engine forbids where further properties are allowed.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, Self, TypeAlias

from expert.grammar.schema.document import Document, Schema
from expert.grammar.schema.members import item_schemas, member_schemas
from expert.grammar.schema.order import arrange_under
from expert.grammar.schema.smallest import endings, small_values
from expert.grammar.schema.validator import Validator
from expert.grammar.schema.values import Unfinished

Mode: TypeAlias = Literal["value", "string", "scalar", "key", "colon", "after"]

_BLANK = b" \t\r\n"
_POSSIBLE = 100  # schemas considered for one value
_SUGGESTED = 8  # small values tried for one
_DEEPEST = 64  # objects and arrays inside each other
_BEYOND_PYTHON = (ValueError, RecursionError)
"""What Python raises for numbers of thousands of digits, and for schemas inside each other."""
_STRING_PART = re.compile(rb'["\\]')
_SCALAR_END = re.compile(rb"[,\]} \t\r\n]")


@dataclass(frozen=True, slots=True)
class Frame:
    """An object or array that is not closed yet."""

    parent: "Frame | None"
    depth: int
    start: int
    schemas: tuple[dict[str, Any], ...]
    """What applies to it in any case."""
    is_object: bool
    watched: bool
    """Whether this or one around it is to be judged after each member."""
    names: frozenset[str] = frozenset()
    key: str = ""
    count: int = 0
    starts: tuple[int, ...] = ()
    """Where its members, and the values of its properties, begin."""


class Rules:
    """What is to be judged, the same for all states of one schema."""

    def __init__(self, document: Document, watched: frozenset[int]) -> None:
        self.root = document.root
        self._validator = Validator(document)
        self._watched = watched
        self._closures: dict[int, tuple[dict[str, Any], ...]] = {}

    def closure(self, schema: Schema) -> tuple[dict[str, Any], ...]:
        """Return the schemas that *schema* applies to a value in any case, itself first."""
        if isinstance(schema, bool):
            return ()
        found = self._closures.get(id(schema))
        if found is None:
            parts, met = [schema], {id(schema)}
            for one in parts:  # grows while it is read
                inner = list(one.get("allOf", ()))
                if "$ref" in one:
                    inner.append(self._validator.definition(one["$ref"]))
                for part in inner:
                    if isinstance(part, dict) and id(part) not in met:
                        met.add(id(part))
                        parts.append(part)
            found = self._closures[id(schema)] = tuple(parts)
        return found

    def inside(self, frame: Frame) -> tuple[dict[str, Any], ...]:
        """Return what applies to the member of *frame* that comes next."""
        found: list[dict[str, Any]] = []
        for schema in frame.schemas:
            if frame.is_object:
                members = member_schemas(schema, frame.key)
            else:
                members = item_schemas(schema, frame.count)
            for member in members:
                found += self.closure(member)
        return tuple(found)

    def possible(self, frames: list[Frame]) -> list[dict[str, Any]]:
        """Return what may apply to the next value inside *frames*, the outermost first."""
        found = self._possible([self.root])
        for frame in frames:
            if frame.is_object:
                members = [one for schema in found for one in member_schemas(schema, frame.key)]
            else:
                members = [one["contains"] for one in found if "contains" in one]
                members += [one for schema in found for one in item_schemas(schema, frame.count)]
            found = self._possible(members)
        return found

    def _possible(self, schemas: list[Schema]) -> list[dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        pending = list(schemas)
        while pending and len(found) < _POSSIBLE:
            schema = pending.pop(0)
            if isinstance(schema, bool) or id(schema) in found:
                continue
            found[id(schema)] = schema
            for keyword in ("allOf", "anyOf", "oneOf"):
                pending += schema.get(keyword, ())
            pending += [schema[keyword] for keyword in ("then", "else") if keyword in schema]
            if "$ref" in schema:
                pending.append(self._validator.definition(schema["$ref"]))
        return list(found.values())

    def watches(self, schemas: tuple[dict[str, Any], ...]) -> bool:
        """Tell whether a value under *schemas* is to be judged."""
        return any(id(schema) in self._watched for schema in schemas)

    def fits(self, schemas: tuple[dict[str, Any], ...], value: Any) -> bool:
        """Tell whether *value* keeps those of *schemas* that are watched, or still may."""
        return all(
            self._validator.judge(schema, value) is not False
            for schema in schemas
            if id(schema) in self._watched
        )

    def small_values(self, schemas: list[Schema]) -> Iterator[Any]:
        """Yield a few small values that keep *schemas*, in the grammar's order."""
        for value in islice(small_values(self._validator, schemas), _SUGGESTED):
            yield arrange_under(self._validator, schemas, value)

    def fits_name(self, schemas: tuple[dict[str, Any], ...], name: str) -> bool:
        """Tell whether a property may be called *name*."""
        judge = self._validator.judge
        asked = (schema["propertyNames"] for schema in schemas if "propertyNames" in schema)
        return all(judge(one, name) is not False for one in asked)


@dataclass(frozen=True, slots=True)
class JsonCheck:
    """The state of one JSON text; the engine guarantees that it is JSON."""

    rules: Rules
    text: bytes = b""
    frame: Frame | None = None
    mode: Mode = "value"
    start: int = 0
    """Where the string or scalar that is being written began."""
    naming: bool = False
    """Whether the string is a property's name."""
    escaped: bool = False
    done: bool = False

    def push(self, data: bytes) -> "JsonCheck | None":
        """Return the state after *data* follows, or None when it must not."""
        state: JsonCheck | None = replace(self, text=self.text + data)
        place = len(self.text)
        try:
            while state is not None and place < len(state.text):
                state, place = state._step(place)
        except _BEYOND_PYTHON:
            return None
        return state

    def complete(self) -> bool:
        """Tell whether the text may end here."""
        if self.mode != "scalar" or self.frame is not None:
            return self.done
        try:
            return self._value_ends(self.start, len(self.text)) is not None
        except _BEYOND_PYTHON:
            return False

    def anchors(self) -> tuple[int, ...]:
        """Return where the members of what is still open begin, and their values."""
        found: tuple[int, ...] = ()
        frame = self.frame
        while frame is not None:
            found = frame.starts + found
            frame = frame.parent
        return found

    def suggestions(self) -> Iterator[bytes]:
        """Yield what brings the text nearer to its end, where a schema asks for something."""
        if self.mode == "string" and not self.escaped:
            ends = self._name_endings() if self.naming else self._endings()
            yield from map(_inside_string, ends)
        elif self.frame is not None and self.frame.is_object and self.mode in ("key", "after"):
            comma = b"," if self.mode == "after" else b""
            for name in self._missing():
                yield comma + json.dumps(name, ensure_ascii=False).encode() + b":"
        elif self.mode == "value":
            schemas: list[Schema] = list(self._next_schemas())
            contained = [one["contains"] for one in self._around() if "contains" in one]
            for asked in (schemas + contained, schemas) if contained else (schemas,):
                for value in self.rules.small_values(asked):
                    yield json.dumps(value, ensure_ascii=False).encode()
        elif any("contains" in one for one in self._around()) and self._must_go_on():
            yield b","

    def _missing(self) -> list[str]:
        """Return the names that the object being written still needs, in their schemas' order.

        Those that only some schema for it needs come last, and only where it cannot end.
        """
        frame = self.frame
        assert frame is not None
        sources: list[Iterable[dict[str, Any]]] = [frame.schemas]
        if self.mode != "after" or self.push(b"}") is None:
            sources.append(self.rules.possible(_outermost_first(frame.parent)))
        found: dict[str, None] = {}
        for schemas in sources:
            known = [name for one in schemas for name in one.get("properties", ())]
            asked = [name for one in schemas for name in one.get("required", ())]
            found.update(dict.fromkeys(name for name in known if name in asked))
            found.update(dict.fromkeys(asked))
        return [name for name in found if name not in frame.names]

    def _name_endings(self) -> Iterator[str]:
        """Yield endings of the name being written that the object still needs."""
        text = self._string_so_far()
        if text is not None:
            yield from (name[len(text) :] for name in self._missing() if name.startswith(text))

    def _must_go_on(self) -> bool:
        return self.mode == "after" and self.push(b"]") is None

    def _around(self) -> tuple[dict[str, Any], ...]:
        return self.frame.schemas if self.frame else ()

    def _endings(self) -> Iterator[str]:
        """Yield endings of the string being written that some schema for it asks for."""
        text = self._string_so_far()
        if text is not None:
            for schema in self.rules.possible(_outermost_first(self.frame)):
                yield from endings(schema, text)

    def _string_so_far(self) -> str | None:
        """Return the value of the string being written; None in the middle of a character."""
        try:
            text: str = json.loads(self.text[self.start :] + b'"')
        except ValueError:
            return None
        return text

    def _step(self, place: int) -> "tuple[JsonCheck | None, int]":
        """Read on from *place*; return the state, and the place after what was read."""
        if self.mode == "string":
            return self._in_string(place)
        if self.mode == "scalar":
            end = _SCALAR_END.search(self.text, place)
            if end is None:
                return self, len(self.text)
            return self._value_ends(self.start, end.start()), end.start()
        char = self.text[place : place + 1]
        if char in _BLANK:
            return self, place + 1
        if char == b'"':
            naming = self.mode == "key"
            return replace(self, mode="string", start=place, naming=naming), place + 1
        if char in b"}]":
            return self._close(place + 1), place + 1
        if char in b"{[":
            return self._open(place, is_object=char == b"{"), place + 1
        if char == b":":
            return replace(self, mode="value", frame=_begin(self.frame, place + 1)), place + 1
        if char == b",":
            is_object = self.frame is not None and self.frame.is_object
            return replace(self, mode="key" if is_object else "value"), place + 1
        return replace(self, mode="scalar", start=place), place + 1

    def _in_string(self, place: int) -> "tuple[JsonCheck | None, int]":
        if self.escaped:
            return replace(self, escaped=False), place + 1
        found = _STRING_PART.search(self.text, place)
        if found is None:
            return self, len(self.text)
        if found[0] == b"\\":
            return replace(self, escaped=True), found.end()
        if self.naming:
            return self._name_ends(found.end()), found.end()
        return self._value_ends(self.start, found.end()), found.end()

    def _name_ends(self, end: int) -> Self | None:
        frame = self.frame
        assert frame is not None
        name = json.loads(self.text[self.start : end])
        if name in frame.names or (frame.watched and not self.rules.fits_name(frame.schemas, name)):
            return None
        frame = replace(frame, key=name, names=frame.names | {name})
        return replace(self, frame=frame, mode="colon", naming=False)

    def _open(self, place: int, *, is_object: bool) -> Self | None:
        depth = self.frame.depth + 1 if self.frame else 1
        if depth > _DEEPEST:
            return None
        schemas = self._next_schemas()
        outer = self.frame is not None and self.frame.watched
        watched = outer or self.rules.watches(schemas)
        frame = Frame(self.frame, depth, place, schemas, is_object, watched, starts=(place + 1,))
        return replace(self, frame=frame, mode="key" if is_object else "value")

    def _next_schemas(self) -> tuple[dict[str, Any], ...]:
        if self.frame is None:
            return self.rules.closure(self.rules.root)
        return self.rules.inside(self.frame)

    def _close(self, end: int) -> Self | None:
        frame = self.frame
        assert frame is not None
        outer = replace(self, frame=frame.parent)
        return outer._value_ends(frame.start, end)

    def _value_ends(self, start: int, end: int) -> Self | None:
        """Judge the value that is complete, and those around it, which are not."""
        schemas = self._next_schemas()
        if self.rules.watches(schemas):
            value = json.loads(self.text[start:end])
            if not self.rules.fits(schemas, value):
                return None
        frame = self.frame
        if frame is None:
            return replace(self, mode="after", done=True)
        if frame.watched and not all(
            self.rules.fits(around.schemas, value) for around, value in self._unfinished(end)
        ):
            return None
        frame = _begin(replace(frame, count=frame.count + 1), end)
        return replace(self, frame=frame, mode="after")

    def _unfinished(self, end: int) -> Iterator[tuple[Frame, Unfinished]]:
        """Yield every object and array that is not closed, the innermost first, as it is so far."""
        closers, frame = b"", self.frame
        inner: Unfinished | None = None
        while frame is not None and frame.watched:
            closers += b"}" if frame.is_object else b"]"
            value = json.loads(self.text[frame.start : end] + closers)
            if inner is not None:
                value[frame.key if frame.is_object else -1] = inner
            inner = Unfinished(value)
            yield frame, inner
            frame = frame.parent


def _outermost_first(frame: Frame | None) -> list[Frame]:
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.parent
    return frames[::-1]


def _inside_string(ending: str) -> bytes:
    return json.dumps(ending, ensure_ascii=False).encode()[1:]


def _begin(frame: Frame | None, place: int) -> Frame | None:
    """Note that a member or a value of *frame* begins at *place*."""
    return replace(frame, starts=(*frame.starts, place)) if frame else None
