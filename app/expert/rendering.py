"""From the turns of a request to the tokens of a prompt, whole or with the oldest turns dropped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from expert.errors import ExpertError, InputTooLongError
from expert.resident import Resident
from expert.screen import one_line
from expert.tables import with_tables
from expert.types import Attachment, Message, Notice, Request

if TYPE_CHECKING:
    from expert.grammar.sql.schema import Schema


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt as the model reads it."""

    messages: Sequence[Message]
    """The turns that were kept."""
    prompt: list[int]
    """Tokens."""
    text: str
    """The same as text, with the template's markup."""
    system_tokens: int
    """Tokens at the beginning that a context shift must keep."""
    notices: Sequence[Notice] = ()

    @property
    def reasoning_is_open(self) -> bool:
        """Whether the template itself begins the reasoning."""
        return self.text.rstrip().endswith("<think>")


def render(request: Request, resident: Resident, tables: "Schema | None" = None) -> Rendered:
    """Apply the model's own chat template; with `truncate`, whole turns go, oldest first.

    *tables* that the answer is held to stand before the question, unless it shows them itself. The
    system prompt stays, and of the last turn as much of its end as there is room for.

    Raises:
        InputTooLongError: the turns do not fit, and may not be truncated.
    """
    whole = with_attachments(with_tables(request.messages, tables), request.attachments)
    turns = list(whole)
    first = 1 if turns and turns[0].role == "system" else 0
    while True:
        prompt = resident.template.tokens(turns, think=request.think)
        if len(prompt) < resident.limit:
            break
        if not request.truncate:
            raise InputTooLongError(
                f"The input has {len(prompt)} tokens; the context holds {resident.limit}.",
                "The answer needs room in the same context.",
                "Shorten the input, or allow it to be truncated.",
            )
        if len(turns) > first + 1:
            del turns[first : min(first + 2, len(turns) - 1)]
        else:
            turns[-1] = _shortened(turns[-1], len(prompt), resident.limit)
    text = resident.model.vocabulary.decode(prompt).decode("utf-8", "replace")
    notices = []
    if dropped := len(whole) - len(turns):
        words = f"The oldest {dropped} turns were dropped to fit the context."
        notices.append(Notice(words, "warning"))
    if cut := len(whole[-1].content) - len(turns[-1].content):
        words = f"The first {cut} characters of the input were dropped to fit the context."
        notices.append(Notice(words, "warning"))
    return Rendered(turns, prompt, text, _system_tokens(turns, resident), notices)


def _shortened(turn: Message, tokens: int, limit: int) -> Message:
    """Return the end of a turn whose prompt of *tokens* is too long, a quarter left to the answer.

    Raises:
        InputTooLongError: nothing of it fits.
    """
    keep = min(len(turn.content) * (limit * 3 // 4) // tokens, len(turn.content) - 1)
    if keep < 1:
        raise InputTooLongError(
            f"The context of {limit} tokens has no room for the question.",
            "The system prompt takes all of it.",
            "Shorten the system prompt.",
        )
    return replace(turn, content=turn.content[-keep:])


def _system_tokens(turns: Sequence[Message], resident: Resident) -> int:
    if not turns or turns[0].role != "system":
        return 0
    try:
        return len(resident.template.tokens(turns[:1], answer=False))
    except ExpertError:  # some templates refuse a conversation without a user
        return 0


def with_attachments(
    messages: Sequence[Message], attachments: Sequence[Attachment]
) -> list[Message]:
    """Return the turns with the files before the last one, each fenced and named."""
    turns = list(messages)
    if attachments and turns:
        parts = [*map(_fenced, attachments), turns[-1].content]
        turns[-1] = replace(turns[-1], content="\n\n".join(parts))
    return turns


def _fenced(file: Attachment) -> str:
    """Return a file in a fence that nothing in it can close (CommonMark 0.31, section 4.5)."""
    longest = max((len(run) for run in re.findall(r"^ *(`+)", file.text, re.MULTILINE)), default=0)
    fence = "`" * max(3, longest + 1)
    body = file.text if file.text.endswith("\n") or not file.text else f"{file.text}\n"
    return f"{one_line(file.name)}:\n{fence}\n{body}{fence}"
