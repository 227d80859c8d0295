"""Lock files: exactly which packages are active, to have the same ones elsewhere."""

from collections.abc import Iterator, Mapping
from itertools import combinations

import msgspec

from expert.errors import ExpertError, NotFoundError, VerificationError
from expert.market.catalogue import Catalogue
from expert.market.commit import Progress
from expert.market.install import Confirm, Done, carry_out
from expert.market.market import Market
from expert.market.plan import Options, Plan
from expert.market.records import Edge, Member
from expert.market.resolver import Candidate, excludes
from expert.market.sources.registry import refresh
from expert.market.standing import check_standing, new_keys
from expert.market.universe import Available, Universe
from expert.package.manifest import Count, QualifiedName, Sha256

MAX_SIZE = 4 << 20


class Locked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One active package."""

    name: QualifiedName
    version: str
    id: Sha256
    requested: bool
    selected: bool
    needs: dict[QualifiedName, Sha256] = {}
    """Which package answers each of its requirements."""


class LockFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All active packages."""

    schema: Count
    experts: tuple[Locked, ...]


def write_lock(market: Market) -> bytes:
    """Return the lock file of what is active."""
    with market.reading() as catalogue:
        packages, edges = catalogue.installed(), catalogue.edges()
    experts = tuple(
        Locked(
            package.qualified_name,
            package.version,
            package.id,
            package.requested,
            package.selected,
            {edge.requires: edge.target for edge in edges if edge.package == package.id},
        )
        for package in packages
    )
    data = msgspec.json.encode(LockFile(1, experts), order="sorted")
    return msgspec.json.format(data, indent=2) + b"\n"


def install_lock(
    market: Market,
    data: bytes,
    options: Options,
    confirm: Confirm,
    progress: Progress | None = None,
) -> Done:
    """Make exactly what a lock file lists active, and nothing else.

    Raises:
        VerificationError: it is not a lock file, does not agree with the packages it lists, or one
            is not signed as it must be.
        NotFoundError: a package is in no source.
        ExpertError: it lists experts that exclude each other.
    """
    lock = _read(data)
    refresh(market, online=False)

    def plan(catalogue: Catalogue) -> Plan:
        universe = Universe.open(catalogue)
        locked = {expert.id: _find(universe, expert) for expert in lock.experts}
        _refuse_nonsense(lock, {one: found.candidate for one, found in locked.items()})
        _refuse_conflicts(list(locked.values()))
        active = {package.id: package for package in universe.installed}
        additions = tuple(one for one in locked.values() if one.candidate.id not in active)
        for one in additions:
            check_standing(one, allow_unsigned=options.allow_unsigned)
        members = tuple(Member(e.id, e.requested, e.selected) for e in lock.experts)
        before = {Member(p.id, p.requested, p.selected) for p in active.values()}
        return Plan(
            "install from a lock file",
            catalogue.active(),
            members,
            tuple(_edges(lock)),
            additions,
            tuple(package for package in active.values() if package.id not in locked),
            new_keys(additions),
            is_empty=set(members) == before,
        )

    return carry_out(market, plan, confirm, progress)


def _read(data: bytes) -> LockFile:
    try:
        if len(data) > MAX_SIZE:
            raise ValueError("it is too large")
        lock = msgspec.json.decode(data, type=LockFile)
        ids = [expert.id for expert in lock.experts]
        if lock.schema != 1 or len(set(ids)) < len(ids):
            raise ValueError("its schema is not 1, or a package stands twice")
        if not {target for expert in lock.experts for target in expert.needs.values()} <= set(ids):
            raise ValueError("a requirement is answered by a package that is not listed")
    except (ValueError, RecursionError) as error:
        raise _no_lock_file(str(error)) from None
    return lock


def _no_lock_file(why: str) -> VerificationError:
    return VerificationError(
        "This is not a lock file.", f"{why[:200]!a}.", "Write one with `expert list --lock`."
    )


def _find(universe: Universe, expert: Locked) -> Available:
    universe.load(expert.name)
    found = universe.found[expert.name].get(expert.id)
    if found is None:
        raise NotFoundError(
            f"The locked {expert.name}@{expert.version} is in no source.",
            f"Its package id is {expert.id}.",
            "Add the source that has it, or refresh the sources.",
        )
    return found


def _refuse_nonsense(lock: LockFile, found: Mapping[str, Candidate]) -> None:
    """Refuse a lock file that does not say of its packages what they say themselves."""
    for expert in lock.experts:
        requires = dict(found[expert.id].requires)
        answers = {name: found[target] for name, target in expert.needs.items()}
        if requires.keys() != answers.keys() or not all(
            one.name == name and one.version in requires[name] for name, one in answers.items()
        ):
            raise _no_lock_file(f"{found[expert.id]} requires something else than it says")
        if str(found[expert.id].version) != expert.version:
            raise _no_lock_file(f"{found[expert.id]} is not of the version that it says")
    selected = [expert.name for expert in lock.experts if expert.selected]
    if sorted(selected) != sorted({expert.name for expert in lock.experts}):
        raise _no_lock_file("a name means no version, or two")


def _refuse_conflicts(locked: list[Available]) -> None:
    for one, other in combinations(locked, 2):
        if excludes(one.candidate, other.candidate):
            raise ExpertError(
                f"The lock file lists {one.candidate} and {other.candidate}.",
                "They declare that they conflict.",
                "Write it again with `expert list --lock`.",
            )


def _edges(lock: LockFile) -> Iterator[Edge]:
    for expert in lock.experts:
        for name, target in expert.needs.items():
            yield Edge(expert.id, name, target)
