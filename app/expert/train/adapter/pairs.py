"""Rows of preferences in the forms that are in use: a question, and two answers to it.

| form | `prompt` | `chosen`, `rejected` |
|---|---|---|
| plain | text (and `system`, if there is one) | text |
| conversation | list of messages | one message of the assistant, in a list |
| TRL's implicit prompt | none | whole conversations that differ in the last message |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expert.dataset.files import json_lines, opened
from expert.dataset.rows import HALF
from expert.errors import VerificationError
from expert.train.tokenizer import START, STOP

ROLES = ("system", "user", "assistant")
Messages = list[tuple[str, str]]


@dataclass(frozen=True)
class Pair:
    """One question with the better and the worse answer."""

    messages: tuple[tuple[str, str], ...]
    """The conversation up to the answer: role and text of each message."""
    chosen: str
    rejected: str

    @property
    def opening(self) -> str:
        """The conversation as the template writes it, up to where the answer begins."""
        told = "".join(f"{START}{role}\n{text}{STOP}\n" for role, text in self.messages)
        return f"{told}{START}assistant\n"

    @property
    def question(self) -> str:
        """The last message before the answer."""
        return self.messages[-1][1]


def read_pairs(path: Path) -> Iterator[Pair]:
    """Yield the pairs of a file of JSON Lines, plain or compressed (`.zst`, `.gz`).

    Raises:
        NotFoundError: the file cannot be read.
        VerificationError: it is cut or damaged, or a row is; the error names its line.
    """
    with opened(path) as stream:
        for found in json_lines(stream):
            try:
                if found.problem:
                    raise ValueError(found.problem)
                pair = pair_of(found.fields)
            except (ValueError, KeyError) as error:
                lacking = isinstance(error, KeyError)
                why = f"there is no {error.args[0]!r}" if lacking else str(error)
                raise VerificationError(
                    f"Line {found.number} of {path} is not a pair of answers.",
                    f"{why}.".replace("..", "."),
                    "A row has prompt, chosen and rejected. Correct it, or take it out.",
                ) from error
            yield pair


def pair_of(row: dict[str, Any]) -> Pair:
    """Return the pair in a row of any of the forms.

    Raises:
        ValueError, KeyError: it is in none of them.
    """
    better, worse = said(row["chosen"], "assistant"), said(row["rejected"], "assistant")
    if "prompt" in row:
        before = said(row["prompt"], "user")
        if row.get("system"):
            before = [*said(row["system"], "system"), *before]
    else:
        before, better, worse = better[:-1], better[-1:], worse[len(better) - 1 :]
        if said(row["rejected"], "assistant")[: len(before)] != before:
            raise ValueError("the two conversations do not begin alike")
    if not before or before[-1][0] != "user":
        raise ValueError("there is no question before the answers")
    if [role for role, _ in (*better, *worse)] != ["assistant"] * 2:
        raise ValueError("chosen and rejected are not one answer each")
    chosen, rejected = better[0][1], worse[0][1]
    if chosen == rejected:
        raise ValueError("both answers are the same")
    return Pair(tuple(before), chosen, rejected)


def said(value: Any, role: str) -> Messages:
    """Return text, by *role*, or a list of messages, as roles and stripped texts."""
    messages = [{"role": role, "content": value}] if isinstance(value, str) else value
    if not isinstance(messages, list):
        raise ValueError("an answer or a question is neither text nor a list of messages")
    found = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise ValueError("a message has no content")
        if message.get("role") not in ROLES or not message["content"].strip():
            raise ValueError("a message is empty, or its role is not system, user or assistant")
        if HALF.search(message["content"]):
            raise ValueError("it holds half a Unicode character")
        found.append((str(message["role"]), message["content"].strip()))
    return found
