"""Chooses versions: for every requirement the highest that fits, given all the others.

Several versions of an expert may stand side by side, so requirements rarely exclude each other;
declared conflicts and the one base model do. The search goes through the requirements in the order
they turn up, tries the highest version first, and goes back from dead ends, so the result is the
first in that order and the same every time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from expert.errors import ExpertError
from expert.package.manifest import BaseIdentity, Manifest
from expert.package.ranges import Range
from expert.package.semver import Version

MAX_TRIES = 200_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version of an expert that could be chosen."""

    id: str
    name: str
    """Qualified."""
    version: Version
    requires: tuple[tuple[str, Range], ...] = ()
    conflicts: tuple[tuple[str, Range], ...] = ()
    bases: frozenset[BaseIdentity] = frozenset()

    @classmethod
    def of(cls, package: str, manifest: Manifest) -> "Candidate":
        """Return the candidate that a manifest describes."""
        return cls(
            package,
            manifest.qualified_name,
            Version.parse(manifest.version),
            tuple((name, Range.parse(text)) for name, text in manifest.requires.items()),
            tuple((name, Range.parse(text)) for name, text in manifest.conflicts.items()),
            frozenset(base.identity for base in manifest.bases),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Requirement:
    """An expert that must be there, in some range of versions."""

    name: str
    range: Range
    by: Candidate | None = None
    """None: the user asked for it."""

    @property
    def key(self) -> tuple[str, str]:
        """What two requirements share that have one answer."""
        return self.name, self.range.text


@dataclass(frozen=True, slots=True)
class Problem:
    """What to solve."""

    roots: tuple[Requirement, ...]
    pool: Mapping[str, Sequence[Candidate]]
    """All candidates by qualified name."""
    kept: tuple[Candidate, ...] = ()
    """Experts that are installed and stay."""
    base: BaseIdentity | None = None
    """The one base model; None: any."""

    def options(self, requirement: Requirement) -> list[Candidate]:
        """Return what fits a requirement, the highest first."""
        fitting = (
            candidate
            for candidate in self.pool.get(requirement.name, ())
            if candidate.version in requirement.range
            and (self.base is None or self.base in candidate.bases)
        )
        return sorted(fitting, key=lambda candidate: candidate.version, reverse=True)


@dataclass(frozen=True, slots=True)
class Solution:
    """A choice for every requirement."""

    chosen: tuple[Candidate, ...]
    """Every expert needed, once, in the order they turned up."""
    answers: Mapping[tuple[str, str], Candidate]
    """The choice for each requirement, by its key."""

    def answer(self, requirement: Requirement) -> Candidate:
        return self.answers[requirement.key]


def excludes(one: Candidate, other: Candidate) -> bool:
    """Tell whether either of two experts declares a conflict with the other."""
    return _declares(one, other) or _declares(other, one)


def _declares(one: Candidate, other: Candidate) -> bool:
    # Most declare none, and this is asked for every pair.
    return bool(one.conflicts) and any(
        name == other.name and other.version in range_ for name, range_ in one.conflicts
    )


def resolve(problem: Problem) -> Solution | None:
    """Return the first solution in the order of preference, None if there is none.

    Raises:
        ExpertError: too many combinations were tried.
    """
    return _Search(problem).run()


@dataclass(slots=True)
class _Step:
    """A requirement being answered, and what to undo when its answer fails."""

    position: int
    options: Iterator[Candidate]
    agenda_length: int
    added: bool = False


@dataclass(slots=True)
class _Search:
    problem: Problem
    agenda: list[Requirement] = field(default_factory=list)
    answers: dict[tuple[str, str], Candidate] = field(default_factory=dict)
    chosen: dict[str, Candidate] = field(default_factory=dict)
    """By package id, in the order they turned up."""
    tries: int = 0

    def run(self) -> Solution | None:
        self.agenda = list(self.problem.roots)
        steps: list[_Step] = []
        position = 0
        while (position := self._next_open(position)) < len(self.agenda):
            options = iter(self.problem.options(self.agenda[position]))
            steps.append(_Step(position, options, len(self.agenda)))
            while not self._answer(steps[-1]):
                steps.pop()
                if not steps:
                    return None
                self._undo(steps[-1])
            position = steps[-1].position + 1
        return Solution(tuple(self.chosen.values()), self.answers)

    def _next_open(self, position: int) -> int:
        """Return where the next requirement without an answer stands."""
        while position < len(self.agenda) and self.agenda[position].key in self.answers:
            position += 1
        return position

    def _answer(self, step: _Step) -> bool:
        """Take the step's next option that no choice so far excludes."""
        for candidate in step.options:
            self.tries += 1
            if self.tries > MAX_TRIES:
                raise _too_many()
            step.added = candidate.id not in self.chosen
            if step.added and self._is_excluded(candidate):
                continue
            self.answers[self.agenda[step.position].key] = candidate
            if step.added:
                self.chosen[candidate.id] = candidate
                self.agenda += [Requirement(*need, candidate) for need in candidate.requires]
            return True
        return False

    def _is_excluded(self, candidate: Candidate) -> bool:
        others = chain(self.chosen.values(), self.problem.kept)
        return any(other.id != candidate.id and excludes(candidate, other) for other in others)

    def _undo(self, step: _Step) -> None:
        del self.answers[self.agenda[step.position].key]
        del self.agenda[step.agenda_length :]
        if step.added:
            self.chosen.popitem()


def _too_many() -> ExpertError:
    return ExpertError(
        "No fitting set of versions was found in reasonable time.",
        f"{MAX_TRIES} combinations were tried.",
        "Name exact versions of the experts you want.",
    )
