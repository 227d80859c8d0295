"""Measuring a model file: load, prefill, decode, time to first token, peak memory."""

import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from expert.engine.engine import Engine
from expert.engine.generation import Finished, Job
from expert.engine.memory import check_memory
from expert.engine.model import Model
from expert.engine.options import ContextOptions, LoadOptions
from expert.types import Timings


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure."""

    prompt: int = 512
    """Tokens of prefill."""
    decode: int = 64
    """Tokens of decoding."""
    repeat: int = 5
    threads: int | None = None
    gpu_layers: int | None = None


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Medians over the repeats; speeds in tokens a second, times in seconds, memory in bytes."""

    model: str
    bytes: int
    load_s: float
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    first_token_s: float
    """From a prompt of one short question (16 tokens) to its first answer token."""
    peak_memory: int
    estimated_memory: int
    prefill_runs: tuple[float, ...]
    decode_runs: tuple[float, ...]


def bench(
    path: Path, options: BenchOptions, progress: Callable[[int, int], None] | None = None
) -> BenchResult:
    """Measure one model file through the same engine that answers questions.

    Raises:
        ExpertError: the model cannot be loaded, or memory does not suffice.
    """
    start = time.perf_counter()
    with Model(path, LoadOptions(gpu_layers=options.gpu_layers)) as model:
        load_s = time.perf_counter() - start
        size = options.prompt + options.decode + 16
        context = ContextOptions(size=size, threads=options.threads)
        memory = check_memory(model.header, context)
        with Engine(model, context) as engine:
            runs = []
            for index in range(options.repeat + 1):  # the first warms up and does not count
                runs.append(_run(engine, options, index))
                if progress:
                    progress(index + 1, options.repeat + 1)
    prefill = tuple(run.prefill.prefill_tokens_per_s for run in runs[1:])
    decode = tuple(run.decode.decode_tokens_per_s for run in runs[1:])
    return BenchResult(
        model=path.stem,
        bytes=path.stat().st_size,
        load_s=load_s,
        prefill_tokens_per_s=statistics.median(prefill),
        decode_tokens_per_s=statistics.median(decode),
        first_token_s=statistics.median(run.decode.prefill_s for run in runs[1:]),
        peak_memory=peak_memory(),
        estimated_memory=memory.total,
        prefill_runs=prefill,
        decode_runs=decode,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    prefill: Timings
    decode: Timings


def _run(engine: Engine, options: BenchOptions, seed: int) -> _Run:
    """Prefill a random prompt, then decode from a short one; prompts never share a prefix."""
    draw = random.Random(seed)
    size = engine.model.vocabulary.size

    def prompt(tokens: int) -> list[int]:
        return [draw.randrange(size) for _ in range(tokens)]

    prefill = _timings(engine, Job(prompt(options.prompt), max_tokens=1, ignore_end=True))
    decode = _timings(engine, Job(prompt(16), max_tokens=options.decode + 1, ignore_end=True))
    return _Run(prefill, decode)


def _timings(engine: Engine, job: Job) -> Timings:
    for output in engine.submit(job):
        if isinstance(output, Finished):
            return output.timings
    raise AssertionError("a stream ends with Finished")


def peak_memory() -> int:
    """Return the most memory this process ever held, in bytes; 0 where that is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
