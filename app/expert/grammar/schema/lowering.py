"""Finds the most exact translation that the mask engine compiles, or names what it does not."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from expert.errors import UsageError, VerificationError
from expert.grammar.schema.document import Document, Schema, inner_schemas, schemas_of
from expert.grammar.schema.engine import TooLargeError, Translator
from expert.grammar.schema.patterns import is_plain, unusable
from expert.grammar.schema.smallest import smallest
from expert.grammar.schema.validator import Validator

SPACED = {"item_separator": ", ?", "key_separator": ": ?", "whitespace_flexible": False}
"""At most one space after a comma and a colon: what `json.dumps` writes, and no more."""
_LEVELS = 3
_SEARCH = 1.0  # seconds for finding what is to blame
_LARGEST = 2_000_000  # characters of a translation, as JSON
_MOST = 3000  # names in one object, definitions, patterns: the engine needs a second for them

_SHOWN = 120  # characters of a pattern or a reason
_PATTERN_WORK = 100  # times as long as for a name

Compiler = Callable[[str], str]
"""Compiles a grammar, and returns why it does not, or nothing."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """A grammar that the engine compiles, and the schemas that it is too wide for."""

    text: str
    watched: frozenset[int]


def lower(document: Document, compiler: Compiler) -> Lowered:
    """Return the most exact translation that the engine compiles.

    Raises:
        UsageError: there is none; *what* or *why* name the keyword and its JSON pointer.
        VerificationError: the engine would need too long for it.
    """
    schemas = [one for one in schemas_of(document) if isinstance(one, dict)]
    _require_size(document, schemas)
    _require_patterns(document, schemas, is_suspect=lambda pattern: not is_plain(pattern))
    found = _attempt(document, compiler)
    if isinstance(found, str):
        place, reason = _culprit(document, compiler, found)
        raise UsageError(
            f"An answer cannot be held to this schema: the trouble is at {place}.",
            f"{reason[0].upper()}{reason[1:]}.",
            "Simplify it there.",
        )
    return found


def _attempt(document: Document, compiler: Compiler) -> Lowered | str:
    """Return the first translation that compiles, or why the first does not."""
    reasons = []
    for level in range(_LEVELS):
        if level == 1:  # it may be for a pattern that looked plain
            schemas = [one for one in schemas_of(document) if isinstance(one, dict)]
            _require_patterns(document, schemas, is_suspect=lambda _: True)
        try:
            translation = Translator(document, level).translate()
        except TooLargeError:
            reasons.append("it is too large")
            continue
        if translation.schema is False:
            return "nothing matches it"
        schema = {} if translation.schema is True else translation.schema
        text = "start: %json " + json.dumps({"x-guidance": SPACED, **schema}) + "\n"
        reason = compiler(text) if len(text) <= _LARGEST else "it is too large"
        if not reason:
            return Lowered(text, translation.watched)
        reasons.append(_plain(reason))
        # The engine may mean a part of the schema that nothing needs.
        if "nsatisfiable" in reason and not smallest(Validator(document), [document.root]):
            break
    return reasons[0]


def _plain(reason: str) -> str:
    """Return the engine's words without where in its own text it stopped."""
    if reason.startswith("panic"):
        return "it is too large"
    words = reason.rpartition("failed to compile JSON schema: ")[2].rstrip(".")
    return f"the mask engine says: {words[:_SHOWN]}"


def _culprit(document: Document, compiler: Compiler, reason: str) -> tuple[str, str]:
    """Return the JSON pointer of the innermost keyword that does not compile, and why."""
    until = time.monotonic() + _SEARCH

    def refusal(schema: Schema) -> str:
        part = _attempt(replace(document, root=schema), compiler)
        return part if isinstance(part, str) else ""

    schema, deeper = document.root, True
    while deeper:
        deeper = False
        for inner in _parts(document, schema):
            if time.monotonic() < until and (found := refusal(inner)):
                schema, reason, deeper = inner, found, True
                break
    if isinstance(schema, bool):
        return document.place(schema), reason
    for keyword in sorted(schema, key="type".__eq__):
        rest = {word: given for word, given in schema.items() if word != keyword}
        if time.monotonic() < until and not refusal(rest):
            return f"{document.place(schema)}/{keyword}", reason
    return document.place(schema), reason


def _parts(document: Document, schema: Schema) -> Iterator[Schema]:
    """Yield the schemas that *schema* needs."""
    yield from (inner for _, inner in inner_schemas(schema) if inner is not False)
    if isinstance(schema, dict) and "$ref" in schema:
        yield document.definitions[schema["$ref"]]


def _require_size(document: Document, schemas: list[dict[str, Any]]) -> None:
    """Refuse what the engine needs long for: its time grows with the square of these counts."""
    counts = {
        keyword: [(len(one[keyword]), place) for place, one in enumerate(schemas) if keyword in one]
        for keyword in ("properties", "required", "patternProperties")
    }
    strings = sum("pattern" in one or "format" in one for one in schemas)
    strings += sum(
        isinstance(value, list | dict) for one in schemas for value in one.get("enum", ())
    )
    squares = {
        keyword: sum(count * count for count, _ in found) for keyword, found in counts.items()
    }
    squares["patternProperties"] *= _PATTERN_WORK
    if sum(squares.values()) + len(document.definitions) ** 2 + strings**2 > _MOST**2:
        keyword = max(squares, key=squares.__getitem__)
        count, place = max(counts[keyword], default=(0, 0))
        raise VerificationError(
            "The schema is too large.",
            f"It has {len(document.definitions):,} definitions and {strings:,} patterns, formats "
            "and objects in `enum`; its longest part is "
            f"{document.place(schemas[place])}/{keyword} with {count:,} names.",
            "Use a part of it.",
        )


def _require_patterns(
    document: Document, schemas: list[dict[str, Any]], is_suspect: Callable[[str], bool]
) -> None:
    """Refuse patterns that nothing here can match."""
    for schema in schemas:
        patterns = [("patternProperties", one) for one in schema.get("patternProperties", ())]
        patterns += [("pattern", schema["pattern"])] if "pattern" in schema else []
        for keyword, pattern in patterns:
            if is_suspect(pattern) and (reason := unusable(pattern)):
                raise UsageError(
                    f"A pattern at {document.place(schema)}/{keyword} cannot be used.",
                    f"It is {pattern[:_SHOWN]!r}. {reason}",
                    "Rewrite it without look-around and back references.",
                )
