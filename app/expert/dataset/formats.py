"""The common forms of rows, each brought into ours; which one a file has is told by its fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from expert.dataset.rows import HALF, KEYS, Row, checked

Fields = dict[str, Any]
Format = Callable[[Fields], Row]
"""Takes what it understands out of the fields; the rest stays for `Row.extra`."""
USERS, ANSWERERS = ("user", "human"), ("assistant", "gpt", "chatgpt", "model", "bot", "bing")


def text_of(value: object, name: str) -> str:
    """Return a value as text: objects and lists as JSON, nothing as nothing.

    Raises:
        ValueError: it cannot be text.
    """
    if value is None or value != value:  # a missing value, which tables write as NaN
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        raise ValueError(f"the field {name!r} holds bytes, not text")
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        return str(value)


def take(fields: Fields, *names: str) -> str:
    """Take the first of these fields that is there, as text."""
    for name in names:
        if name in fields:
            return text_of(fields.pop(name), name)
    return ""


def rows(fields: Fields) -> Row:
    """Our own form; `completion`, `response` and `output` are other words for the answer."""
    if "text" in fields and "prompt" not in fields:
        return plain(fields)
    return Row(
        prompt=take(fields, "prompt"),
        answer=take(fields, "answer", "completion", "response", "output"),
        rejected=take(fields, "rejected") if fields.get("rejected") is not None else None,
        **_common(fields),
    )


def alpaca(fields: Fields) -> Row:
    """`instruction`, `input` and `output` (Taori et al. 2023, Stanford Alpaca)."""
    instruction, given = take(fields, "instruction"), take(fields, "input")
    prompt = f"{instruction}\n\n{given}" if given.strip() else instruction
    return Row(prompt=prompt, answer=take(fields, "output", "response"), **_common(fields))


def chat(fields: Fields) -> Row:
    """`conversations` of ShareGPT (`from`, `value`) or `messages` (`role`, `content`)."""
    name = "conversations" if "conversations" in fields else "messages"
    turns = _turns(fields.pop(name), name)
    system = take(fields, "system")
    if turns and turns[0][0] == "system":
        system = turns.pop(0)[1]
    expected = ("user", "assistant") * (len(turns) // 2)
    if not turns or tuple(role for role, _ in turns) != expected:
        raise ValueError("its turns are not pairs of a question and an answer")
    texts = [text for _, text in turns]
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    common = _common(fields) | {"system": system, "history": tuple(pairs[:-1])}
    return Row(prompt=pairs[-1][0], answer=pairs[-1][1], **common)


def preference(fields: Fields) -> Row:
    """`prompt`, `chosen` and `rejected`; each text or a list of messages, as TRL has them."""
    prompt = _last_text(fields.pop("prompt", ""), "prompt")
    chosen, rejected = fields.pop("chosen"), fields.pop("rejected")
    if not prompt and isinstance(chosen, list) and len(chosen) > 1:
        prompt = _last_text(chosen[:-1], "chosen")
    return Row(
        prompt=prompt,
        answer=_last_text(chosen, "chosen"),
        rejected=_last_text(rejected, "rejected"),
        **_common(fields),
    )


def plain(fields: Fields) -> Row:
    """`text` alone, learnt whole."""
    return Row(text=take(fields, "text"), group=take(fields, "group"))


FORMATS: dict[str, Format] = {
    "rows": rows,
    "alpaca": alpaca,
    "sharegpt": chat,
    "preference": preference,
    "text": plain,
}
_MARKS: dict[str, tuple[frozenset[str], ...]] = {
    "sharegpt": (frozenset(("conversations",)), frozenset(("messages",))),
    "preference": (frozenset(("chosen", "rejected")),),
    "alpaca": (frozenset(("instruction", "output")), frozenset(("instruction", "response"))),
    "rows": tuple(
        frozenset(("prompt", answer)) for answer in ("answer", "completion", "response", "output")
    ),
    "text": (frozenset(("text",)),),
}


def recognise(fields: Fields) -> str | None:
    """Return the name of the form that these fields show, None if no form has them."""
    there = set(fields)
    return next(
        (name for name, marks in _MARKS.items() if any(mark <= there for mark in marks)), None
    )


def to_row(form: str, fields: Fields) -> Row:
    """Return a row of a named form.

    Raises:
        ValueError: it is none; in a few words why.
    """
    left = dict(fields)
    try:
        row = FORMATS[form](left)
    except KeyError as error:
        raise ValueError(f"it has no field {error.args[0]!r}") from error
    extra = {name: value for name, value in left.items() if name not in KEYS and value == value}
    return checked(replace(row, extra=_kept(extra)) if extra else row)


def _kept(extra: Fields) -> Fields:
    """Return fields that we do not read as JSON can carry them: dates, for one, as text."""
    text = json.dumps(extra, ensure_ascii=False, allow_nan=False, default=str)
    if HALF.search(text):
        raise ValueError("it holds half a Unicode character")
    kept: Fields = json.loads(text)
    return kept


def _common(fields: Fields) -> dict[str, Any]:
    history = fields.pop("history", None) or ()
    if not isinstance(history, list | tuple) or any(
        not isinstance(turn, list | tuple) or len(turn) != 2 for turn in history
    ):
        raise ValueError("its history is not a list of [prompt, answer]")
    turns = tuple((text_of(a, "history"), text_of(b, "history")) for a, b in history)
    return {"system": take(fields, "system"), "group": take(fields, "group"), "history": turns}


def _turns(value: object, name: str) -> list[tuple[str, str]]:
    """Return roles and texts of a list of messages."""
    if not isinstance(value, list):
        raise ValueError(f"its {name} are no list")
    return [_turn(message, name) for message in value]


def _turn(message: object, name: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise ValueError(f"one of its {name} is no object")
    role = text_of(message.get("from", message.get("role")), "role").lower()
    text = text_of(message.get("value", message.get("content")), "content")
    role = "user" if role in USERS else "assistant" if role in ANSWERERS else role
    if role not in ("user", "assistant", "system"):
        raise ValueError(f"the role {role!r} is none of system, user and assistant")
    return role, text


def _last_text(value: object, name: str) -> str:
    """Return a text, or what the last of several messages says."""
    if isinstance(value, list):
        return _turn(value[-1], name)[1] if value else ""
    return text_of(value, name)
