"""From a JSON Schema to a grammar whose every answer keeps it, or a refusal before it begins."""

import json
from typing import Any

from expert.errors import ContractError
from expert.grammar.constraint import CompiledGrammar
from expert.grammar.schema.document import Document, Schema, schemas_of
from expert.grammar.schema.lowering import lower
from expert.grammar.schema.probe import engine_error
from expert.grammar.schema.reader import parse_schema, read_schema
from expert.grammar.schema.stream import JsonCheck, Rules
from expert.grammar.schema.validator import Validator
from expert.grammar.schema.verbatim import hold_to
from expert.grammar.tokens import TokenTable


def compile_schema(
    schema: object, table: TokenTable | None = None, question: str | None = None
) -> CompiledGrammar:
    """Return the grammar of the JSON values that *schema*, text or JSON value, allows.

    Given the *table* it will be started on, the engine compiles it once instead of twice. Strings
    of the format `verbatim` are words of the *question*; without one they are any text.

    Raises:
        UsageError: it is no schema, nothing matches it, or it cannot be guaranteed; *what* and
            *why* name the keyword and its JSON pointer.
        VerificationError: it is too deep or too large.
    """
    document = parse_schema(schema) if isinstance(schema, str) else read_schema(schema)
    if question is not None:
        hold_to(document, question)
    lowered = lower(document, table.error if table else engine_error)
    needed = bool(lowered.watched) or _may_be_open(document)
    follower = JsonCheck(Rules(document, lowered.watched))
    return CompiledGrammar(
        lowered.text,
        check=follower if needed else None,
        guide=None if needed else lambda: follower,
        verify=lambda answer: verify(document, answer),
    )


def verify(document: Document, answer: str) -> None:
    """Raise ContractError unless *answer* is JSON that keeps the schema."""
    try:
        value = json.loads(answer, object_pairs_hook=_pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ContractError(
            "The answer is not JSON.", str(error), "Raise the limit of tokens, or ask again."
        ) from error
    try:
        place, keyword = _mistake(document, value)
    except RecursionError:
        place, keyword = "", "its references"
    if keyword:
        raise ContractError(
            "The answer does not keep its schema.",
            f"At {place or 'its root'} it breaks `{keyword}`.",
            "Ask again, or simplify the schema.",
        )


def _mistake(document: Document, value: Any) -> tuple[str, str]:
    """Return where *value* breaks the schema, and the keyword, which is empty if it does not."""
    validator = Validator(document)
    if validator.judge(document.root, value) is True:
        return "", ""
    return validator.explain(document.root, value)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object names a property twice")
    return made


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


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
