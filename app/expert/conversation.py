"""Conversations from Python: turns that belong together, saved and taken back.

from expert import Assistant, Conversation

with Assistant() as assistant:
    talk = Conversation(assistant, "Be brief.")
    print(talk.ask("What is a river?").text)
    print(talk.ask("And a lake?").text)
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from expert.assistant import Assistant
from expert.collecting import Asked
from expert.errors import ExpertError, NotFoundError, ResourceError, UsageError, VerificationError
from expert.types import Done, Message


class Conversation:
    """Turns that belong together; what was computed for earlier ones is not computed again."""

    def __init__(self, assistant: Assistant, system: str | None = None) -> None:
        self._assistant = assistant
        self.messages: list[Message] = [Message("system", system)] if system else []
        self.number: int | None = None
        """Which conversation of the history it is; None: not recorded yet."""
        self._previous: str | None = None

    def ask(self, prompt: str, **options: Any) -> Asked:
        """Add a turn; *options* are those of `Request`. The turn counts once it was read."""
        turns = [*self.messages, Message("user", prompt)]
        place = {"conversation": self.number, "previous": self._previous}
        options = {"truncate": True, **place, **options}

        def keep(done: Done) -> None:
            self.messages = [*turns, Message("assistant", done.answer.text)]
            self.number = done.conversation
            self._previous = next((use.name for use in done.answer.experts), None)

        return self._assistant.ask(turns, **options).when_done(keep)

    def save(self, path: Path) -> None:
        """Write the turns to *path*, and beside it, as `.kv`, what was computed for them.

        Raises:
            ResourceError: a file cannot be written.
            UsageError: nothing was asked yet, or *path* names no file.
        """
        if not path.name:
            raise UsageError(f"{path} is a folder.", "", "Add the name of a file.")
        # Plain json, because an answer may hold bytes that are no characters (ADR 4).
        text = json.dumps([asdict(message) for message in self.messages], indent=2)
        self._assistant.resident.save_state(path.with_suffix(".kv"))
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_text(text + "\n")
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise ResourceError(
                f"The conversation could not be saved to {path}.",
                error.strerror or str(error),
                "Choose another place, or free some disk space.",
            ) from error

    def load(self, path: Path) -> str | None:
        """Take back the turns of *path*; return why they must be computed again, if they must.

        Raises:
            NotFoundError: there is no such file.
            VerificationError: it holds no conversation.
        """
        try:
            self.messages = msgspec.convert(json.loads(path.read_text()), list[Message])
        except OSError as error:
            raise NotFoundError(
                f"The conversation {path} cannot be read.", error.strerror or "", "Check the path."
            ) from error
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise VerificationError(
                f"The file {path} holds no conversation.", str(error), "Choose another file."
            ) from error
        self.number = self._previous = None
        try:
            experts = self._assistant.experts or ()
            self._assistant.resident.load_state(path.with_suffix(".kv"), experts)
        except ExpertError as error:
            return error.why or error.what
        return None
