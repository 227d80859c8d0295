"""Installing and updating: work out a plan, let the user decide, fetch, and commit.

If another process makes a change meanwhile, the plan is worked out again; the user is asked again
only if there is more to agree to.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from expert.errors import NotFoundError, ResourceError
from expert.market.catalogue import Catalogue
from expert.market.commit import Addition, Change, Progress, commit
from expert.market.market import Market
from expert.market.members import closure
from expert.market.names import package_path, parse_named, pick
from expert.market.plan import Options, Plan, plan_install, plan_update
from expert.market.records import Installed, Trust
from expert.market.resolver import Requirement
from expert.market.sources.registry import (
    list_sources,
    open_source,
    refresh,
    source_troubles,
)
from expert.market.universe import Available, Universe
from expert.package.container import inspect
from expert.package.ranges import Range

Confirm = Callable[[Plan], bool]
"""Shows a plan to the user, who says yes or no."""
ATTEMPTS = 50
"""How often other processes may come between before giving up."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a request."""

    plan: Plan
    generation: int | None
    """The generation now in force; None if nothing was done, or had to be."""


def install(
    market: Market,
    requests: Sequence[str],
    options: Options,
    confirm: Confirm,
    progress: Progress | None = None,
) -> Done:
    """Install experts by name, with or without a range, or from package files.

    Raises:
        UsageError, NotFoundError: a request is wrong, or nothing has it.
        WrongBaseError, ExpertError: versions do not fit together; says why.
        VerificationError: a package is not signed as it must be, or is damaged.
        NetworkNeededError, ResourceError: fetching or storing failed.
    """
    troubles = tuple(source_troubles(refresh(market, online=False)))

    def plan(catalogue: Catalogue) -> Plan:
        universe = Universe.open(catalogue)
        roots = [_root(universe, request) for request in requests]
        made = plan_install(catalogue, universe, roots, options)
        return replace(made, warnings=(*troubles, *made.warnings))

    return carry_out(market, plan, confirm, progress)


def update(
    market: Market,
    names: Sequence[str],
    options: Options,
    confirm: Confirm,
    progress: Progress | None = None,
) -> Done:
    """Bring experts up to date within their pins; all that the user asked for if none is named.

    Raises:
        as `install`.
    """

    def plan(catalogue: Catalogue) -> Plan:
        return _plan_update(catalogue, names, options)

    return carry_out(market, plan, confirm, progress)


def available_updates(market: Market, names: Sequence[str], options: Options) -> Plan:
    """Return what `update` would do.

    Raises:
        as `install`.
    """
    with market.reading() as catalogue:
        return _plan_update(catalogue, names, options)


def _plan_update(catalogue: Catalogue, names: Sequence[str], options: Options) -> Plan:
    targets = _targets(catalogue, names)
    return plan_update(catalogue, Universe.open(catalogue), targets, options)


def _root(universe: Universe, request: str) -> Requirement:
    """Return the requirement that a request makes."""
    path = package_path(request)
    if path is not None:
        available = universe.add_file(inspect(path), path)
        candidate = available.candidate
        return Requirement(candidate.name, Range.parse(f"={candidate.version}"))
    named = parse_named(request)
    return Requirement(universe.qualify(named), named.range or Range.parse(""))


def _targets(catalogue: Catalogue, names: Sequence[str]) -> list[Installed]:
    """Return what an update is about; for what only others need, it is about those others."""
    installed, edges = catalogue.installed(), catalogue.edges()
    asked = {package.id: package for package in installed if package.requested}
    if not names:
        return [package for package in asked.values() if package.selected]
    wanted = {pick(installed, name).id for name in names}
    only_needed = wanted - asked.keys()
    return [
        package
        for package in asked.values()
        if package.id in wanted or only_needed & closure([package.id], edges)
    ]


def carry_out(
    market: Market,
    make: Callable[[Catalogue], Plan],
    confirm: Confirm,
    progress: Progress | None,
) -> Done:
    """Put the plan that *make* works out into force, unless the user says no.

    Raises:
        as `install`.
    """
    confirmed: set[str] | None = None
    for _ in range(ATTEMPTS):
        with market.reading() as catalogue:
            plan = make(catalogue)
        if plan.is_empty:
            return Done(plan, None)
        ids = {one.candidate.id for one in plan.additions}
        if confirmed is None or not ids <= confirmed:
            if not confirm(plan):
                return Done(plan, None)
            confirmed = ids
        additions = _fetch(market, plan.additions, progress)
        change = Change(plan.reason, plan.members, plan.edges, tuple(additions), plan.keys)
        generation = commit(market, change, plan.based_on, progress)
        if generation is not None:
            return Done(plan, generation)
    raise ResourceError(
        "Other processes keep changing the installed experts.",
        f"The change was worked out {ATTEMPTS} times, and each time another came first.",
        "Try again when they are done.",
    )


def _fetch(
    market: Market, needed: Sequence[Available], progress: Progress | None
) -> Iterator[Addition]:
    """Yield each package with its file, unless the store has its contents."""
    entries = {entry.name: entry for entry in list_sources(market)}
    for one in needed:
        path = None if one.stored else Path(one.location)
        if not one.stored and not one.is_file:
            if one.source not in entries:
                raise NotFoundError(f"There is no source {one.source} any more.", "", "Try again.")
            path = open_source(market, entries[one.source]).fetch(one.location, progress)
        yield Addition(path, one.candidate.id, one.signer, _trust(one), one.source)


def _trust(one: Available) -> Trust:
    if one.signer is not None:
        return "signed"
    return "unvouched" if one.is_imported else "unsigned"
