"""What the history holds, as frozen records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from expert.types import ExpertUse, Finish, Message, Sampling, Timings

Ending: TypeAlias = Finish | Literal["failed"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One question with what came of it, to be recorded."""

    prompt: str
    answer: str
    finish: Ending
    sampling: Sampling
    model: str
    model_path: str
    reasoning: str = ""
    error: str = ""
    """Why it failed."""
    origin: str = "python"
    system: str = ""
    context: Sequence[Message] = ()
    """Earlier messages that are no recorded turns."""
    experts: Sequence[ExpertUse] = ()
    route: Mapping[str, Any] = field(default_factory=dict)
    timings: Timings = Timings()
    conversation: int | None = None
    """Which conversation it goes on with; None: it begins one."""
    parent: int | None = None
    """The turn before it; None: the first, or what came last in its conversation."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a turn was recorded."""

    conversation: int
    turn: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as lists show it."""

    id: int
    title: str
    created: str
    """UTC, ISO 8601."""
    updated: str
    deleted: str | None
    turns: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """A turn as it was recorded."""

    id: int
    conversation: int
    parent: int | None
    created: str
    turn: Turn

    @property
    def partial(self) -> bool:
        """Whether the answer was cut short."""
        return self.turn.finish != "stop"


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn that a search found."""

    conversation: int
    turn: int
    title: str
    created: str
    snippet: str
    """Text around what was found, which stands between `FOUND` and `END`."""


FOUND, END = "\x02", "\x03"
