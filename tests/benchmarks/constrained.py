"""Many answers under many forms with any sampling settings: every one valid, or a clear error.

Run as `python -m benchmarks.constrained [COUNT] [MODEL]` in the folder of the tests.
"""

import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expert import resources
from expert.assistant import Assistant
from expert.config import Config
from expert.errors import ContractError, ExpertError
from expert.forms import byte_table, read_grammar, read_schema, shipped_grammars

_WORD = {"type": "string", "minLength": 1, "maxLength": 12}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 999}
SCHEMAS: list[dict[str, Any]] = [
    {"type": "boolean"},
    {"enum": ["low", "normal", "high"]},
    {"const": {"done": True}},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 100},
    {"type": ["string", "null"], "maxLength": 20},
    {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "email", "maxLength": 40},
    {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 5},
    {"type": "array", "items": _WORD, "maxItems": 4, "uniqueItems": True},
    {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "maxItems": 3,
     "uniqueItems": True},
    {"type": "array", "items": _NUMBER, "contains": {"const": 7}, "maxItems": 5},
    {"type": "array", "prefixItems": [_WORD, _NUMBER], "items": False, "minItems": 2},
    {"type": "object", "properties": {"name": _WORD, "age": _NUMBER}, "required": ["name", "age"]},
    {"type": "object", "properties": {"name": _WORD, "age": _NUMBER},
     "additionalProperties": False},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["a"],
     "additionalProperties": False, "$defs": {"n": {"type": "null"}}},
    {"type": "object", "additionalProperties": _NUMBER, "maxProperties": 3},
    {"type": "object", "properties": {"kind": {"enum": ["x", "y"]}}, "required": ["kind"],
     "if": {"properties": {"kind": {"const": "x"}}},
     "then": {"properties": {"size": _NUMBER}, "required": ["size"]},
     "additionalProperties": True, "maxProperties": 3},
    {"type": "object", "properties": {"first": _WORD, "last": _WORD}, "minProperties": 1,
     "additionalProperties": False},
    {"type": "object", "properties": {"card": _NUMBER, "owner": _WORD},
     "dependentRequired": {"card": ["owner"]}, "additionalProperties": False},
    {"oneOf": [{"type": "integer", "maximum": 9}, {"type": "string", "maxLength": 5}]},
    {"anyOf": [_NUMBER, {"type": "array", "items": _NUMBER, "maxItems": 3}]},
    {"allOf": [{"type": "integer", "minimum": 10}, {"maximum": 99}]},
    {"not": {"type": "object"}, "type": ["integer", "boolean", "object"]},
    {"type": "object", "properties": {"point": {"type": "object", "properties": {
        "x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x", "y"],
        "additionalProperties": False}}, "required": ["point"], "additionalProperties": False},
    {"type": "object", "properties": {"items": {"type": "array", "maxItems": 3, "items": {
        "type": "object", "properties": {"sku": _WORD, "count": _NUMBER},
        "required": ["sku", "count"], "additionalProperties": False}}}, "required": ["items"],
     "additionalProperties": False},
    {"type": "object", "patternProperties": {"^x-": _WORD}, "additionalProperties": False,
     "minProperties": 1, "maxProperties": 2},
    {"type": "object", "properties": {"tree": {"$ref": "#/$defs/node"}}, "required": ["tree"],
     "additionalProperties": False, "$defs": {"node": {"type": "object", "properties": {
         "value": _NUMBER, "next": {"$ref": "#/$defs/node"}}, "required": ["value"],
         "additionalProperties": False}}},
]  # fmt: skip
"""Small schemas of every kind: exact ones, and ones that need a check beside the grammar."""
QUESTIONS = ("Describe a person.", "Give me one.", "List all orders of last week.", "Why?", "42")
LIMIT = 256


@dataclass
class Tally:
    """How many answers were what."""

    valid: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """By message."""
    by_form: Counter[str] = field(default_factory=Counter)
    """Errors by form."""

    @property
    def count(self) -> int:
        return self.valid + self.errors.total()


def forms() -> list[dict[str, Any]]:
    """Return the options of a request for each form there is: shipped grammars and schemas."""
    shipped = [{"grammar": name} for name in shipped_grammars()]
    return shipped + [{"schema": schema} for schema in SCHEMAS]


def answer_many(assistant: Assistant, count: int, seed: int = 0) -> Tally:
    """Ask *count* questions, each in one of the forms, and judge what comes.

    Raises:
        ContractError: something invalid came out as an answer.
    """
    draw = random.Random(seed)
    table = byte_table()
    tally = Tally()
    everything = forms()
    for number in range(count):
        form = everything[number % len(everything)]
        judge = read_grammar(form["grammar"]) if "grammar" in form else read_schema(form["schema"])
        options: dict[str, Any] = {
            "temperature": draw.choice([0.0, 0.3, 0.7, 1.0, 1.5, 3.0]),
            "top_k": draw.choice([None, 1, 5, 40]),
            "top_p": draw.choice([None, 0.3, 0.9, 0.99]),
            "min_p": draw.choice([None, 0.05, 0.5]),
            "repeat_penalty": draw.choice([None, 1.1, 1.5]),
            "seed": draw.randrange(1 << 32),
        }
        asked = assistant.ask(
            draw.choice(QUESTIONS), experts=(), record=False, max_tokens=LIMIT, **form, **options
        )
        try:
            text = asked.text
        except ContractError as error:
            tally.errors[error.what] += 1
            tally.by_form[str(form)[:70]] += 1
            continue
        judge.check(text, table)
        tally.valid += 1
    return tally


def main(arguments: list[str]) -> int:
    """Answer and print the tally; the exit code says whether at least 95 % were valid."""
    count = int(arguments[0]) if arguments else 2000
    model = Path(arguments[1]) if len(arguments) > 1 else resources.pocket()
    start = time.monotonic()
    with Assistant(model, Config(threads=1, history=False)) as assistant:
        tally = answer_many(assistant, count)
    print(f"{tally.valid} of {tally.count} valid in {time.monotonic() - start:.0f} s, 0 invalid")
    for message, times in tally.errors.most_common():
        print(f"{times:5} {message}")
    for form, times in tally.by_form.most_common(12):
        print(f"{times:5} {form}")
    return 0 if tally.valid >= 0.95 * tally.count else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ExpertError as failure:
        sys.exit(str(failure))
