"""One running generation: what it feeds to the next step, and what it makes of the logits."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from expert.engine.adapter_file import AdapterFile
from expert.engine.context import Context
from expert.engine.logprobs import token_logprob
from expert.engine.sampler import Sampler
from expert.engine.text import TextStream
from expert.engine.vocabulary import Vocabulary
from expert.types import Finish, Sampling, Timings, TokenLogprob


@dataclass(frozen=True, slots=True)
class Job:
    """What to generate."""

    prompt: Sequence[int]
    sampling: Sampling = Sampling()
    max_tokens: int = 512
    """0 only fills the cache with the prompt."""
    experts: tuple[tuple[AdapterFile, float], ...] = ()
    """Adapters with their scales."""
    repeatable: bool = False
    """Fuse several experts before the first token, so that equal jobs give equal bits."""
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    ignore_end: bool = False
    """Go on after an end token; for measuring speed."""
    overflow: Literal["stop", "shift"] = "stop"
    """A full context ends the answer, or drops the older half of what follows *keep*."""
    keep: int = 0
    """Prompt tokens that a shift never drops: the system prompt."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Newly generated text: whole characters of one or more tokens."""

    text: str
    token: int
    logprob: TokenLogprob | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """How a generation ended."""

    finish: Finish
    timings: Timings


Output: TypeAlias = Piece | Finished


class Generation:
    """The state of one job on one sequence of a context.

    `pending` holds the tokens whose KV is still to be computed; after the step that computed the
    last of them, `accept` draws the next token from its logits.
    """

    def __init__(self, job: Job, vocabulary: Vocabulary, lib: Any, cached: int) -> None:
        self.job = job
        self.pending: list[int] = list(job.prompt[cached:])
        self.done: Finish | None = None
        self.cancelled = False
        self._cached = cached
        self._vocabulary = vocabulary
        self._sampler = Sampler(lib, vocabulary.size, job.sampling)
        for token in job.prompt[-job.sampling.repeat_last :]:
            self._sampler.accept(token)
        self._text = TextStream(job.stop)
        self._answer_tokens = 0
        self._start = time.perf_counter()
        self._prefilled: float | None = None

    def accept(self, context: Context, row: int) -> Piece:
        """Draw a token from the logits of *row* and return its text; may end the generation."""
        if self._prefilled is None:
            self._prefilled = time.perf_counter()
        token = self._sampler.sample(context, row)
        logprob = None
        if self.job.logprobs is not None:
            logprob = token_logprob(context, row, token, self.job.logprobs)
        return self._take(token, logprob)

    def _take(self, token: int, logprob: TokenLogprob | None) -> Piece:
        self._answer_tokens += 1
        if self._vocabulary.ends(token) and not self.job.ignore_end:
            self.done = "stop"
            return Piece(self._text.finish(), token, logprob)
        text = self._text.push(self._vocabulary.piece(token))
        self.pending = [token]
        if self._text.stopped:
            self.done = "stop"
        elif self._answer_tokens >= self.job.max_tokens:
            self.done = "length"
        if self.done:
            text += self._text.finish()
        return Piece(text, token, logprob)

    def cut(self, finish: Finish) -> Piece | None:
        """End the generation from outside, and return the text that was held back."""
        self.done = finish
        rest = self._text.finish()
        return Piece(rest, -1) if rest else None

    def finished(self) -> Finished:
        """Return how it ended, and what it cost."""
        now = time.perf_counter()
        prefilled = self._prefilled or now
        return Finished(
            self.done or "cancelled",
            Timings(
                prefill_s=prefilled - self._start,
                decode_s=now - prefilled,
                prompt_tokens=len(self.job.prompt),
                cached_tokens=self._cached,
                answer_tokens=self._answer_tokens,
            ),
        )

    def close(self) -> None:
        """Free the sampler."""
        self._sampler.close()
