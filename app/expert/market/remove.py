"""Taking experts away, going back to an earlier state, and keeping updates off."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from expert.errors import NotFoundError, UsageError
from expert.market.market import Market
from expert.market.members import settle
from expert.market.names import parse_named, pick
from expert.market.records import Edge, Generation, Installed, Member
from expert.store.database import transaction


def uninstall(market: Market, names: Sequence[str]) -> list[Installed]:
    """Make experts inactive, with what only they needed; return what was removed.

    Their files stay until `gc`, so that `rollback` can bring them back.

    Raises:
        NotFoundError: one is not installed.
        UsageError: another one needs it.
    """
    with market.catalogue() as catalogue, market.store.changing():
        installed, edges = catalogue.installed(), catalogue.edges()
        gone = {pick(installed, name).id for name in names}
        members = {
            package.id: Member(
                package.id, package.requested and package.id not in gone, package.selected
            )
            for package in installed
        }
        versions = {p.id: (p.qualified_name, p.parsed_version) for p in installed}
        left = settle(members, edges, versions)
        stay = [edge for edge in edges if edge.package in left]
        _refuse_needed(gone & left.keys(), stay, installed)
        removed = [package for package in installed if package.id not in left]
        reason = "uninstall " + ", ".join(package.label for package in removed)
        with transaction(catalogue.connection):
            catalogue.add_generation(reason, left.values(), stay)
            catalogue.record("change", reason)
        return removed


def _refuse_needed(needed: set[str], edges: Iterable[Edge], installed: list[Installed]) -> None:
    labels = {package.id: package.label for package in installed}
    for edge in edges:
        if edge.target in needed:
            raise UsageError(
                f"{labels[edge.target]} cannot be removed.",
                f"{labels[edge.package]} needs it.",
                f"Remove both: expert uninstall {labels[edge.package]} {labels[edge.target]}",
            )


def rollback(market: Market, number: int | None = None) -> Generation:
    """Return to generation *number*, or to the one that the present one was made from.

    Raises:
        NotFoundError: there is no such generation, or none before the present one.
    """
    with market.catalogue() as catalogue, market.store.changing():
        generations = {found.number: found for found in catalogue.generations()}
        target = generations[catalogue.active()].parent if number is None else number
        if target is None or target not in generations:
            what = f"There is no generation {number}."
            if number is None:
                what = "There is nothing to go back to."
            raise NotFoundError(what, "", "See `expert rollback --list`.")
        with transaction(catalogue.connection):
            catalogue.activate(target)
            catalogue.record("rollback", str(target))
        return replace(generations[target], active=True)


def pin(market: Market, name: str) -> tuple[str, str]:
    """Keep updates of an installed expert within the range named behind its `@`.

    Without a range its present version is kept.

    Returns:
        Its qualified name and the range.

    Raises:
        NotFoundError: it is not installed.
    """
    named = parse_named(name)
    with market.catalogue() as catalogue, transaction(catalogue.connection):
        package = pick(catalogue.installed(), name.partition("@")[0])
        allowed = named.range.text if named.range is not None else package.version
        catalogue.set_pin(package.qualified_name, allowed)
        catalogue.record("pin", package.qualified_name, range=allowed)
        return package.qualified_name, allowed


def unpin(market: Market, name: str) -> str:
    """Let updates of an installed expert go on; return its qualified name.

    Raises:
        NotFoundError: it is not installed.
    """
    with market.catalogue() as catalogue, transaction(catalogue.connection):
        package = pick(catalogue.installed(), name)
        catalogue.set_pin(package.qualified_name, None)
        catalogue.record("unpin", package.qualified_name)
        return package.qualified_name
