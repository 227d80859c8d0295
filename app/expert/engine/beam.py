"""Beam search: several hypotheses of one answer, in one step each, on shared KV.

The result is the hypothesis with the best length-normalised log-probability (Wu et al. 2016,
arXiv:1609.08144, section 7) among those at least as probable as the greedy answer, which is
always one of them. So its total log-probability is never below that of greedy decoding.

Hypotheses far behind the best are given up, so that a step computes fewer of them where the model
is certain (absolute threshold pruning, Freitag and Al-Onaizan 2017, arXiv:1702.01806).
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from expert.engine.candidates import read_mask
from expert.engine.constrained import REFUSALS
from expert.engine.context import Context, Slice
from expert.engine.generation import Finished, Job, Piece
from expert.engine.logprobs import view_logits
from expert.engine.text import TextStream
from expert.engine.vocabulary import Vocabulary
from expert.errors import ContractError
from expert.grammar.constraint import Constraint
from expert.types import Finish, Timings, TokenLogprob

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LENGTH_PENALTY = 0.6  # alpha of Wu et al.
_MARGIN = 2.5  # nats behind the best at which a hypothesis is given up
_BLOCK = 64


@dataclass(slots=True)
class Hypothesis:
    """A beginning of the answer, or a whole one."""

    sequence: int
    """Where its KV is."""
    constraint: Constraint | None
    greedy: bool = False
    """Whether each of its tokens was the likeliest that may follow."""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    """Natural, of each token, before any mask."""
    text: bytes = b""

    @property
    def total(self) -> float:
        """The log-probability of all of it."""
        return math.fsum(self.logprobs)

    @property
    def score(self) -> float:
        return self.total / _penalty(len(self.tokens))


def _penalty(length: int) -> float:
    return math.pow((5 + length) / 6, _LENGTH_PENALTY)


@dataclass(frozen=True, slots=True)
class _Step:
    """One token that may follow a hypothesis."""

    parent: Hypothesis
    token: int
    logprob: float
    total: float
    greedy: bool
    text: bytes


class BeamSearch:
    """The state of one job that is decoded with several hypotheses."""

    def __init__(
        self, job: Job, vocabulary: Vocabulary, context: Context, sequence: int, cached: int
    ) -> None:
        """*sequence* holds the prompt; those that follow it are for the hypotheses."""
        self.job = job
        self.pending: list[int] = list(job.sequence[cached:])
        """Tokens of the prompt whose KV is still to be computed."""
        self.done: Finish | None = None
        self.retreat = 0
        self._cached = cached
        self._vocabulary = vocabulary
        self._context = context
        self._prompt = sequence
        self._branches = list(range(sequence + 1, sequence + 1 + job.beams))
        self._live: list[Hypothesis] = []
        self._whole: list[Hypothesis] = []
        self._stops = tuple(stop.encode("utf-8", "surrogateescape") for stop in job.stop)
        self._start = time.perf_counter()
        self._prefilled: float | None = None
        self._best: Hypothesis | None = None
        self._limit = min(job.max_tokens, context.size - len(job.sequence) + 1)
        self._lost = False
        """Whether the greedy answer came to an end that it could not be taken back from."""

    @property
    def active(self) -> bool:
        """Whether there is something to compute."""
        return bool(self.pending or self._live)

    def slices(self) -> list[Slice]:
        """Return the last token of each hypothesis, to be computed in one step."""
        start = len(self.job.sequence) - 1
        return [
            Slice(one.sequence, start + len(one.tokens), [_last(one, self.job)], outputs=1)
            for one in self._live
        ]

    def take(self, context: Context, rows: Sequence[int]) -> list[Piece]:
        """Go on from the logits of *rows*, one a hypothesis; may end the search.

        Raises:
            ContractError: nothing that can follow keeps the contract.
        """
        if self._prefilled is None:
            self._prefilled = time.perf_counter()
            terms = self.job.contract
            constraint = terms.start(self.job.max_tokens) if terms else None
            self._live = [Hypothesis(self._prompt, constraint, greedy=True)]
        steps: list[_Step] = []
        stuck: list[Hypothesis] = []
        for one, row in zip(self._live, rows, strict=True):
            try:
                found = self._expand(one, view_logits(context, row))
                if not found and one.greedy:
                    stuck.append(self._step_back(one))
                steps += found
            except ContractError:  # the mask engine or the search back gave up
                self._lost = self._lost or one.greedy
                if len(self._live) == 1 and not self._whole:
                    raise
        self._grow(self._choose(steps, self.job.beams - len(stuck)), stuck)
        self._prune()
        return self._end() if self._over() else []

    # One step -------------------------------------------------------------------------------------

    def _expand(self, one: Hypothesis, logits: "NDArray[np.float32]") -> list[_Step]:
        """Return the likeliest tokens that may follow, the likeliest first."""
        import numpy as np

        top = float(logits.max())
        norm = top + math.log(float(np.exp(logits - top).sum(dtype=np.float64)))
        steps = []
        for rank, token in enumerate(self._allowed(one, logits)):
            logprob = float(logits[token]) - norm
            text = one.text if self._ends(token) else one.text + self._vocabulary.piece(token)
            greedy = one.greedy and rank == 0
            steps.append(_Step(one, token, logprob, one.total + logprob, greedy, text))
        return steps

    def _allowed(self, one: Hypothesis, logits: "NDArray[np.float32]") -> list[int]:
        """Return up to as many allowed tokens as there are beams, the likeliest first."""
        wanted = self.job.beams
        constraint = one.constraint
        if constraint is None:
            return top_tokens(logits, wanted)
        if forced := constraint.forced():
            return forced[:1]
        found = [token for token in top_tokens(logits, 2 * wanted) if constraint.allows(token)]
        if len(found) < wanted:
            import numpy as np

            mask = read_mask(constraint.mask(), len(logits))
            limit = wanted if constraint.exact else REFUSALS
            ranked = top_tokens(np.where(mask, logits, np.float32(-np.inf)), limit)
            fitting = (token for token in ranked if mask[token] and constraint.allows(token))
            found = list(islice(fitting, wanted))
        return found[:wanted]

    def _step_back(self, one: Hypothesis) -> Hypothesis:
        """Take back what led the greedy answer to a dead end; what is left is computed again.

        Raises:
            ContractError: the search was given up.
        """
        assert one.constraint
        kept = len(one.tokens) - one.constraint.retreat()
        del one.tokens[kept:], one.logprobs[kept:]
        one.text = self._vocabulary.decode(one.tokens)
        return one

    def _choose(self, steps: list[_Step], room: int) -> list[_Step]:
        """Return the best steps, at most *room* that go on, each text once, greedy ones always."""
        chosen: list[_Step] = []
        seen: set[tuple[bytes, int]] = set()
        left = room - sum(step.greedy and not self._ends(step.token) for step in steps)
        floor = max((step.total for step in steps), default=0.0) - _MARGIN
        for rank, step in enumerate(sorted(steps, key=lambda step: -step.total)):
            ends = self._ends(step.token)
            # Tokens without text, such as the end, make no equals of what they follow.
            state = -1 if self._vocabulary.piece(step.token) else step.token
            fits = step.total >= floor and (rank < self.job.beams if ends else left > 0)
            if step.greedy or (fits and (step.text, state) not in seen):
                seen.add((step.text, state))
                chosen.append(step)
                left -= not step.greedy and not ends
        return chosen

    def _grow(self, chosen: list[_Step], stuck: list[Hypothesis]) -> None:
        """Make hypotheses of the chosen steps and give each a sequence of its own."""
        last = {id(step.parent): index for index, step in enumerate(chosen)}
        grown = [
            self._child(step, own=last[id(step.parent)] == index)
            for index, step in enumerate(chosen)
        ]
        live = [one for one in grown if not self._is_whole(one)]
        self._whole += [one for one in grown if self._is_whole(one)]
        self._place(live, stuck)
        self._live = [*stuck, *live]

    def _child(self, step: _Step, *, own: bool) -> Hypothesis:
        """Return the hypothesis after a step; the last child takes its parent's constraint."""
        parent = step.parent
        constraint = parent.constraint
        if constraint is not None:
            constraint = constraint if own else constraint.copy()
            constraint.accept(step.token)
        return Hypothesis(
            parent.sequence,
            constraint,
            step.greedy,
            [*parent.tokens, step.token],
            [*parent.logprobs, step.logprob],
            step.text,
        )

    def _place(self, live: list[Hypothesis], stuck: list[Hypothesis]) -> None:
        """Let one child stay where its parent was, and copy the parent's KV for the others."""
        context = self._context
        taken = {one.sequence for one in stuck}
        moving = []
        for one in live:
            if one.sequence in taken or one.sequence == self._prompt:
                moving.append(one)
            taken.add(one.sequence)
        free = [branch for branch in self._branches if branch not in taken]
        for one, branch in zip(moving, free, strict=False):
            context.copy(one.sequence, branch)
            one.sequence = branch
        for branch in free[len(moving) :]:
            context.forget(branch, 0)
        for one in stuck:
            if one.sequence == self._prompt:
                branch = free[len(moving)]
                context.copy(self._prompt, branch)
                one.sequence = branch
            context.forget(one.sequence, len(self.job.sequence) - 1 + len(one.tokens))

    # The end --------------------------------------------------------------------------------------

    def _ends(self, token: int) -> bool:
        return self._vocabulary.ends(token) and not self.job.ignore_end

    def _is_whole(self, one: Hypothesis) -> bool:
        if self._ends(one.tokens[-1]) or any(stop in one.text for stop in self._stops):
            return True
        return one.constraint is not None and one.constraint.finished()

    def _prune(self) -> None:
        """Drop what is already less probable than the whole greedy answer."""
        greedy = next((one for one in self._whole if one.greedy), None)
        if greedy is not None:
            floor = greedy.total
            self._whole = [one for one in self._whole if one.total >= floor]
            self._live = [one for one in self._live if one.total >= floor]

    def _over(self) -> bool:
        limit = self._limit
        if not self._live or any(len(one.tokens) >= limit for one in self._live):
            return True
        if not self._whole or not (self._lost or any(one.greedy for one in self._whole)):
            return False
        # No hypothesis can do better than to end at the limit with certain tokens only.
        best = max(one.score for one in self._whole)
        hope = max(one.total for one in self._live) / _penalty(limit)
        return len(self._whole) >= self.job.beams or best >= hope

    def _end(self) -> list[Piece]:
        """Choose the best hypothesis and return its text."""
        greedy = [one for one in (*self._whole, *self._live) if one.greedy]
        floor = greedy[0].total if greedy else -math.inf
        candidates = self._whole
        if self.job.contract is None or not candidates:
            candidates = [one for one in (*candidates, *self._live) if one.total >= floor]
        if not candidates:
            raise ContractError(
                "No answer was found that keeps its contract.",
                "Every hypothesis of the beam search came to a dead end.",
                "Ask again with another number of beams, or simplify the schema.",
            )
        self._best = max(candidates, key=lambda one: one.score)
        whole = any(one is self._best for one in self._whole) or self._complete(self._best)
        return self._write("stop" if whole else "length")

    def _complete(self, one: Hypothesis) -> bool:
        return one.constraint is not None and one.constraint.can_end()

    def _write(self, finish: Finish) -> list[Piece]:
        self.done = finish
        assert self._best
        stream = TextStream(self.job.stop)
        pieces = []
        for token, logprob in zip(self._best.tokens, self._best.logprobs, strict=True):
            text = "" if self._ends(token) else stream.push(self._vocabulary.piece(token))
            told = TokenLogprob(token, self._vocabulary.name(token), logprob)
            pieces.append(Piece(text, token, told if self.job.logprobs is not None else None))
            if stream.stopped:
                break
        if rest := stream.finish():
            pieces.append(Piece(rest, -1))
        return pieces

    @property
    def complete(self) -> bool:
        """Whether the answer is a whole one."""
        return self.done == "stop"

    def cut(self, finish: Finish) -> list[Piece]:
        """End the search from outside, and return the best that there is so far."""
        found = self._whole or self._live
        if not found or self.done:
            self.done = finish
            return []
        self._best = max(found, key=lambda one: one.score)
        return self._write(finish)

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
                answer_tokens=len(self._best.tokens) if self._best else 0,
            ),
            self.complete,
        )

    def close(self) -> None:
        """Forget the KV of every hypothesis; the prompt's stays."""
        for branch in self._branches:
            self._context.forget(branch, 0)
        self._live.clear()


def _last(one: Hypothesis, job: Job) -> int:
    return one.tokens[-1] if one.tokens else job.sequence[-1]


def top_tokens(logits: "NDArray[np.float32]", count: int) -> list[int]:
    """Return the *count* likeliest tokens, the likeliest first; equal ones by their number.

    The largest numbers are in the blocks with the largest maxima, so only those are ordered.
    """
    import numpy as np

    count = min(count, len(logits))
    blocks = len(logits) // _BLOCK
    if blocks <= count:
        ids = np.arange(len(logits))
    else:
        peaks = logits[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
        best = np.sort(np.argpartition(-peaks, count - 1)[:count])
        ids = (best[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
        ids = np.concatenate((ids, np.arange(blocks * _BLOCK, len(logits))))
    order = np.argsort(-logits[ids], kind="stable")[:count]
    return [int(token) for token in ids[order]]
