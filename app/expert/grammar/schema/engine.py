"""Translates a schema document for the mask engine, and notes what the engine then lacks.

The engine compiles most of JSON Schema exactly and refuses the rest. What it refuses is
rewritten where that keeps the meaning (`negation`), and else left out, so that the engine
matches more: the schema is then *watched*, judged again when its value is complete.
"""

from dataclasses import dataclass
from typing import Any

from expert.grammar.schema.disjoint import overlaps
from expert.grammar.schema.document import Document, Schema, inner_first
from expert.grammar.schema.formats import FORMATS
from expert.grammar.schema.keywords import NUMBERS
from expert.grammar.schema.members import member_schemas
from expert.grammar.schema.names import FORMAT_PATTERNS, is_impossible, known_names, name_pattern
from expert.grammar.schema.negation import all_of, any_of, negate
from expert.grammar.schema.numbers import listed_numbers
from expert.grammar.schema.patterns import engine_reads, is_plain
from expert.grammar.schema.validator import Validator

_EXACT_FORMATS = frozenset(("uuid", "ipv4"))
_KNOWN_FORMATS = frozenset(
    ["date", "date-time", "duration", "email", "hostname", "ipv6", "time", "uri"]
)
_COPIED = frozenset(
    [
        "type",
        "enum",
        "const",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "multipleOf",
        "maxLength",
        "minLength",
        "maxItems",
        "minItems",
        "required",
    ]
)
_DEPENDENT = 6  # dependencies in one schema that are rewritten
_PAIRS = 20  # of overlapping schemas in one `oneOf` that are told apart by negation
_WORK = 20_000  # schemas translated, those that rewriting doubles counted in


def _is_short(number: float) -> bool:
    """Tell whether the engine can surely count to *number*."""
    return abs(number) < 1e15 and (number == 0 or abs(number) > 1e-9)


class TooLargeError(Exception):
    """Rewriting a schema made it too large; a lower level of care does not."""


@dataclass(frozen=True)
class Translation:
    """A schema for the engine, and the schemas of the document that it is too wide for."""

    schema: Schema
    watched: frozenset[int]
    """By identity: schemas to be judged when a value of theirs is complete."""
    dropped: frozenset[str]
    """The keywords that were left out, for messages."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A translated schema; *here* and *inside* tell where it is too wide."""

    schema: Schema
    here: bool = False
    inside: bool = False


class Translator:
    """Translates one document, at one of three levels of care.

    Level 0 rewrites what the engine lacks, level 1 leaves it out, level 2 leaves out as well
    what makes the engine intersect schemas.
    """

    def __init__(self, document: Document, level: int = 0) -> None:
        self.document = document
        self.level = level
        self.dropped: set[str] = set()
        self._watched: set[int] = set()
        self._definitions: dict[str, _Made] = {}
        self._left = _WORK
        self._rewritten: list[Schema] = []

    def translate(self) -> Translation:
        """Return the engine's schema of the document.

        Raises:
            TooLargeError: rewriting made it too large.
        """
        for name in inner_first(self.document):
            self._definitions[name] = self.schema(self.document.definitions[name])
        schema = self.schema(self.document.root).schema
        if self._definitions and isinstance(schema, dict):
            inner = {name: made.schema for name, made in self._definitions.items()}
            schema = {**schema, "$defs": inner}
        return Translation(schema, frozenset(self._watched), frozenset(self.dropped))

    def reference(self, name: str) -> _Made:
        """Return what a reference becomes; of a recursive one the worst is assumed."""
        link = {"$ref": f"#/$defs/{name}"}
        made = self._definitions.get(name)
        if made is None:
            return _Made(link, inside=True)
        return _Made(link if isinstance(made.schema, dict) else made.schema, made.here, made.inside)

    def schema(self, schema: Schema) -> _Made:
        """Translate one schema."""
        if isinstance(schema, bool):
            return _Made(schema)
        self._left -= 1
        if self._left < 0 and self.level == 0:
            raise TooLargeError
        level = _Level(self, schema)
        for keyword, given in schema.items():
            level.keyword(keyword, given)
        wide = level.here or level.inside
        if wide and (numbers := listed_numbers(schema, self.document)) is not None:
            return _Made({"enum": numbers} if numbers else False)
        if level.here:
            self._watched.add(id(schema))
        return _Made(level.finish(), level.here, level.inside)

    def reads(self, pattern: str) -> bool:
        """Tell whether to give *pattern* to the engine, first on trust."""
        return is_plain(pattern) if self.level == 0 else engine_reads(pattern)

    def rewritten(self, schema: Schema) -> Schema:
        """Keep a schema that was made here, so that its identity is not used again."""
        self._rewritten.append(schema)
        return schema


class _Level:
    """One schema being translated."""

    def __init__(self, translator: Translator, schema: dict[str, Any]) -> None:
        self._translator = translator
        self._document = translator.document
        self._source = schema
        self._made: dict[str, Any] = {}
        self._also: list[Schema] = []
        self._impossible = False
        self.here = False
        self.inside = False

    def finish(self) -> Schema:
        """Return the engine's schema.

        In one `allOf` the engine keeps the order of properties: an object's own come first.
        """
        own = self._made
        every = own.pop("allOf", []) + self._also
        some = own.pop("anyOf", None)
        if self._impossible or False in every or is_impossible(own):
            return False
        if some is not None:
            every = [*every, {"anyOf": some}]
        if "$ref" in own and len(own) > 1:
            every = [{"$ref": own.pop("$ref")}, *every]
        parts = [own, *every] if own or not every else every
        return parts[0] if len(parts) == 1 else {"allOf": parts}

    def keyword(self, keyword: str, given: Any) -> None:
        """Translate one keyword."""
        if self._translator.level == 2 and "$ref" in self._source and keyword != "$ref":
            self._drop(keyword)
            return
        match keyword:
            case "required":
                self._required(given)
            case _ if keyword in NUMBERS and self._translator.level and not _is_short(given):
                self._drop(keyword)
            case _ if keyword in _COPIED:
                self._made[keyword] = given
            case "properties":
                members = {name: self._member(one) for name, one in given.items()}
                self._made[keyword] = {**self._made.get(keyword, {}), **members}
            case "patternProperties":
                self._patterns(given)
            case "additionalProperties" | "items":
                self._made.setdefault(keyword, self._member(given))
            case "prefixItems":
                self._made[keyword] = [self._member(one) for one in given]
            case "pattern":
                self._pattern(given)
            case "format":
                self._format(given)
            case "minProperties" | "maxProperties":
                self._size(keyword, given)
            case "contains":
                self._drop(keyword)
                self._also.append({"minItems": self._source.get("minContains", 1)})
            case "propertyNames":
                self._names(given)
            case "unevaluatedProperties":
                self._unevaluated(given)
            case "then" | "else" | "minContains" | "maxContains":
                pass  # part of the keyword they belong to
            case _:
                self._in_place(keyword, given)

    def _in_place(self, keyword: str, given: Any) -> None:
        """Translate a keyword that applies further schemas to the same value."""
        level = self._translator.level
        lone = len(self._source) == 1 or keyword == "$ref"
        if level == 2 and not lone:
            self._drop(keyword)
        elif keyword == "allOf" and level == 2:
            self._drop(keyword)
            self._made["allOf"] = [self._member(given[0])]
        elif keyword == "$ref":
            self._reference(given)
        elif keyword == "allOf":
            self._made["allOf"] = [self._member(one) for one in given]
        elif keyword == "anyOf":
            self._made["anyOf"] = [self._conditional(one) for one in given]
        elif keyword == "oneOf":
            self._one_of(given)
        elif keyword in ("dependentRequired", "dependentSchemas"):
            self._dependent(keyword, given)
        elif keyword == "not" and level == 0:
            self._not(given)
        elif keyword == "if" and level == 0:
            self._if(given)
        else:
            self._drop(keyword)

    def _member(self, schema: Schema) -> Schema:
        """Translate a schema that is judged on its own: of a member, or always of this value."""
        made = self._translator.schema(schema)
        self.inside = self.inside or made.here or made.inside
        return made.schema

    def _conditional(self, schema: Schema) -> Schema:
        """Translate a schema that applies only sometimes, so this one must be judged for it."""
        made = self._translator.schema(schema)
        self.here = self.here or made.here or made.inside
        return made.schema

    def _drop(self, keyword: str) -> None:
        self.here = True
        self._translator.dropped.add(keyword)

    def _reference(self, given: str) -> None:
        made = self._translator.reference(given)
        self.inside = self.inside or made.here or made.inside
        if isinstance(made.schema, dict):
            self._made.update(made.schema)
        self._impossible = made.schema is False

    def _pattern(self, given: str) -> None:
        also = {"minLength", "maxLength", "format"} & set(self._source)
        if self._translator.reads(given) and not (also and self._translator.level):
            self._made["pattern"] = given
        else:
            self._drop("pattern")

    def _format(self, given: str) -> None:
        if given not in FORMATS:
            return
        if given not in _EXACT_FORMATS:
            self.here = True
        if given in _EXACT_FORMATS or given in _KNOWN_FORMATS:
            self._made["format"] = given
        elif given in FORMAT_PATTERNS:
            self._also.append({"pattern": FORMAT_PATTERNS[given]})

    def _required(self, given: list[str]) -> None:
        """Spell out required properties that only a pattern describes; the engine forgets those."""
        self._made["required"] = given
        if "patternProperties" in self._source:
            known = self._source.get("properties", {})
            for name in given:
                if name not in known:
                    whole = all_of(member_schemas(self._source, name))
                    member = self._conditional(self._translator.rewritten(whole))
                    self._made.setdefault("properties", {})[name] = member

    def _patterns(self, given: dict[str, Schema]) -> None:
        members = {
            name: self._member(one) for name, one in given.items() if self._translator.reads(name)
        }
        if self._translator.level or len(members) < len(given):
            self._drop("patternProperties")
            self._made["additionalProperties"] = True
        else:
            self._made["patternProperties"] = members

    def _size(self, keyword: str, given: int) -> None:
        names = set(self._source.get("properties", ()))
        rewriting = self._translator.level == 0 and given <= 1
        if rewriting or names <= set(self._source.get("required", ())):
            self._made[keyword] = given
        else:
            self._drop(keyword)

    def _names(self, given: Schema) -> None:
        """Turn what names may be into a pattern of properties, where it is one."""
        pattern = name_pattern(given)
        plain = "patternProperties" not in self._source and not self._translator.level
        if pattern is None or not plain:
            self._drop("propertyNames")
            return
        self.here = self.here or (isinstance(given, dict) and "format" in given)
        judge = Validator(self._document)
        known = self._source.get("properties", {})
        wrong = {name: False for name in known if judge.judge(given, name) is False}
        self._also.append({"properties": wrong})
        others = self._member(self._source.get("additionalProperties", True))
        if others is not False:
            self._made["patternProperties"] = {pattern: others}
        self._made["additionalProperties"] = False

    def _unevaluated(self, given: Schema) -> None:
        """Allow no more than the names that any schema for this value knows."""
        self._drop("unevaluatedProperties")
        names = known_names(self._source, self._document)
        if names is not None:
            known = self._made.get("properties", {})
            self._made["properties"] = {**known, **{n: True for n in names if n not in known}}
            self._made.setdefault("additionalProperties", self._member(given))

    def _one_of(self, given: list[Schema]) -> None:
        pairs = None if self._translator.level else overlaps(given, self._document)
        told: dict[int, Schema | None] = {}
        if pairs is not None and len(pairs) <= _PAIRS:
            together = sorted({place for pair in pairs for place in pair})
            told = {place: negate(given[place], self._document) for place in together}
        if pairs is None or len(pairs) > _PAIRS or None in told.values():
            self._drop("oneOf")
            told, pairs = {}, []
        options = [
            all_of([one, *(told[i + j - k] or False for i, j in pairs if k in (i, j))])
            for k, one in enumerate(given)
        ]
        self._also.append(self._conditional(self._translator.rewritten(any_of(options))))

    def _not(self, given: Schema) -> None:
        opposite = negate(given, self._document)
        if opposite is None:
            self._drop("not")
        else:
            self._also.append(self._conditional(self._translator.rewritten(opposite)))

    def _if(self, given: Schema) -> None:
        then, other = self._source.get("then", True), self._source.get("else", True)
        opposite = negate(given, self._document)
        if opposite is None:
            self._drop("if")
        ways = any_of(
            [all_of([given, then]), all_of([True if opposite is None else opposite, other])]
        )
        self._also.append(self._conditional(self._translator.rewritten(ways)))

    def _dependent(self, keyword: str, given: dict[str, Any]) -> None:
        if self._translator.level or len(given) > _DEPENDENT:
            self._drop(keyword)
            return
        for name, asked in given.items():
            needs = {"required": [name, *asked]} if isinstance(asked, list) else asked
            ways = any_of([{"properties": {name: False}}, all_of([{"required": [name]}, needs])])
            self._also.append(self._conditional(self._translator.rewritten(ways)))
