"""What is asked: earlier turns, attached files, piped text and the question, put together."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expert.cli import messages, stdin
from expert.collecting import Deadline
from expert.errors import UsageError
from expert.types import Attachment, Message

if TYPE_CHECKING:
    from expert.history.records import Recorded


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what comes before it."""

    text: str
    before: tuple[Message, ...] = ()
    """The system prompt and earlier turns."""
    attachments: tuple[Attachment, ...] = ()
    conversation: int | None = None
    """The recorded conversation that it goes on with."""
    previous: str | None = None
    """The expert that answered its last turn."""


def read_question(args: argparse.Namespace, deadline: Deadline) -> Question:
    """Read everything the command line names, and standard input.

    Raises:
        UsageError: there is no question, or something is not text.
        NotFoundError: a file, template or conversation does not exist.
    """
    more = bool(args.files or args.template)
    text = typed_and_piped(args.prompt, deadline, wanted=not args.no_stdin, more=more)
    system = args.system or ""
    files = tuple(_attachment(name) for name in args.files)
    if args.template:
        own, text = _filled(args, text)
        system = system or own
    elif args.params:
        raise UsageError(
            "-p fills the holes of a template.", "There is no template.", "Add: -t NAME"
        )
    if not text and not files:
        raise UsageError(
            "The prompt is empty.",
            "Neither the command line nor standard input holds any text.",
            'Ask something: expert ask "What is a prime number?"',
        )
    before: tuple[Message, ...] = ()
    conversation = previous = None
    if args.go_on or args.cid is not None:
        conversation, turns = _earlier(args.cid)
        before, previous = _told(turns)
        if system:
            before = tuple(message for message in before if message.role != "system")
    if system:
        before = (Message("system", _whole(system)), *before)
    return Question(text, before, files, conversation, previous)


def typed_and_piped(typed: str | None, deadline: Deadline, *, wanted: bool, more: bool) -> str:
    """Return the piped text, unless it is not *wanted*, and the question, in this order.

    *more*: something else is asked as well, so that a pipe that stays silent deserves a hint.

    Raises:
        UsageError: it is not text.
    """
    forced = typed == "-"
    parts = [] if forced or typed is None else [_whole(typed)]
    if forced or (wanted and stdin.piped()):
        parts.insert(0, stdin.read(deadline, hint=bool(parts or more)))
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def _whole(text: str) -> str:
    """Return an argument, which the shell may have filled with any bytes.

    Raises:
        UsageError: it is not UTF-8.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            "The prompt is not valid UTF-8.",
            f"Character {error.start} of it is a stray byte.",
            "Convert it first, for example with `iconv -t utf-8`.",
        ) from error
    return text


def _attachment(name: str) -> Attachment:
    from expert.attachments import read_attachment

    return read_attachment(Path(name))


def _filled(args: argparse.Namespace, text: str) -> tuple[str, str]:
    """Return the system prompt and the prompt of the template that was asked for."""
    from expert.prompts import load_template

    values = {_whole(hole): _whole(value) for hole, value in args.params}
    return load_template(args.template).fill(text, values)


def _earlier(name: str | None) -> "tuple[int, list[Recorded]]":
    """Return a recorded conversation's number and its turns."""
    from expert.history.history import user_history

    history = user_history()
    conversation = history.find(name)
    if messages.on_screen():
        messages.dim(f"expert: going on with {conversation.id}, {conversation.title}\n")
    return conversation.id, history.turns(conversation.id)


def _told(turns: "Sequence[Recorded]") -> tuple[tuple[Message, ...], str | None]:
    """Return the messages of recorded turns, and the expert that answered the last of them."""
    from expert.history.reading import as_messages

    experts = turns[-1].turn.experts if turns else ()
    return as_messages(turns), next((expert.name for expert in experts), None)
