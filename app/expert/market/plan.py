"""Works out what an install or update would do, before anything is done.

The plan says what will be added and removed, who signed it, and what the user should know. It holds
for one generation; if another change comes first, it is worked out anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from expert.market.catalogue import Catalogue
from expert.market.commit import NewKey
from expert.market.explain import explain
from expert.market.members import closure, join, settle
from expert.market.records import Edge, Installed, Member
from expert.market.resolver import Candidate, Problem, Requirement, Solution, resolve
from expert.market.standing import check_standing, new_keys, warnings
from expert.market.universe import Available, Universe
from expert.package.keys import PublicKey
from expert.package.manifest import BaseIdentity
from expert.package.ranges import Range


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may say about installing."""

    base: BaseIdentity | None = None
    """The base model the experts must fit; None: any."""
    allow_unsigned: bool = False
    """Accept a package file that nobody signed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change would do."""

    reason: str
    based_on: int
    """The generation it was worked out from."""
    members: tuple[Member, ...]
    edges: tuple[Edge, ...]
    additions: tuple[Available, ...] = ()
    """What becomes active that is not."""
    removals: tuple[Installed, ...] = ()
    """What is active and will not be."""
    keys: tuple[NewKey, ...] = ()
    """Publishers' keys that will be trusted from then on."""
    warnings: tuple[str, ...] = ()
    is_empty: bool = False
    """Everything is as asked for already."""

    @property
    def new_publishers(self) -> dict[str, PublicKey]:
        """Keys seen for the first time, which only the user can judge."""
        return {key.publisher: key.key for key in self.keys if not key.rotations}

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(one.size for one in self.additions if not one.stored)


def plan_install(
    catalogue: Catalogue, universe: Universe, roots: Sequence[Requirement], options: Options
) -> Plan:
    """Plan to add what *roots* ask for to what is installed.

    Raises:
        NotFoundError: something does not exist.
        WrongBaseError: it exists for other base models only.
        ExpertError: versions do not fit together; says why.
        VerificationError: what fits is not signed as it must be.
    """
    installed = {package.id for package in universe.installed}
    pool = {
        name: [_settled(one, installed) for one in found]
        for name, found in universe.pool(root.name for root in roots).items()
    }
    solution = _solve(Problem(tuple(roots), pool, _candidates(universe.installed), options.base))
    reason = "install " + ", ".join(root.name for root in roots)
    edges = catalogue.edges()
    return _plan(catalogue, universe, options, reason, roots, solution, universe.installed, edges)


def plan_update(
    catalogue: Catalogue, universe: Universe, targets: Sequence[Installed], options: Options
) -> Plan:
    """Plan to bring *targets*, which the user asked for, and what they need up to date.

    Raises:
        as `plan_install`.
    """
    pins, edges = catalogue.pins(), catalogue.edges()
    ids = {target.id for target in targets}
    others = (p.id for p in universe.installed if p.requested and p.id not in ids)
    keeping = closure(others, edges)
    stay = [package for package in universe.installed if package.id in keeping]
    roots = [_newer(target, pins.get(target.qualified_name)) for target in targets]
    pool = universe.pool(root.name for root in roots)
    solution = _solve(Problem(tuple(roots), pool, _candidates(stay), options.base))
    reason = "update " + ", ".join(root.name for root in roots)
    edges = [edge for edge in edges if edge.package in keeping]
    return _plan(catalogue, universe, options, reason, roots, solution, stay, edges)


def _newer(target: Installed, pin: str | None) -> Requirement:
    """Return the requirement of a version at least as new as the installed one."""
    text = pin if pin is not None else f">={target.version}"
    return Requirement(target.qualified_name, Range.parse(text))


def _settled(candidate: Candidate, installed: set[str]) -> Candidate:
    """Drop the requirements of what is installed: they are met, and stay as they are."""
    return replace(candidate, requires=()) if candidate.id in installed else candidate


def _candidates(packages: Iterable[Installed]) -> tuple[Candidate, ...]:
    return tuple(Candidate.of(package.id, package.manifest) for package in packages)


def _solve(problem: Problem) -> Solution:
    solution = resolve(problem)
    if solution is None:
        raise explain(problem)
    return solution


def _plan(
    catalogue: Catalogue,
    universe: Universe,
    options: Options,
    reason: str,
    roots: Sequence[Requirement],
    solution: Solution,
    stay: Sequence[Installed],
    edges: Sequence[Edge],
) -> Plan:
    """Join what stays with the solution, and judge the signers of what is new."""
    active = {package.id: package for package in universe.installed}
    all_edges = {*edges, *_edges(solution)}
    asked = [solution.answer(root) for root in roots]
    versions = {one.id: (one.name, one.version) for one in solution.chosen}
    versions |= {p.id: (p.qualified_name, p.parsed_version) for p in active.values()}
    members = settle(join(stay, solution.chosen, asked), all_edges, versions)
    new = [one for one in solution.chosen if one.id in members and one.id not in active]
    additions = tuple(universe.available(one) for one in new)
    for one in additions:
        check_standing(one, allow_unsigned=options.allow_unsigned)
    before = {Member(p.id, p.requested, p.selected) for p in active.values()}
    return Plan(
        reason,
        catalogue.active(),
        tuple(members.values()),
        tuple(edge for edge in all_edges if edge.package in members),
        additions,
        tuple(package for package in active.values() if package.id not in members),
        new_keys(additions),
        tuple(warnings(universe, additions, (root.name for root in roots))),
        set(members.values()) == before,
    )


def _edges(solution: Solution) -> list[Edge]:
    return [
        Edge(one.id, name, solution.answers[name, range_.text].id)
        for one in solution.chosen
        for name, range_ in one.requires
    ]
