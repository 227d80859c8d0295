"""Random JSON Schemas over few names and values, so that many values keep and many break them."""

import random
from itertools import product
from typing import Any

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
SCALARS: list[Any] = [None, False, True, -1, 0, 1, 2, 3, 2.5, "", "a", "b", "ab", "abc", "é"]
_ARRAYS: list[Any] = [
    list(some) for size in range(4) for some in product([1, "a", None], repeat=size)
]
_MEMBERS: list[Any] = [0, 1, 2, "a", None, [1], {}, {"a": 1}]
_OBJECTS: list[Any] = [
    dict(zip(names, some, strict=True))
    for names in [(), ("a",), ("b",), ("a", "b"), ("b", "a"), ("ab",), ("a", "b", "ab"), ("c", "a")]
    for some in product([1, "a", None], repeat=len(names))
]
VALUES: list[Any] = [
    *SCALARS, *_ARRAYS, *_OBJECTS,
    *({"a": one} for one in _MEMBERS), *({"b": one, "ab": 2} for one in _MEMBERS),
    [[1], [1]], [[], {}], [{"a": 1}, {"a": 1}], [0, 1, 2, 3], [1, 2, 1], [True, 1], [1, 2, 3],
]  # fmt: skip
"""What schemas are tried on."""
PATTERNS = ["^a", "b$", "^(a|b)*$", "ab?c", "^.$", "[^a]"]
SIMPLE = [
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
]
INNER = ["properties", "items", "anyOf", "allOf", "not"]
FURTHER = [
    "oneOf",
    "if",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "contains",
    "uniqueItems",
    "pattern",
    "$ref",
]
OF_2019 = ["dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems"]
OF_2020 = [*OF_2019, "prefixItems", "containsFew"]


class SchemaWriter:
    """Writes random schemas of some keywords; `$ref` leads to two definitions of its own."""

    def __init__(self, seed: int, keywords: list[str]) -> None:
        self._draw = random.Random(seed)
        self._keywords = keywords

    def whole(self) -> dict[str, Any]:
        """Return a schema with what it refers to."""
        schema = self.schema(3)
        schema = schema if isinstance(schema, dict) else {"allOf": [schema]}
        if "$ref" in self._keywords:
            schema["$defs"] = {"x": self._plain(2), "y": self._plain(1)}
        return schema

    def schema(self, depth: int) -> Any:
        """Return a schema of at most *depth* levels."""
        if self._draw.random() < 0.06:
            return self._draw.choice([True, False, {}])
        usable = [one for one in self._keywords if depth > 0 or one in SIMPLE]
        chosen = self._draw.sample(usable, min(len(usable), self._draw.choice([1, 1, 2, 2, 3])))
        made: dict[str, Any] = {}
        for keyword in chosen:
            made |= self._keyword(keyword, depth - 1)
        return made

    def _plain(self, depth: int) -> Any:
        """Return a schema without references, so that none leads back to itself."""
        kept = self._keywords
        self._keywords = [one for one in kept if one != "$ref"]
        schema = self.schema(depth)
        self._keywords = kept
        return schema

    def _keyword(self, keyword: str, depth: int) -> dict[str, Any]:
        draw = self._draw
        match keyword:
            case "type":
                return {keyword: draw.sample(TYPES, draw.randint(1, 3))}
            case "enum":
                return {keyword: draw.sample(VALUES, draw.randint(1, 4))}
            case "const":
                return {keyword: draw.choice(VALUES)}
            case "minimum" | "maximum" | "exclusiveMinimum":
                return {keyword: draw.randint(-1, 3)}
            case "multipleOf":
                return {keyword: draw.choice([2, 3, 0.5])}
            case "required":
                return {keyword: draw.sample(["a", "b", "ab"], draw.randint(1, 2))}
            case "pattern":
                return {keyword: draw.choice(PATTERNS)}
            case "uniqueItems":
                return {keyword: True}
            case "$ref":
                return {keyword: f"#/$defs/{draw.choice('xy')}"}
            case "dependentRequired":
                return {keyword: {draw.choice("ab"): [draw.choice(["b", "ab"])]}}
            case _ if keyword.startswith(("min", "max")):
                return {keyword: draw.randint(0, 3)}
            case _:
                return self._applying(keyword, depth)

    def _applying(self, keyword: str, depth: int) -> dict[str, Any]:
        draw = self._draw
        match keyword:
            case "properties" | "dependentSchemas":
                names = draw.sample(["a", "b", "ab"], draw.randint(1, 2))
                return {keyword: {name: self.schema(depth) for name in names}}
            case "patternProperties":
                return {keyword: {draw.choice(PATTERNS): self.schema(depth)}}
            case "anyOf" | "allOf" | "oneOf" | "prefixItems":
                return {keyword: [self.schema(depth) for _ in range(draw.randint(1, 3))]}
            case "if":
                parts = ["if", *draw.sample(["then", "else"], draw.randint(1, 2))]
                return {part: self.schema(depth) for part in parts}
            case "containsFew":
                least = draw.randint(0, 2)
                counts = {"minContains": least, "maxContains": least + draw.randint(0, 1)}
                return {"contains": self.schema(depth), **counts}
            case _:
                return {keyword: self.schema(depth)}
