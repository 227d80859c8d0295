"""The Python interface: a base that stays, experts that come and go, conversations.

from expert import Session

with Session() as session:
    session.attach_experts("json.gguf", ("style.gguf", 0.5))
    for text in session.generate("Book a table for two"):
        print(text, end="")
    session.release()
    with session.conversation("Be brief.") as talk:
        print(talk.ask("What is a river?").text)
        print(talk.ask("And a lake?").text)
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self, TypeAlias

import msgspec

from expert.assistant import Assistant
from expert.closing import Closing
from expert.config import load_config
from expert.errors import ExpertError, NotFoundError, ResourceError, VerificationError
from expert.models import find_expert, find_model
from expert.types import Answer, Delta, Done, ExpertChoice, Message, Request

Expert: TypeAlias = str | Path | tuple[str | Path, float]


class Generated:
    """An answer under way: iterate over its text, or take it whole."""

    def __init__(self, assistant: Assistant, request: Request) -> None:
        self._events = assistant.ask(request)
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        for event in self._events:
            if isinstance(event, Delta) and not event.reasoning:
                yield event.text
            elif isinstance(event, Done):
                self._answer = event.answer

    @property
    def answer(self) -> Answer:
        """The finished answer; waits for it."""
        for _ in self:
            pass
        assert self._answer
        return self._answer

    @property
    def text(self) -> str:
        """The whole text; waits for it."""
        return self.answer.text


class Session(Closing):
    """One resident base model and the experts attached to it. Safe to use from many threads.

    Raises:
        ExpertError: the model does not exist, or a setting is wrong.
    """

    def __init__(self, model: str | Path | None = None, **settings: Any) -> None:
        """*model* is a name or a path; *settings* are those of `expert.config.Config`."""
        name = None if model is None else str(model)
        config = load_config({**settings, "model": name})
        self._assistant = Assistant(find_model(config.model).path, config)
        self._experts: tuple[ExpertChoice, ...] = ()

    @property
    def experts(self) -> tuple[ExpertChoice, ...]:
        """Who answers now; empty: the base itself."""
        return self._experts

    def attach_experts(self, *experts: Expert) -> None:
        """Let *experts* answer from now on, instead of whoever did; each a file, or (file, scale).

        Raises:
            NotFoundError: there is no such adapter.
        """
        self._experts = tuple(_choice(expert) for expert in experts)

    def release(self) -> None:
        """Let the base itself answer again."""
        self._experts = ()

    def generate(self, prompt: str | Sequence[Message], **options: Any) -> Generated:
        """Answer a prompt or a conversation; *options* are those of `expert.types.Request`."""
        messages = [Message("user", prompt)] if isinstance(prompt, str) else prompt
        request = Request(messages, self._experts)
        return Generated(self._assistant, replace(request, **options))

    def conversation(self, system: str | None = None) -> "Conversation":
        """Return a conversation that remembers its turns."""
        return Conversation(self, system)

    @property
    def assistant(self) -> Assistant:
        """The main path underneath, for events instead of text."""
        return self._assistant

    def close(self) -> None:
        """Free the base and everything attached."""
        self._assistant.close()


class Conversation:
    """Turns that belong together; what was computed for earlier ones is not computed again."""

    def __init__(self, session: Session, system: str | None) -> None:
        self._session = session
        self.messages: list[Message] = [Message("system", system)] if system else []

    def ask(self, prompt: str, **options: Any) -> Answer:
        """Add a turn and return its answer."""
        turns = [*self.messages, Message("user", prompt)]
        answer = self._session.generate(turns, truncate=True, **options).answer
        self.messages = [*turns, Message("assistant", answer.text)]
        return answer

    def save(self, path: Path) -> None:
        """Write the turns to *path*, and beside it, as `.kv`, what was computed for them.

        Raises:
            ResourceError: a file cannot be written.
            UsageError: nothing was asked yet.
        """
        # Plain json, because an answer may hold bytes that are no characters (ADR 4).
        text = json.dumps([asdict(message) for message in self.messages], indent=2)
        self._session.assistant.resident.save_state(path.with_suffix(".kv"))
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
        except (ValueError, msgspec.MsgspecError) as error:
            raise VerificationError(
                f"The file {path} holds no conversation.", str(error), "Choose another file."
            ) from error
        try:
            self._session.assistant.resident.load_state(
                path.with_suffix(".kv"), self._session.experts
            )
        except ExpertError as error:
            return error.why or error.what
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.messages.clear()


def _choice(expert: Expert) -> ExpertChoice:
    if isinstance(expert, tuple):
        return replace(find_expert(str(expert[0])), scale=float(expert[1]))
    return find_expert(str(expert))
