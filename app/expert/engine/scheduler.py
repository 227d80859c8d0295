"""What the engine's thread does in each turn: choose jobs, attach their adapters, step.

Adapters belong to a context, not to a sequence, so a step serves the jobs of one adapter set; jobs
of other sets wait a few steps, then it is their turn. Nothing here is called from another thread.
"""

from expert.engine.adapter_set import BASE, AdapterSet, activation_runs
from expert.engine.beam import BeamSearch
from expert.engine.context import Attached, Cancelled, Context, Slice
from expert.engine.fusion import Fusion
from expert.engine.generation import Generation, Job
from expert.engine.pool import AdapterPool
from expert.engine.slot import Slot
from expert.engine.stream import Stream
from expert.errors import ContractError, ExpertError
from expert.types import Finish

_TURN = 16  # steps one adapter set may take while another waits: a switch costs about one
_REBASE = 64  # tokens re-decoded at once in idle time


class Scheduler:
    """Runs jobs on the sequences of one context."""

    def __init__(self, context: Context, pool: AdapterPool, fusion: Fusion) -> None:
        self.context = context
        self.pool = pool
        self.fusion = fusion
        stride = context.options.stride
        self.slots = [Slot(index * stride) for index in range(context.options.sequences)]
        self._attached = BASE
        self._fused = True  # whether one adapter does the work of the attached set
        self._steps = 0  # of the attached set while others wait

    @property
    def busy(self) -> bool:
        """Whether any job runs."""
        return any(slot.generation for slot in self.slots)

    @property
    def free(self) -> bool:
        """Whether another job can start."""
        return any(slot.generation is None for slot in self.slots)

    def start(self, job: Job, stream: Stream) -> None:
        """Give a job the free sequence that shares most with its prompt."""
        prompt = job.sequence
        runs = activation_runs(prompt, job.experts)
        free = [slot for slot in self.slots if slot.generation is None]
        slot = max(free, key=lambda slot: slot.ledger.shared(prompt, runs))
        slot.start(job, stream, runs, self.context.model, self.context)

    def turn(self) -> None:
        """End what was cancelled, and advance the jobs of one adapter set by one step."""
        for slot in self.slots:
            if slot.stream and slot.stream.cut:
                self._cut(slot, slot.stream.cut)
            elif slot.generation and not slot.make_room(self.context):
                self._cut(slot, "length")
        running = [slot for slot in self.slots if slot.generation]
        if not running:
            return
        chosen = self._choose(running)
        try:
            self.attach(chosen)
            self._step([slot for slot in running if slot.next_set == chosen])
        except Cancelled:
            return
        except ExpertError as error:
            for slot in running:
                if slot.next_set == chosen:
                    self._fail(slot, error)

    def _choose(self, running: list[Slot]) -> AdapterSet:
        """Return the attached set while it has work, but let others in after its turn."""
        wanted = [slot.next_set for slot in running]
        others = [adapters for adapters in wanted if adapters != self._attached]
        self._steps = self._steps + 1 if others else 0
        if self._attached in wanted and self._steps <= _TURN:
            return self._attached
        self._steps = 0
        return others[0] if others else self._attached

    def attach(self, adapters: AdapterSet) -> None:
        """Make *adapters* act on the next step: fused if that is ready, else one by one.

        A fused adapter is the same function, so it may take over at any token; KV stays valid.

        Raises:
            ResourceError: one of them cannot be loaded.
        """
        unchanged = adapters == self._attached
        if unchanged and self._fused:
            return
        fused = self.fusion.ready(adapters)
        if unchanged and not fused:
            return
        members = adapters.fused(fused) if fused else adapters
        if not self.pool.holds(members):
            # Making room may free what is attached now, so that must be let go of first.
            self.context.attach(Attached())
            self._attached, self._fused = BASE, True
        self.context.attach(self.pool.attached(members))
        self._attached = adapters
        self._fused = bool(fused) or len(adapters.loras.parts) < 2
        self.fusion.request(adapters)

    def _step(self, slots: list[Slot]) -> None:
        room = self.context.options.batch
        plan: list[tuple[Slot, list[Slice]]] = []
        for slot in sorted(slots, key=lambda slot: len(slot.pending)):  # decoding comes first
            parts = slot.next_slices(room)
            if parts:
                plan.append((slot, parts))
                room -= sum(len(part.tokens) for part in parts)
        rows = iter(self.context.step([part for _, parts in plan for part in parts]))
        for slot, parts in plan:
            self._advance(slot, parts, [row for _ in parts for row in next(rows)])

    def _advance(self, slot: Slot, parts: list[Slice], rows: list[int]) -> None:
        generation, stream = slot.generation, slot.stream
        assert generation and stream
        if parts[0].sequence == slot.index:
            slot.ledger.append(parts[0].tokens, self._attached)
            generation.pending = generation.pending[len(parts[0].tokens) :]
        try:
            for piece in generation.take(self.context, rows) if rows else ():
                stream.put(piece)
        except ContractError as error:
            self._fail(slot, error)
            return
        if generation.retreat:
            slot.step_back(self.context)
        if not generation.active and not generation.done:
            generation.done = "length"  # it was only to fill the cache
        if generation.done:
            stream.put(generation.finished())
            slot.release()

    def rebase(self) -> bool:
        """In idle time, decode a part of what experts wrote again with the base.

        So the next expert that acts on the answer alone finds the base's own KV up to there.
        Returns whether there was anything to do.
        """
        slot = next((slot for slot in self.slots if slot.rebase), None)
        if slot is None:
            return False
        part = slot.rebase[:_REBASE]
        slot.rewind(slot.ledger.base_prefix(), self.context)
        try:
            self.attach(BASE)
            self.context.step([Slice(slot.index, len(slot.ledger), part)])
        except Cancelled:
            return True  # what was rewound is computed again when it is needed
        except ExpertError:
            slot.rebase.clear()
            return True
        slot.ledger.append(part, BASE)
        del slot.rebase[: len(part)]
        return True

    def cut_all(self) -> None:
        """End every running job."""
        for slot in self.slots:
            self._cut(slot, "cancelled")

    def fail_all(self, error: Exception) -> None:
        """End every running job with *error*."""
        for slot in self.slots:
            if slot.stream:
                self._fail(slot, error)

    def _cut(self, slot: Slot, finish: Finish) -> None:
        if not slot.generation or not slot.stream:
            return
        _end(slot.generation, slot.stream, finish)
        slot.stream.put(slot.generation.finished())
        slot.release()

    def _fail(self, slot: Slot, error: Exception) -> None:
        assert slot.generation and slot.stream
        _end(slot.generation, slot.stream, "cancelled")
        slot.stream.put(error)
        slot.release()


def _end(generation: Generation | BeamSearch, stream: Stream, finish: Finish) -> None:
    """End a job from outside, with the text that was held back."""
    for piece in generation.cut(finish):
        stream.put(piece)
