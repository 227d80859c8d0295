"""What the screens need from the rooms below: four small interfaces, and plain facts.

The real ones are in `expert.tui.local`; tests use fakes of the same interfaces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from expert.types import Event, ExpertChoice, Plan, Request


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """The base model in use."""

    name: str
    context: int
    """Tokens that a conversation may hold."""
    size: int
    """Bytes of the file."""
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class ExpertFacts:
    """An expert, installed or on offer."""

    name: str
    """With its publisher: `expert/sql`."""
    version: str
    publisher: str
    summary: str
    licence: str
    signer: str
    """Fingerprint of the key that signed it; empty: unsigned."""
    installed: bool
    fits: bool
    """It was made for the base in use."""
    size: int
    score: str
    """Its measured figures in words; empty: not measured."""
    limitations: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    enabled: bool = True
    """It takes part in routing."""
    scale: float = 1.0
    """How strongly it acts when it answers."""


@dataclass(frozen=True, slots=True)
class SettingFacts:
    """A setting that can be changed."""

    name: str
    value: str
    about: str
    choices: tuple[str, ...] = ()
    """What it may be; empty: any text of the right kind."""


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """A question and its answer, as history keeps them."""

    id: int
    question: str
    answer: str
    reasoning: str = ""
    expert: str = ""
    """Who answered; empty: the base itself."""
    footer: str = ""
    """What it took, in words."""


@dataclass(frozen=True, slots=True)
class TalkFacts:
    """A conversation in the list of them."""

    id: int
    title: str
    when: str
    """The day of its last turn, as people say it."""


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """Who would answer a question, and why."""

    chosen: tuple[str, ...]
    candidates: tuple[tuple[str, float], ...]
    """Every expert and "none" with its probability, the most probable first."""
    reasons: tuple[str, ...]


def route_facts(plan: Plan) -> RouteFacts:
    """Return what a plan says about who answers."""
    chosen = tuple(choice.name for choice in plan.experts)
    return RouteFacts(chosen, plan.route.candidates, plan.route.reasons or (plan.reason,))


class Answering(Protocol):
    """An answer under way."""

    def __iter__(self) -> Iterator[Event]:
        """Yield what happens; the last event is `Done`, unless an error is raised."""
        ...

    def stop(self) -> None:
        """End it soon, from any thread; what there is by then still comes, and `Done`."""
        ...


class Answers(Protocol):
    """Answers questions on a base model. Methods may be called from any thread."""

    @property
    def base(self) -> BaseFacts:
        """The base in use; waits until it is loaded."""
        ...

    def ask(self, request: Request) -> Answering:
        """Answer a request."""
        ...

    def route(self, request: Request) -> RouteFacts:
        """Say who would answer, without answering."""
        ...

    def models(self) -> Sequence[BaseFacts]:
        """Return the base models on this machine."""
        ...

    def use_model(self, name: str) -> None:
        """Answer with another base from now on."""
        ...

    def choose(self, names: Sequence[str]) -> tuple[ExpertChoice, ...]:
        """Return installed experts as a request names them."""
        ...


class Shelf(Protocol):
    """The experts, installed and on offer."""

    def installed(self) -> Sequence[str]:
        """Return the names of the installed ones, quickly."""
        ...

    def experts(self) -> Sequence[ExpertFacts]:
        """Return all of them, the installed ones first."""
        ...

    def install(self, name: str) -> None:
        """Install an expert that the user has seen and wants."""
        ...

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Let an installed expert be chosen by itself, or not."""
        ...

    def set_scale(self, name: str, scale: float) -> None:
        """Let an expert act more or less strongly from now on."""
        ...


class Past(Protocol):
    """Past conversations."""

    def talks(self, query: str = "") -> Sequence[TalkFacts]:
        """Return conversations, the latest first; those that *query* finds."""
        ...

    def turns(self, talk: int) -> Sequence[TurnFacts]:
        """Return the turns of a conversation."""
        ...

    def rename(self, talk: int, title: str) -> None:
        """Give a conversation another title."""
        ...

    def delete(self, talk: int) -> None:
        """Take a conversation out of the list; `restore` brings it back."""
        ...

    def restore(self, talk: int) -> None:
        """Bring a deleted conversation back."""
        ...

    def export(self, talk: int) -> str:
        """Write a conversation as Markdown into the present folder, and return the file's name."""
        ...


class Settings(Protocol):
    """What can be set for good."""

    def list(self) -> Sequence[SettingFacts]:
        """Return what can be set, as it is now."""
        ...

    def set(self, name: str, value: str) -> None:
        """Change a setting; without a value its default counts again."""
        ...


@dataclass(frozen=True, slots=True)
class Backend:
    """All that the screens stand on. Whatever fails raises `ExpertError`."""

    answers: Answers
    shelf: Shelf
    past: Past
    settings: Settings
