"""The small types of the main path: what is asked, how to sample, what happens, what came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["system", "user", "assistant"]
KVType: TypeAlias = Literal["f32", "f16", "q8_0", "q4_0"]
FlashAttention: TypeAlias = Literal["auto", "on", "off"]
Finish: TypeAlias = Literal["stop", "length", "cancelled", "timeout"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a question."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; temperature 0 means greedy."""

    temperature: float = 0.0
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keep the smallest set of tokens with this total probability."""
    min_p: float = 0.0
    """Keep tokens at least this probable, relative to the likeliest."""
    repeat_penalty: float = 1.0
    """Divide the logits of recent tokens by this; 1 changes nothing."""
    repeat_last: int = 64
    """How many recent tokens the penalty looks at."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Parameters:
    """How to generate for an expert or a task; None leaves a value to whoever is asked next."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpertProfile:
    """What an installed expert brings along besides its adapter; None leaves a choice open."""

    name: str
    """Qualified: `publisher/name`."""
    version: str
    package: str
    """The id of its package."""
    system_prompt: str | None = None
    grammar_format: Literal["gbnf", "json-schema", "sql"] | None = None
    """The form of every answer; None: any text."""
    grammar: Path | None = None
    """Absent for `sql`, whose grammar is made from the schema in the prompt."""
    verbatim: bool = False
    """Texts of its queries are words of the question."""
    parameters: Parameters = Parameters()


@dataclass(frozen=True, slots=True)
class ExpertChoice:
    """An expert that is to take part: its adapter, and how strongly."""

    adapter: Path
    scale: float = 1.0
    profile: ExpertProfile | None = None
    """None: the adapter is a bare file."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.profile.name if self.profile is not None else self.adapter.stem

    def use(self, digest: str) -> "ExpertUse":
        """Return the record of its part in an answer; *digest* is its adapter's."""
        version = self.profile.version if self.profile is not None else ""
        return ExpertUse(self.name, digest, self.scale, version)


@dataclass(frozen=True, slots=True)
class ExpertUse:
    """An expert that took part in an answer."""

    name: str
    digest: str
    """SHA-256 of its adapter."""
    scale: float
    version: str = ""
    """Of the installed package; empty for a bare adapter file."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the assistant; None leaves a choice to the model's own defaults."""

    messages: Sequence[Message]
    experts: tuple[ExpertChoice, ...] | None = None
    """Who answers; empty: the base model itself; None: whoever fits the question best."""
    attachments: tuple[Attachment, ...] = ()
    """Files that stand before the last message."""
    max_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    grammar: str | Path | None = None
    """The answer matches this grammar: a name of one that ships, a file, or its text."""
    schema: Any = None
    """The answer is JSON that keeps this schema: a file, JSON text, or a JSON value."""
    sql_schema: str | Path | None = None
    """The answer is SQL over these tables: a database, or a file that creates them."""
    verbatim: bool = False
    """Texts of a query that is held to tables are words of the question, or short codes."""
    beams: int = 1
    """Hypotheses of a beam search, which takes the place of sampling; 1: none."""
    think: bool = False
    logprobs: int | None = None
    """Report this many likeliest alternatives of each token; 0 reports the token's own alone."""
    truncate: bool = False
    """Drop the oldest turns of a conversation that does not fit, instead of refusing it."""
    timeout: float | None = None
    """Seconds until the answer is cut short, loading included."""
    conversation: int | None = None
    """The recorded conversation that this goes on with; None: a new one."""
    parent: int | None = None
    """The recorded turn before it; None: the last one of its conversation."""
    previous: str | None = None
    """The expert that answered the turn before, which the router takes into account."""
    record: bool = True
    """Keep it in the history, if the settings do not forbid that."""
    origin: str = "python"
    """Where it was asked: ask, chat, sh, tui or python."""

    @property
    def question(self) -> str:
        """What is asked now: the last message, after the files that it brings."""
        said = self.messages[-1].content if self.messages else ""
        return "\n".join([*(file.text for file in self.attachments), said])


@dataclass(frozen=True, slots=True)
class Route:
    """Who was considered for a request, and why the choice fell as it did."""

    candidates: tuple[tuple[str, float], ...] = ()
    """Experts and "none" with their probabilities, the most probable first."""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What will answer a request, and how; made before anything is computed."""

    sampling: Sampling
    max_tokens: int
    experts: tuple[ExpertChoice, ...]
    reason: str
    """Why this plan, in words for the user."""
    route: Route = Route()
    """What was weighed, if the experts were not given."""
    beams: int = 1
    """Hypotheses of a beam search; 1: none."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with its natural-log probability before any sampling filter."""

    token: int
    text: bytes
    logprob: float
    alternatives: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds and token counts of one generation."""

    load_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens whose KV was already there."""
    answer_tokens: int = 0

    @property
    def prefill_tokens_per_s(self) -> float:
        return (self.prompt_tokens - self.cached_tokens) / self.prefill_s if self.prefill_s else 0.0

    @property
    def decode_tokens_per_s(self) -> float:
        # The first token comes from the prefill's own logits.
        return (self.answer_tokens - 1) / self.decode_s if self.decode_s else 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer and everything needed to repeat it."""

    text: str
    reasoning: str
    finish: Finish
    sampling: Sampling
    model: Path
    timings: Timings
    experts: tuple[ExpertUse, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know that is not part of the answer."""

    text: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True, slots=True)
class Delta:
    """Newly generated whole characters, of the answer or of the reasoning before it."""

    text: str
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """Who will answer, and how; comes before the first `Delta`."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of a generation."""

    answer: Answer
    conversation: int | None = None
    """Where it was recorded; None: it was not."""
    turn: int | None = None


Event: TypeAlias = Planned | Notice | Delta | Done
