"""From a JSON Schema to a grammar whose every answer keeps it, or a refusal before it begins."""

import json
from typing import Any

from expert.errors import ContractError, UsageError
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.schema.document import (
    Document,
    Schema,
    parse_schema,
    read_schema,
    schemas_of,
)
from expert.grammar.schema.engine import Translation, Translator
from expert.grammar.schema.patterns import require_usable
from expert.grammar.schema.probe import engine_error
from expert.grammar.schema.stream import JsonCheck, Rules
from expert.grammar.schema.validator import Validator
from expert.grammar.tokens import TokenTable

SPACED = {"item_separator": ", ?", "key_separator": ": ?", "whitespace_flexible": False}
"""At most one space after a comma and a colon: what `json.dumps` writes, and no more."""
_LEVELS = 3


def compile_schema(schema: object, table: TokenTable | None = None) -> CompiledGrammar:
    """Return the grammar of the JSON values that *schema*, text or JSON value, allows.

    Given the *table* it will be started on, the engine compiles it once instead of twice.

    Raises:
        UsageError: it is no schema, nothing matches it, or it cannot be guaranteed; *why* names
            the keyword.
        VerificationError: it is too deep or too large.
    """
    document = parse_schema(schema) if isinstance(schema, str) else read_schema(schema)
    _require_readable(document)
    translation, text = _translate(document, table)
    rules = Rules(document, translation.watched)
    needed = bool(translation.watched) or _may_be_open(document)
    check = JsonCheck(rules) if needed else None
    return CompiledGrammar(text, check, lambda answer: verify(document, answer))


def _translate(document: Document, table: TokenTable | None) -> tuple[Translation, str]:
    """Return the most exact translation that the engine compiles, and its text."""
    reasons = []
    for level in range(_LEVELS):
        translation = Translator(document, level).translate()
        if translation.schema is False:
            reasons.append("nothing matches it")
            break
        schema = {} if translation.schema is True else translation.schema
        text = "start: %json " + json.dumps({"x-guidance": SPACED, **schema}) + "\n"
        reason = table.error(text) if table else engine_error(text)
        if not reason:
            return translation, text
        reasons.append(reason)
    raise UsageError(
        "An answer cannot be held to this schema.",
        f"The mask engine says: {reasons[0]}.",
        "Simplify the part of the schema that it names.",
    )


def verify(document: Document, answer: str) -> None:
    """Raise ContractError unless *answer* is JSON that keeps the schema."""
    try:
        value = json.loads(answer, object_pairs_hook=_pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ContractError(
            "The answer is not JSON.", str(error), "Raise the limit of tokens, or ask again."
        ) from error
    validator = Validator(document)
    if validator.judge(document.root, value) is not True:
        place, keyword = validator.explain(document.root, value)
        raise ContractError(
            "The answer does not keep its schema.",
            f"At {place or 'its root'} it breaks `{keyword}`.",
            "Ask again, or simplify the schema.",
        )


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object names a property twice")
    return made


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _require_readable(document: Document) -> None:
    for schema in schemas_of(document):
        if isinstance(schema, dict):
            for pattern in (*schema.get("patternProperties", ()), schema.get("pattern")):
                if pattern is not None:
                    require_usable(pattern)


def _may_be_open(document: Document) -> bool:
    """Tell whether an object may have properties of any name, one of them twice."""
    return any(map(_is_open, schemas_of(document)))


def _is_open(schema: Schema) -> bool:
    if isinstance(schema, bool):
        return schema
    if "enum" in schema or "const" in schema:
        return False
    types = schema.get("type", ("array", "object"))
    further = schema.get("additionalProperties", True) is not False
    listed = "items" in schema or "array" not in types
    return not listed or ("object" in types and (further or "patternProperties" in schema))
