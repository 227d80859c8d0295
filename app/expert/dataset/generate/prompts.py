"""What a request says: it depends on the plan and the request's number alone."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from expert.dataset.generate.plan import Plan
from expert.dataset.rows import Row

SYSTEM = (
    "You write rows of a data set for training a language model. Write one JSON object a line and "
    "nothing else: no numbering, no comments, no code fences."
)


def request(plan: Plan, number: int) -> str:
    """Return the text of request *number*."""
    wanted = plan.wanted
    rng = random.Random(f"{plan.identity} {number}")
    parts = [wanted.instruction.strip()]
    if wanted.topics:
        parts.append(f"Topic: {wanted.topics[number % len(wanted.topics)]}")
    if plan.schema_text:
        parts.append(f"Schema:\n{plan.schema_text.strip()}")
    if shots := rng.sample(plan.seeds, min(wanted.shots, len(plan.seeds))):
        parts.append("Examples of the form, not to be repeated:\n" + _lines(shots))
    names = '"prompt" and "answer"'
    if wanted.kind == "preference":
        names = '"prompt", "answer" (the better one) and "rejected" (a plausible worse one)'
    parts.append(
        f"Write {wanted.rows_a_request} new rows that differ in subject, length and wording "
        f"(variation {rng.randrange(10**6)}). Each is a JSON object with {names}, both text."
    )
    return "\n\n".join(parts)


def _lines(rows: Sequence[Row]) -> str:
    names = ("prompt", "answer", "rejected")
    shown = ({k: v for k, v in row.fields().items() if k in names} for row in rows)
    return "\n".join(json.dumps(fields, ensure_ascii=False) for fields in shown)
