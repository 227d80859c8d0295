"""Measuring experts: switching, loading, the first token after a switch, and what they cost.

The adapters are random, of rank 32 in Q8_0 over every matrix of the model: speed does not depend on
what they learnt.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from expert.bench.random_adapter import RandomAdapter, write_random_adapter
from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import BASE, AdapterSet
from expert.engine.context import Slice
from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job, Piece
from expert.engine.memory import check_memory
from expert.engine.model import Model
from expert.engine.options import ContextOptions

RANK = 32
INVOCATION = 2  # tokens: the role and the line's end, as `expert train` writes them
_ADAPTERS = 10


@dataclass(frozen=True, slots=True)
class ExpertsBench:
    """What experts cost on one model; times in seconds, overheads as shares of the base's time."""

    adapter_bytes: int
    load_s: float
    """Median time to load an adapter from a warm file."""
    switch_p50_s: float
    switch_p95_s: float
    """The first decode after a switch minus an ordinary one."""
    first_token_s: float
    """From a question to the first token by another, re-based `answer` expert."""
    prefill_s: float
    """The same with nothing in the cache."""
    history: int
    """Tokens of conversation before that question."""
    decode_overhead: dict[str, float]
    """For `1`, `3 fused`, `10 fused`, `3 separate`, `10 separate` experts."""


def bench_experts(
    path: Path,
    history: int = 2000,
    tokens: int = 24,
    context: ContextOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ExpertsBench:
    """Measure experts on one model file, in a context as *context* says but for its size.

    Raises:
        ExpertError: the model cannot be loaded, or memory does not suffice.
    """
    with tempfile.TemporaryDirectory() as folder, Model(path) as model:
        options = replace(context or ContextOptions(), size=history + 512)
        check_memory(model.header, options)
        files = _adapters(model, Path(folder))
        budget = 30 * files[0].bytes
        with Engine(model, options, adapter_budget=budget) as engine:
            bench = _Bench(engine, files, tokens)
            tell = progress or (lambda _done, _total: None)
            load = bench.load()
            tell(1, 4)
            p50, p95 = bench.switch()
            tell(2, 4)
            overhead = bench.overhead()
            tell(3, 4)
            first, prefill = bench.first_token(history)
            tell(4, 4)
    return ExpertsBench(files[0].bytes, load, p50, p95, first, prefill, history, overhead)


def _adapters(model: Model, folder: Path) -> list[AdapterFile]:
    """Make ten `prompt` adapters and, last, three `answer` adapters."""
    invocation = tuple(range(5, 5 + INVOCATION))
    made = []
    for seed in range(_ADAPTERS + 3):
        spec = RandomAdapter(RANK, seed, invocation if seed >= _ADAPTERS else ())
        path = folder / f"{seed}.gguf"
        write_random_adapter(model.header, spec, path)
        made.append(read_adapter(path, model.header))
    return made


class _Bench:
    """The measurements, each on the same engine."""

    def __init__(self, engine: Engine, files: Sequence[AdapterFile], tokens: int) -> None:
        self._engine = engine
        self._files = files
        self._tokens = tokens

    def load(self) -> float:
        """Return the median time to load an adapter whose file is in the page cache."""
        pool = self._engine.pool

        def once(file: AdapterFile) -> float:
            start = time.perf_counter()
            pool.load(file)
            return time.perf_counter() - start

        return statistics.median(self._engine.call(partial(once, file)) for file in self._files)

    def _decode(self, position: int) -> float:
        start = time.perf_counter()
        self._engine.context.step([Slice(0, position, [7], 1)])
        return time.perf_counter() - start

    def _timed(self, sets: Sequence[AdapterSet]) -> list[float]:
        """Return the time of one decode after attaching each set in turn."""
        scheduler, context = self._engine.scheduler, self._engine.context
        context.forget(0, 0)
        times = []
        for position, adapters in enumerate(sets):
            start = time.perf_counter()
            scheduler.attach(adapters)
            attach = time.perf_counter() - start
            times.append(attach + self._decode(position))
        context.forget(0, 0)
        return times

    def switch(self) -> tuple[float, float]:
        """Return p50 and p95 of a switch between resident experts."""
        sets = [AdapterSet.of([(file, 1.0)]) for file in self._files[:4]]
        # Every second decode stays with the expert before it: both kinds meet the same machine.
        order = [sets[index // 2 % 4] for index in range(124)]
        times = self._engine.call(lambda: self._timed(order))[4:]
        ordinary = statistics.median(times[1::2])
        extra = sorted(one - ordinary for one in times[::2])
        return statistics.median(extra), extra[int(len(extra) * 0.95)]

    def overhead(self) -> dict[str, float]:
        """Return the share by which experts slow decoding, fused and one by one."""
        rows: dict[str, float] = {}
        for count in (1, 3, 10):
            adapters = AdapterSet.of([(file, 0.2) for file in self._files[:count]])
            if count > 1:
                rows[f"{count} separate"] = self._slower(adapters)
                self._engine.fusion.wait(adapters)
            rows["1" if count == 1 else f"{count} fused"] = self._slower(adapters)
        return rows

    def _slower(self, adapters: AdapterSet) -> float:
        """Compare decoding with and without a set, in alternation."""
        ratios = []
        for _ in range(9):
            base, with_experts = (
                statistics.median(self._engine.call(partial(self._timed, [one] * self._tokens))[2:])
                for one in (BASE, adapters)
            )
            ratios.append(with_experts / base - 1)
        return statistics.median(ratios)

    def first_token(self, history: int) -> tuple[float, float]:
        """Return the first token's time after a switch on a re-based history, and without any."""
        answering = self._files[_ADAPTERS:]
        invocation = list(answering[0].invocation)
        talk = [100 + index % 900 for index in range(history)]
        fresh = self._first([*talk, *invocation], answering[0])
        times = []
        for turn in range(6):
            talk = [*talk, *invocation, 50 + turn, 9]
            _run(self._engine, Job(talk, max_tokens=0))
            times.append(self._first([*talk, *invocation], answering[turn % 3]))
            self._rest()
        return statistics.median(times[1:]), fresh

    def _first(self, prompt: list[int], file: AdapterFile) -> float:
        job = Job(prompt, max_tokens=1, experts=((file, 1.0),), ignore_end=True)
        start = time.perf_counter()
        for output in self._engine.submit(job):
            if isinstance(output, Piece):
                return time.perf_counter() - start
        raise AssertionError("a job of one token gives one")

    def _rest(self) -> None:
        """Wait until what the expert wrote has been decoded again with the base."""
        while any(slot.rebase for slot in self._engine.scheduler.slots):
            time.sleep(0.002)


def _run(engine: Engine, job: Job) -> None:
    for output in engine.submit(job):
        if isinstance(output, Finished):
            return
