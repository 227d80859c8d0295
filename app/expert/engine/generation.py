"""One running generation: what it feeds to the next step, and what it makes of the logits."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from expert.engine.adapter_file import AdapterFile
from expert.engine.adapter_set import soft_positions
from expert.engine.constrained import Contract, Guide
from expert.engine.context import Context, Slice
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
    contract: Contract | None = None
    """What the answer must keep; none: any text."""
    beams: int = 1
    """Hypotheses of a beam search, which takes the place of sampling; 1: none."""

    @property
    def sequence(self) -> Sequence[int]:
        """The prompt with what stands for a soft prompt's rows before it."""
        soft = soft_positions(self.experts)
        return [*soft, *self.prompt] if soft else self.prompt


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
    complete: bool = True
    """Whether the contract, if there is one, lets the answer end there."""


Output: TypeAlias = Piece | Finished


class Generation:
    """The state of one job on one sequence of a context.

    `pending` holds the tokens whose KV is still to be computed; after the step that computed the
    last of them, `accept` draws the next token from its logits. Tokens that may still be taken
    back are held until they are certain.
    """

    def __init__(self, job: Job, vocabulary: Vocabulary, lib: Any, cached: int) -> None:
        self.job = job
        self.pending: list[int] = list(job.sequence[cached:])
        self.done: Finish | None = None
        self.cancelled = False
        self._cached = cached
        self._vocabulary = vocabulary
        self.retreat = 0
        """Tokens at the end of the sequence that were taken back."""
        self._sampler = Sampler(lib, vocabulary.size, job.sampling)
        self._guide = self._make_guide(job)
        self._held: list[tuple[int, TokenLogprob | None]] = []
        for token in job.prompt[-job.sampling.repeat_last :]:
            self._sampler.accept(token)
        self._text = TextStream(job.stop)
        self._answer_tokens = 0
        self._start = time.perf_counter()
        self._prefilled: float | None = None

    def _make_guide(self, job: Job) -> Guide | None:
        if job.contract is None:
            return None
        sampler, vocabulary = self._sampler, self._vocabulary
        return Guide(job.contract, sampler, vocabulary, job.max_tokens, job.sampling.seed)

    @property
    def active(self) -> bool:
        """Whether there is something to compute."""
        return bool(self.pending)

    def slices(self) -> list[Slice]:
        """Return what to compute besides `pending`: nothing."""
        return []

    def take(self, context: Context, rows: Sequence[int]) -> list[Piece]:
        """Go on from the logits of the last of *rows* and return the new text; may end it.

        Raises:
            ContractError: nothing that can follow keeps the contract.
        """
        row = rows[-1]
        if self._prefilled is None:
            self._prefilled = time.perf_counter()
        pieces = []
        for token in self._next(context, row):
            logprob = None
            if self.job.logprobs is not None:
                logprob = token_logprob(context, row, token, self.job.logprobs)
            pieces += self._take(token, logprob)
            if self.done:
                break
        if self._guide and self._guide.finished and not self.done:
            self.done = "stop"
            pieces += self._release()
        return pieces

    def _next(self, context: Context, row: int) -> list[int]:
        """Return the tokens that follow; none when the end of the answer was taken back."""
        if self._guide is None:
            return [self._sampler.sample(context, row)]
        left = self.job.max_tokens - self._answer_tokens
        tokens = self._guide.next(context, row, left, one=self.job.logprobs is not None)
        for token in tokens:
            self._sampler.accept(token)
        if not tokens:
            self.retreat = self._guide.retreat()
            self._answer_tokens -= self.retreat
            del self._held[-self.retreat :]
        return tokens

    def _take(self, token: int, logprob: TokenLogprob | None) -> list[Piece]:
        self._answer_tokens += 1
        if self._vocabulary.ends(token) and not self.job.ignore_end:
            self.done = "stop"
        else:
            self.pending.append(token)
            if self._answer_tokens >= self.job.max_tokens:
                self.done = "stop" if self._guide and self._guide.complete else "length"
        self._held.append((token, logprob))
        return self._release() if self.done or self._guide is None or self._guide.final else []

    def _release(self) -> list[Piece]:
        """Return the text of the tokens that are certain now; a stop sequence ends it."""
        pieces = []
        for token, logprob in self._held:
            ends = self._vocabulary.ends(token) and not self.job.ignore_end
            text = "" if ends else self._text.push(self._vocabulary.piece(token))
            pieces.append(Piece(text, token, logprob))
            if self._text.stopped:
                self.done = "stop"
                break
        self._held.clear()
        if self.done and (rest := self._text.finish()):
            pieces.append(Piece(rest, -1))
        return pieces

    def cut(self, finish: Finish) -> list[Piece]:
        """End the generation from outside, and return the text that was held back."""
        self.done = finish
        return self._release()

    def finished(self) -> Finished:
        """Return how it ended, and what it cost."""
        now = time.perf_counter()
        prefilled = self._prefilled or now
        return Finished(
            self.done or "cancelled",
            Timings(
                prefill_s=prefilled - self._start,
                decode_s=now - prefilled,
                prompt_tokens=len(self.job.sequence),
                cached_tokens=self._cached,
                answer_tokens=self._answer_tokens,
            ),
            self._guide is None or self._guide.complete,
        )

    def close(self) -> None:
        """Free the sampler."""
        self._sampler.close()
