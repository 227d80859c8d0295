"""How often tasks, formats and languages occur in each expert's examples, and what that tells."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct

from expert.router.ngrams import Vector
from expert.router.reading import Reading, read_example
from expert.router.types import Candidate

_ADDED = 0.5  # Laplace smoothing of the shares below
_FORMAT = 10  # a format in a tenth of the examples belongs to the expert
_FEW = 20  # fewer examples are counted as if there were as many


class Profile(Struct):
    """How often each task, format and language occurs in the examples of one expert."""

    size: int
    tasks: dict[str, int]
    formats: dict[str, int]
    inputs: list[str]
    """Formats that the manifest declares."""
    languages: dict[str, int]

    def reads(self, name: str) -> float:
        """Return how much a format belongs to this expert, from 0 to 1."""
        return 1.0 if name in self.inputs else min(1.0, _FORMAT * self._part(name))

    @property
    def habit(self) -> float:
        """How much this expert is used to something pasted, from 0 to 1."""
        return max((self._part(name) for name in self.formats), default=0.0)

    def _part(self, name: str) -> float:
        return self.formats.get(name, 0) / max(self.size, _FEW)

    def part(self, task: str) -> float:
        """Return the plain share of examples with this task."""
        return self.tasks.get(task, 0) / max(self.size, 1)

    def share(self, counts: dict[str, int], key: str) -> float:
        """Return the smoothed share of examples that have *key*."""
        return (counts.get(key, 0) + _ADDED) / (self.size + 2 * _ADDED)


def profile(candidate: Candidate) -> Profile:
    """Count what the examples of a candidate are."""
    readings: list[Reading] = [read_example(text) for text in candidate.examples]
    return Profile(
        size=len(readings),
        tasks=Counter(reading.task for reading in readings),
        formats=Counter(name for reading in readings for name in reading.formats),
        inputs=[c.removeprefix("input:") for c in candidate.capabilities if c.startswith("input:")],
        languages=Counter(reading.language for reading in readings),
    )


class Profiles:
    """The profiles of all candidates side by side, with the base's for comparison.

    Every answer is a vector with one number a candidate, kept for the next request.
    """

    def __init__(self, profiles: Sequence[Profile]) -> None:
        *self._experts, self._base = profiles
        self._known: dict[tuple[str, str], Vector] = {}

    def part(self, task: str) -> Vector:
        """The share of examples with this task."""
        return self._of("part", task, lambda each: each.part(task))

    def task_ratio(self, task: str) -> Vector:
        """How much likelier this task is than among the base's examples, as a logarithm."""
        base = self._base.share(self._base.tasks, task)
        return self._of("task", task, lambda e: _log_ratio(e.share(e.tasks, task), base))

    def language_ratio(self, code: str) -> Vector:
        """How much likelier this language is than among the base's examples, as a logarithm."""
        base = self._base.share(self._base.languages, code)
        return self._of("language", code, lambda e: _log_ratio(e.share(e.languages, code), base))

    def reads(self, name: str) -> Vector:
        """How much a format belongs to each expert, from 0 to 1."""
        return self._of("reads", name, lambda each: each.reads(name))

    def habit(self) -> Vector:
        """How much each expert is used to something pasted, from 0 to 1."""
        return self._of("habit", "", lambda each: each.habit)

    def _of(self, what: str, key: str, value: Callable[[Profile], float]) -> Vector:
        found = self._known.get((what, key))
        if found is None:
            found = np.array([value(each) for each in self._experts], np.float64)
            self._known[what, key] = found
        return found


def _log_ratio(own: float, other: float) -> float:
    """Return how much likelier one share is than the other, between -3 and 3."""
    return max(-3.0, min(3.0, math.log(own / other)))
