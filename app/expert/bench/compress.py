"""Smaller forms of an adapter side by side: size, time until attached, loss, and what is left.

Every form is made from the original; `svd` (a plain LoRA of lower ranks) and `osd` are made at the
sizes of the others, so that rows of one size compare methods.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from expert.bench.divergence import Passage, divergences
from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import BASE, AdapterSet
from expert.engine.context import Context, Slice
from expert.engine.expansion import attachable
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.pool import AdapterPool
from expert.errors import VerificationError
from expert_converters.compress.compress import CompressJob, compress
from expert_converters.errors import ConversionError

Progress = Callable[[int, int], None]
Scores = dict[str, tuple[float, tuple[float, float]]]
"""A share and its 95 % interval for each task."""

ORIGINAL, ALONE = "original", "base alone"
SAME_SIZE = ("svd", "osd", "q3")
"""Methods that take any size."""


@dataclass(frozen=True, slots=True)
class Form:
    """One form of the adapter; sizes in bytes, times in seconds."""

    name: str
    path: Path | None
    """Where it is while the comparison runs; None: no adapter at all."""
    bytes: int = 0
    budget: int | None = None
    """Bytes it was made for; None: its own size."""
    loss: float = 0.0
    """Share of the adapter's squared norm that it misses."""
    first_s: float = 0.0
    """From the file to attached, for the first time: expanding and checking included."""
    load_s: float = 0.0
    """The same later, median."""
    divergence: float | None = None
    """Mean KL divergence from the original, in nats a token; None: not measured."""
    scores: Scores | None = None
    """Task scores; None: not measured."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to compare, and on what."""

    adapter: Path
    base: Path
    budgets: tuple[int, ...] = ()
    """Sizes for the methods that take any; none: those of q4_0, q3 and q2."""
    passages: tuple[Passage, ...] = ()
    score: Callable[[Sequence[tuple[str, Path | None]]], dict[str, Scores]] | None = None
    """Scores named adapters in tasks; None leaves that out."""
    repeat: int = 5


def bench_compress(wanted: Comparison, progress: Progress | None = None) -> list[Form]:
    """Make and measure every form; the original comes first and the base alone last.

    Raises:
        VerificationError: the adapter cannot be read, or a budget is too small for it.
        ExpertError: the model cannot be loaded, or a passage or task not be read.
    """
    with tempfile.TemporaryDirectory(prefix="expert-bench.") as name:
        forms = list(_forms(wanted, Path(name), progress))
        timed = [*_timed(wanted, forms), Form(ALONE, None)]
        attached = {form.name: form.path and attachable(form.path) for form in timed}
        try:
            return _judged(wanted, timed, attached, progress)
        finally:
            for form in forms:
                if attached[form.name] != form.path:
                    Path(str(attached[form.name])).unlink(missing_ok=True)


def _judged(
    wanted: Comparison,
    forms: list[Form],
    attached: dict[str, Path | None],
    progress: Progress | None,
) -> list[Form]:
    """Return the forms with divergences and task scores, as far as these are wanted."""
    if wanted.passages:
        original, others = wanted.adapter, list(attached.values())
        found = divergences(wanted.base, original, others, wanted.passages, progress)
        pairs = zip(forms, found, strict=True)
        forms = [replace(form, divergence=value) for form, value in pairs]
    if wanted.score is not None:
        scores = wanted.score(list(attached.items()))
        forms = [replace(form, scores=scores[form.name]) for form in forms]
    return forms


def _forms(wanted: Comparison, folder: Path, progress: Progress | None) -> Iterator[Form]:
    """Yield the original and every other form, written into *folder*."""
    copy = folder / "original.gguf"  # nothing is remembered of it, as of the other forms
    shutil.copyfile(wanted.adapter, copy)
    yield Form(ORIGINAL, copy, copy.stat().st_size)
    own = [_made(wanted, folder, method, None) for method in ("q8_0", "q4_0", "q3", "q2")]
    yield from own
    budgets = dict.fromkeys(wanted.budgets or (form.bytes for form in own[1:]))
    todo = [(method, budget) for budget in budgets for method in SAME_SIZE]
    for done, (method, budget) in enumerate(todo, 1):
        if all((form.name, form.bytes) != (method, budget) for form in own):
            yield _made(wanted, folder, method, budget)
        if progress is not None:
            progress(done, len(todo))


def _made(wanted: Comparison, folder: Path, method: str, budget: int | None) -> Form:
    name = method if budget is None else f"{method} in {budget / 1000:.15g} kB"
    target = folder / f"{method}-{budget or 0}.gguf"
    try:
        report = compress(CompressJob(wanted.adapter, target, method, budget))
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    return Form(name, target, report.nbytes, budget, report.loss)


def _timed(wanted: Comparison, forms: Sequence[Form]) -> list[Form]:
    """Return the forms with the time from file to attached."""
    with (
        Model(wanted.base) as model,
        Context(model, ContextOptions(size=256, batch=32)) as context,
    ):
        context.step([Slice(0, 0, [1], 1)])
        found = []
        for form in forms:
            assert form.path is not None
            times = [_attach(context, form.path) for _ in range(wanted.repeat + 1)]
            later = statistics.median(times[1:])
            found.append(replace(form, first_s=times[0], load_s=later))
        return found


def _attach(context: Context, path: Path) -> float:
    """Return the time from a path to the adapter attached, with nothing of it in memory."""
    pool = AdapterPool(context.model)
    start = time.perf_counter()
    file: AdapterFile = read_adapter(attachable(path), context.model.header)
    context.attach(pool.attached(AdapterSet.of([(file, 1.0)])))
    seconds = time.perf_counter() - start
    context.attach(pool.attached(BASE))
    pool.close()
    return seconds
