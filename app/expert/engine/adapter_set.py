"""Which adapters act on which tokens: sets in a canonical order, and runs of positions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from expert.engine.adapter_file import AdapterFile


@dataclass(frozen=True)
class AdapterSet:
    """Adapters with their scales; the empty set is the base itself.

    Sets are equal when they compute the same function: the order given, adapters of scale 0 and
    repeated adapters (llama.cpp would silently keep one of them) make no difference.
    """

    parts: tuple[tuple[AdapterFile, float], ...] = ()

    @classmethod
    def of(cls, parts: Iterable[tuple[AdapterFile, float]]) -> "AdapterSet":
        """Return the set of *parts* in canonical form: by content, scales of equals added."""
        files: dict[str, AdapterFile] = {}
        scales: dict[str, float] = {}
        for file, scale in parts:
            files.setdefault(file.digest, file)
            scales[file.digest] = scales.get(file.digest, 0.0) + scale
        kept = sorted(digest for digest, scale in scales.items() if scale)
        return cls(tuple((files[digest], scales[digest]) for digest in kept))

    @cached_property
    def key(self) -> tuple[tuple[str, float], ...]:
        """What makes two sets the same function: contents and scales."""
        return tuple((file.digest, scale) for file, scale in self.parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AdapterSet) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __bool__(self) -> bool:
        return bool(self.parts)


BASE = AdapterSet()


@dataclass(frozen=True, slots=True)
class Run:
    """From position *start* on, until the next run, *adapters* act."""

    start: int
    adapters: AdapterSet


def activation_runs(
    prompt: Sequence[int], experts: Sequence[tuple[AdapterFile, float]]
) -> tuple[Run, ...]:
    """Return which adapters act where on *prompt*; the last run holds for the answer too.

    A `prompt` adapter acts from the first token. An `answer` adapter acts from the first token of
    the last occurrence of its invocation tokens, as PEFT trains it; where they do not occur it
    acts from the end of the prompt. Source: activated LoRA (Greenewald et al. 2025,
    arXiv:2504.12397).
    """
    starts = [_start(prompt, file.invocation) for file, _ in experts]
    runs = []
    for start in sorted({0, *starts}):
        active = [part for part, begin in zip(experts, starts, strict=True) if begin <= start]
        runs.append(Run(start, AdapterSet.of(active)))
    return tuple(runs)


def _start(prompt: Sequence[int], invocation: tuple[int, ...]) -> int:
    size = len(invocation)
    if not size:
        return 0
    for start in range(len(prompt) - size, -1, -1):
        if tuple(prompt[start : start + size]) == invocation:
            return start
    return len(prompt)


def set_at(runs: Sequence[Run], position: int) -> AdapterSet:
    """Return the adapters that act at *position*."""
    found = BASE
    for run in runs:
        if run.start > position:
            break
        found = run.adapters
    return found


def run_end(runs: Sequence[Run], position: int) -> int | None:
    """Return where the run that holds *position* ends; None: it is the last."""
    return next((run.start for run in runs if run.start > position), None)
