"""A sequence of a context: what its KV cache holds, and the job that uses it."""

import sys
from dataclasses import dataclass, field

from expert.engine.adapter_set import AdapterSet, Run, run_end, set_at
from expert.engine.beam import BeamSearch
from expert.engine.context import Context, Slice
from expert.engine.generation import Generation, Job
from expert.engine.ledger import Ledger
from expert.engine.model import Model
from expert.engine.stream import Stream


@dataclass(slots=True)
class Slot:
    """One sequence; its ledger outlives the jobs that use it one after another."""

    index: int
    ledger: Ledger = field(default_factory=Ledger)
    generation: Generation | BeamSearch | None = None
    stream: Stream | None = None
    runs: tuple[Run, ...] = ()
    """Which adapters act where for the present job."""
    whole: int = sys.maxsize
    """From here on the KV was computed after tokens that a shift has dropped since."""
    rebase: list[int] = field(default_factory=list)
    """Tokens that an expert wrote and the base is still to decode again, in idle time."""

    def start(
        self, job: Job, stream: Stream, runs: tuple[Run, ...], model: Model, context: Context
    ) -> None:
        """Take a job, keeping what the ledger shares with its prompt."""
        # The last prompt token is always computed: its logits give the first answer token.
        prompt = job.sequence
        cached = min(self.ledger.shared(prompt, runs), len(prompt) - 1)
        self.rewind(cached, context)
        self.rebase.clear()
        self.runs, self.stream = runs, stream
        self.generation = (
            Generation(job, model.vocabulary, model.lib, cached)
            if job.beams == 1
            else BeamSearch(job, model.vocabulary, context, self.index, cached)
        )

    def rewind(self, size: int, context: Context) -> None:
        """Forget everything after the first *size* positions."""
        context.forget(self.index, size)
        self.ledger.truncate(size)

    def step_back(self, context: Context) -> None:
        """Forget the tokens that the job took back; the last of the others is computed again."""
        assert self.generation
        kept = len(self.ledger) - self.generation.retreat - 1
        self.generation.pending = [self.ledger.tokens[kept]]
        self.generation.retreat = 0
        self.rewind(kept, context)

    @property
    def pending(self) -> list[int]:
        """Tokens of the present job that are not in the cache yet."""
        return self.generation.pending if self.generation else []

    @property
    def next_set(self) -> AdapterSet:
        """The adapters under which the next token is to be computed."""
        return set_at(self.runs, len(self.ledger))

    def next_slices(self, room: int) -> list[Slice]:
        """Return the next tokens to compute: at most *room*, all under one adapter set."""
        assert self.generation
        if branches := self.generation.slices():
            return branches if len(branches) <= room else []
        position = len(self.ledger)
        end = run_end(self.runs, position)
        tokens = self.pending[: room if end is None else min(room, end - position)]
        whole = len(tokens) == len(self.pending)
        part = Slice(self.index, position, tokens, int(whole and self.wants_output))
        return [part] if tokens else []

    @property
    def wants_output(self) -> bool:
        """Whether the job is to generate, not only to fill the cache."""
        return bool(self.generation and self.generation.job.max_tokens)

    def release(self) -> None:
        """Drop the job; what an expert wrote on top of the base's own KV is noted for re-basing."""
        if self.generation:
            self.generation.close()
        self.ledger.truncate(self.whole)  # no other job may reuse what followed on dropped tokens
        self.whole = sys.maxsize
        base = self.ledger.base_prefix()
        if self.runs and not self.runs[0].adapters:
            self.rebase = self.ledger.tokens[base:]
        self.generation = self.stream = None
        self.runs = ()

    def make_room(self, context: Context) -> bool:
        """Apply the job's policy for a full sequence; false: the answer must end here."""
        assert self.generation
        job, size = self.generation.job, context.size
        if len(self.ledger) + len(self.pending) <= size:
            return True
        keep = job.keep + len(job.sequence) - len(job.prompt)
        dropped = (len(self.ledger) - keep) // 2
        if job.overflow == "stop" or dropped < len(self.pending):
            return False
        context.forget(self.index, keep, keep + dropped)
        context.shift(self.index, keep + dropped, -dropped)
        self.ledger.drop(keep, keep + dropped)
        self.whole = min(self.whole, keep)
        # Every prompt token is behind: the answer's adapters act from here on.
        self.runs = (Run(0, self.runs[-1].adapters),)
        return True
