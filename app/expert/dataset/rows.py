"""The one form of a row: a conversation, a preference, or plain text.

Written as a JSON object a line: `prompt` and `answer`, optionally `system`, `history` (earlier
turns, each `[prompt, answer]`), `rejected` (a worse answer), `group` (rows that belong together)
and any further fields; or `text` alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Literal

Kind = Literal["conversation", "preference", "text"]
HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON can hold and no tokenizer takes."""
KEYS = ("prompt", "answer", "system", "history", "rejected", "group", "text")


@dataclass(frozen=True, slots=True)
class Row:
    """One row."""

    prompt: str = ""
    answer: str = ""
    system: str = ""
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns: what was asked, and the answer."""
    rejected: str | None = None
    """The worse answer of a preference pair; `answer` is the better one."""
    text: str | None = None
    """Plain text, learnt whole; the other texts are empty then."""
    group: str = ""
    """What a split keeps together."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields of other names, kept as they are: a schema, a database, a difficulty."""

    @property
    def kind(self) -> Kind:
        """Which of the three it is."""
        if self.text is not None:
            return "text"
        return "conversation" if self.rejected is None else "preference"

    @property
    def asked(self) -> str:
        """Everything before the answer, as one text."""
        turns = (part for turn in self.history for part in turn)
        return "\n".join(part for part in (self.system, *turns, self.prompt) if part)

    @property
    def content(self) -> str:
        """Everything there is to read or learn, as one text."""
        if self.text is not None:
            return self.text
        return "\n".join(filter(None, (self.asked, self.answer, self.rejected)))

    @property
    def key(self) -> str:
        """The group, or what stands for it: rows that ask the same are always one group."""
        return self.group or f"asked:{digest(self.text or self.asked)}"

    def with_extra(self, **fields: Any) -> Row:
        """Return the row with further fields."""
        return replace(self, extra={**self.extra, **fields})

    def fields(self) -> dict[str, Any]:
        """Return the row as it is written, without what is empty."""
        if self.text is not None:
            made: dict[str, Any] = {"text": self.text}
        else:
            made = {"prompt": self.prompt, "answer": self.answer}
        if self.system:
            made["system"] = self.system
        if self.history:
            made["history"] = [list(turn) for turn in self.history]
        if self.rejected is not None:
            made["rejected"] = self.rejected
        if self.group:
            made["group"] = self.group
        return {**made, **self.extra}

    def line(self) -> bytes:
        """Return the row as a line of a file."""
        return json.dumps(self.fields(), ensure_ascii=False).encode() + b"\n"


def normal(text: str) -> str:
    """Return text with equal case and spacing, for comparing."""
    return " ".join(text.casefold().split())


def digest(text: str) -> str:
    """Return a short hash of a text, whatever its case and spacing."""
    return sha256(normal(text).encode()).hexdigest()[:16]


def checked(row: Row) -> Row:
    """Return *row* if it can be learnt from.

    Raises:
        ValueError: it says why not, in a few words.
    """
    turns = [part for turn in row.history for part in turn]
    if row.text is not None:
        wanted = {"text": row.text}
    else:
        wanted = {"prompt": row.prompt, "answer": row.answer}
        if row.rejected is not None:
            wanted["rejected answer"] = row.rejected
    for name, text in wanted.items():
        if not text.strip():
            raise ValueError(f"the {name} is empty")
    for text in (*wanted.values(), row.system, row.group, *turns):
        if "\0" in text:
            raise ValueError("it holds a NUL character")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("it holds half a Unicode character") from error
    return row
