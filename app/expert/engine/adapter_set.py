"""Which adapters act on which tokens: sets in a canonical order, and runs of positions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from expert.engine.adapter_file import AdapterFile
from expert.errors import UsageError


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

    @property
    def loras(self) -> "AdapterSet":
        """The LoRA members alone: what can be fused into one."""
        return AdapterSet(tuple(part for part in self.parts if part[0].kind == "lora"))

    def fused(self, fused: AdapterFile) -> "AdapterSet":
        """Return the same function with *fused* in place of the LoRA members."""
        others = tuple(part for part in self.parts if part[0].kind != "lora")
        return AdapterSet(((fused, 1.0), *others))

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, AdapterSet) and self.key == other.key)

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


def check_together(experts: Sequence[tuple[AdapterFile, float]]) -> None:
    """Refuse what has no meaning: scaled soft prompts, and several of them.

    LoRAs and control vectors add up in any number, and with a soft prompt, because each acts on
    another part of the computation.

    Raises:
        UsageError: says which.
    """
    prompts = [(file, scale) for file, scale in experts if file.kind == "soft-prompt" and scale]
    if len(prompts) > 1:
        names = " and ".join(file.name for file, _ in prompts)
        raise UsageError(
            f"{names} are soft prompts: they cannot act together.",
            "Each was trained to stand alone before the first token.",
            "Choose one of them.",
        )
    for file, scale in prompts:
        if scale != 1.0:
            raise UsageError(
                f"{file.name} is a soft prompt: it has no scale.",
                f"Embeddings multiplied by {scale:g} are other words, not weaker ones.",
                "Leave the scale out.",
            )


def soft_positions(experts: Sequence[tuple[AdapterFile, float]]) -> range:
    """Return what stands for a soft prompt's rows before the first token: -1 for the first, -2 …

    Together with the adapter set of its position, such a number says what a KV cell was computed
    from, as a token does.
    """
    return range(-1, -1 - sum(file.positions for file, scale in experts if scale), -1)


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
