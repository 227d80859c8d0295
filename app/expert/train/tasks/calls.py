"""Text to JSON: intents with slots (SNIPS) and function calls against a given signature (SGD)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from expert.train.examples import Example, Source, single
from expert.train.rows import Row, drawn, read_rows
from expert.train.split import dialogue_group, file_group, is_heldout
from expert.train.tasks.swapping import Values, swapped

TEMPLATES = (
    "Intent and slots as JSON: {text}",
    "Extract the intent and slots as JSON.\n{text}",
    "{text}\n\nReturn JSON with the intent and the slots.",
    "JSON: {text}",
)
LONGEST_DIALOGUE = 700  # characters, cut at the front
TODAY = "2019-03-01"  # the day every SGD dialogue takes place


def compact(value: object) -> str:
    """Return JSON without spaces, keys in the given order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def snips(source: Source) -> Iterator[Example]:
    """Yield one request to a voice assistant as its intent and slots.

    The first variant has the requests as they are; in the others those that are learnt from have
    other values in their slots.
    """
    validation = source.task("json/snips_valid")
    training = list(read_rows(source.task("json/snips_train")))
    values = Values.of(
        (row["text"], row["json"]["slots"])
        for row in training
        if not is_heldout("json", file_group("snips", row["text"], validation, "text"))
    )
    for row in (*training, *read_rows(validation)):
        text, said = row["text"], row["json"]
        rng = drawn(text, source.variant)
        template = rng.choice(TEMPLATES)
        group = file_group("snips", text, validation, "text")
        if source.variant and not is_heldout("json", group):
            text, slots = swapped(text, said["slots"], values, rng)
            said = {**said, "slots": slots}
            group = file_group("snips", text, validation, "text")
        yield single("json", group, template.format(text=text), compact(said))


def signature(schema: Any, intent: Any) -> str:
    """Return `Name(argument, choice: a|b)` for one intent of an SGD service."""
    slots = {slot["name"]: slot for slot in schema["slots"]}
    parts = []
    for name in [*intent["required_slots"], *intent["optional_slots"]]:
        slot = slots[name]
        few = slot["is_categorical"] and len("|".join(slot["possible_values"])) <= 40
        parts.append(f"{name}: {'|'.join(slot['possible_values'])}" if few else name)
    return f"{intent['name']}({', '.join(parts)})"


def call_schema(schema: Any) -> dict[str, Any]:
    """Return the JSON Schema of a call of one of a service's functions, its arguments by name."""
    slots = {slot["name"]: slot for slot in schema["slots"]}
    return {"anyOf": [_call_of(intent, slots) for intent in schema["intents"]]}


def _call_of(intent: Any, slots: dict[str, Any]) -> dict[str, Any]:
    names = sorted([*intent["required_slots"], *intent["optional_slots"]])
    arguments = {
        "type": "object",
        "properties": {name: _value(slots[name]) for name in names},
        "required": sorted(intent["required_slots"]),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"name": {"const": intent["name"]}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _value(slot: Any) -> dict[str, Any]:
    if slot["is_categorical"]:
        return {"enum": slot["possible_values"]}
    return {"type": "string", "minLength": 1}


def _prompt(row: Row, schema: Any, variant: int) -> str:
    rng = drawn(row["dialogue"][-1]["content"], variant)
    functions = [signature(schema, intent) for intent in schema["intents"]]
    rng.shuffle(functions)
    spoken = "\n".join(f"{turn['role']}: {turn['content']}" for turn in row["dialogue"])
    if len(spoken) > LONGEST_DIALOGUE:
        spoken = "..." + spoken[-LONGEST_DIALOGUE:]
    listed = "\n".join(functions)
    return f"Functions:\n{listed}\nToday is {TODAY}.\n\n{spoken}\n\nCall the right function. JSON:"


def sgd(source: Source) -> Iterator[Example]:
    """Yield the function call that the last turn of a dialogue asks for."""
    schemas = json.loads(
        (source.data / "experts/json/sgd_schemas.json").read_text(encoding="utf-8")
    )
    forms = {name: ("schema", compact(call_schema(schema))) for name, schema in schemas.items()}
    for row in read_rows(source.task("json/sgd_calls_train")):
        service = row["service"]
        group = dialogue_group(service, row["dialogue"][0]["content"])
        prompt = _prompt(row, schemas[service], source.variant)
        yield single("json", group, prompt, compact(row["call"]), forms[service])
