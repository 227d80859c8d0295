"""What the screens stand on when the program runs: the assistant, the market, the history."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from expert.assistant import Assistant
from expert.collecting import Asked
from expert.config import Config, load_config, remove_setting, save_setting, saved_settings
from expert.errors import ExpertError, ResourceError
from expert.history.export import as_markdown, ending, who
from expert.history.history import History
from expert.history.records import Conversation, Recorded
from expert.models import find_model, local_models
from expert.screen import one_line
from expert.tui.backend import (
    Backend,
    BaseFacts,
    RouteFacts,
    SettingFacts,
    TalkFacts,
    TurnFacts,
    route_facts,
)
from expert.types import ExpertChoice, Request

THEMES = ("textual-dark", "textual-light", "nord", "gruvbox", "dracula", "textual-ansi")
_SETTINGS = {
    "theme": "colours of the chat",
    "max_tokens": "longest answer, in tokens",
    "context": "tokens of a context; empty: as many as needed",
    "kv_type": "precision of what is kept of a conversation",
    "threads": "processor threads; empty: as many as suit the model",
    "history": "keep questions and answers",
}
_CHOICES = {
    "theme": THEMES,
    "kv_type": ("f32", "f16", "q8_0", "q4_0"),
    "history": ("true", "false"),
}


class LocalAnswers:
    """Answers with the assistant of this process; it is replaced when the base changes."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self._given = _differences(assistant.config, load_config())

    @property
    def path(self) -> Path:
        """The file of the base in use."""
        return self._assistant.resident.path

    @property
    def base(self) -> BaseFacts:
        """The base in use; waits until it is loaded."""
        resident = self._assistant.resident
        path = resident.path
        known = {model.path: model for model in local_models()}
        name = known[path].name if path in known else path.stem
        embedded = path in known and known[path].embedded
        return BaseFacts(name, resident.limit, path.stat().st_size, embedded)

    def ask(self, request: Request) -> Asked:
        """Answer a request."""
        return self._assistant.ask(request)

    def route(self, request: Request) -> RouteFacts:
        """Say who would answer, without answering."""
        plan, _ = self._assistant.preview(request)
        return route_facts(plan)

    def models(self) -> Sequence[BaseFacts]:
        """Return the base models on this machine."""
        return [
            BaseFacts(model.name, _trained_context(model.path), model.size, model.embedded)
            for model in local_models()
        ]

    def use_model(self, name: str) -> None:
        """Answer with another base from now on, also when the program starts again.

        What the command line asked for still counts.
        """
        model = find_model(name)
        save_setting("model", name)
        config = replace(load_config(), **self._given)
        before, self._assistant = self._assistant, Assistant(model.path, config)
        before.close()

    def choose(self, names: Sequence[str]) -> tuple[ExpertChoice, ...]:
        """Return installed experts as a request names them."""
        from expert.choosing import choose_experts

        return choose_experts(names, self._assistant.resident.path)

    def close(self) -> None:
        """Free the base."""
        self._assistant.close()


@contextmanager
def local_backend(config: Config) -> Iterator[Backend]:
    """Open everything for the chat, and close it afterwards."""
    from expert.history.history import user_history
    from expert.market.market import user_market
    from expert.tui.shelf import LocalShelf

    answers = LocalAnswers(Assistant(config=config))
    try:
        shelf = LocalShelf(user_market(), lambda: answers.path)
        yield Backend(answers, shelf, LocalPast(user_history()), LocalSettings())
    finally:
        answers.close()


class LocalPast:
    """The conversations of this user's history."""

    def __init__(self, history: History) -> None:
        self._history = history

    def talks(self, query: str = "") -> Sequence[TalkFacts]:
        """Return conversations, the latest first; or those that *query* finds, the best first."""
        if not query.strip():
            return [_talk(one) for one in self._history.conversations(200)]
        found = dict.fromkeys(hit.conversation for hit in self._history.search(query, 100))
        return [_talk(self._history.conversation(number)) for number in found]

    def turns(self, talk: int) -> Sequence[TurnFacts]:
        """Return the turns of a conversation."""
        return [_turn(recorded) for recorded in self._history.turns(talk)]

    def rename(self, talk: int, title: str) -> None:
        """Give a conversation another title."""
        self._history.rename(talk, title)

    def delete(self, talk: int) -> None:
        """Put a conversation into the bin."""
        self._history.remove(talk)

    def restore(self, talk: int) -> None:
        """Take a conversation out of the bin."""
        self._history.restore(talk)

    def export(self, talk: int) -> str:
        """Write a conversation as Markdown beside others, never over another file.

        Raises:
            ResourceError: the present folder cannot be written.
        """
        text = as_markdown(self._history.conversation(talk), self._history.turns(talk))
        path = Path(f"conversation-{talk}.md")
        number = 1
        while path.exists():
            number += 1
            path = Path(f"conversation-{talk}-{number}.md")
        try:
            with path.open("x", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
        except OSError as error:
            raise ResourceError(
                f"The conversation could not be written to {path}.",
                error.strerror or str(error),
                "Start the chat in a folder that can be written.",
            ) from error
        return str(path)


class LocalSettings:
    """The settings file, as far as it concerns the chat."""

    def list(self) -> Sequence[SettingFacts]:
        """Return what can be set, as it is now."""
        config = load_config()
        known = {field.name for field in fields(Config)}
        return [
            SettingFacts(name, _text(getattr(config, name)), about, _CHOICES.get(name, ()))
            for name, about in _SETTINGS.items()
            if name in known
        ]

    def set(self, name: str, value: str) -> None:
        """Change a setting; it counts for the next conversation at the latest."""
        if value:
            save_setting(name, value)
        elif name in saved_settings():
            remove_setting(name)


def _differences(config: Config, other: Config) -> dict[str, Any]:
    """Return the settings of *config* that *other* has not."""
    values = {field.name: getattr(config, field.name) for field in fields(Config)}
    return {name: value for name, value in values.items() if value != getattr(other, name)}


def _talk(conversation: Conversation) -> TalkFacts:
    moment = datetime.fromisoformat(conversation.updated).astimezone()
    return TalkFacts(conversation.id, conversation.title, _day(moment.date()))


def _day(day: date) -> str:
    """Return a day as people say it."""
    ago = (datetime.now(UTC).astimezone().date() - day).days
    return {0: "Today", 1: "Yesterday"}.get(ago, day.isoformat())


def _turn(recorded: Recorded) -> TurnFacts:
    turn = recorded.turn
    timings = turn.timings
    footer = f"{who(recorded)} · ↑{timings.prompt_tokens} ↓{timings.answer_tokens}"
    if recorded.partial:
        footer += f" · {ending(recorded)}"
    expert = next((use.name for use in turn.experts), "")
    return TurnFacts(
        recorded.id, turn.prompt, turn.answer, turn.reasoning, expert, one_line(footer)
    )


def _trained_context(path: Path) -> int:
    """Return how many tokens a model was trained on; 0: its header does not say."""
    from expert_converters.gguf_file import inspect

    try:
        metadata = inspect(path).metadata
    except ExpertError:
        return 0
    found = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    return found if isinstance(found, int) else 0


def _text(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
