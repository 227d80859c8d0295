"""What the router is asked and what it answers: small frozen values, with words for the user."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from expert.types import Attachment, Parameters

Task: TypeAlias = Literal[
    "chat", "creative", "discuss", "translate", "summarise", "rewrite", "fix", "convert",
    "extract", "yesno", "howto", "count", "question", "make", "command", "statement", "paste",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """A prompt to find experts for."""

    prompt: str
    attachments: tuple[Attachment, ...] = ()
    previous: str | None = None
    """The expert (its name) that answered the turn before, if one did."""
    limit: int = 3
    """Most experts that may answer together."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An expert that may be chosen: what its manifest says about when to choose it."""

    id: str
    """What the caller finds it by: the package's id, or any key of its own."""
    name: str
    """Its qualified name, `publisher/name`."""
    about: str = ""
    """Its summary and description."""
    keywords: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    """Tags such as `input:diff`: a format that it reads."""
    conflicts: tuple[str, ...] = ()
    """Qualified names of experts it must not act beside."""
    priority: float = 0.5
    """Between 0 and 1; settles which of two equally probable experts comes first."""
    parameters: Parameters = Parameters()

    @property
    def short_name(self) -> str:
        """The name without its publisher, as people type it."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Choice:
    """An expert with the probability that the request is for it."""

    id: str
    name: str
    probability: float
    scale: float
    """How strongly it acts if chosen: 1, or less where several act together."""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers, how, and why; no choice means that the base model answers."""

    choices: tuple[Choice, ...]
    """The experts to use, the likeliest first."""
    none: float
    """The probability that no expert fits."""
    task: Task
    parameters: Parameters
    prompt: str
    """The prompt without `@name` directions, which are not for the expert."""
    reasons: tuple[str, ...] = ()
    alternatives: tuple[Choice, ...] = field(default=())
    """The experts that were not chosen, the likeliest first."""
