"""Which packages a generation has: what the user asked for, what that needs, and nothing else."""

from collections.abc import Iterable, Mapping, Sequence

from expert.market.records import Edge, Installed, Member
from expert.market.resolver import Candidate
from expert.package.semver import Version


def closure(roots: Iterable[str], edges: Iterable[Edge]) -> set[str]:
    """Return packages and all they need, by id."""
    targets: dict[str, list[str]] = {}
    for edge in edges:
        targets.setdefault(edge.package, []).append(edge.target)
    reached = dict.fromkeys(roots)
    agenda = list(reached)
    for package in agenda:
        for target in targets.get(package, ()):
            if target not in reached:
                reached[target] = None
                agenda.append(target)
    return set(reached)


def join(
    stay: Iterable[Installed], chosen: Sequence[Candidate], asked: Sequence[Candidate]
) -> dict[str, Member]:
    """Join what stays and what was chosen; what was *asked* for becomes what its name means."""
    names = {one.name for one in asked}
    members = {
        package.id: Member(
            package.id,
            package.requested,
            package.selected and package.qualified_name not in names,
        )
        for package in stay
    }
    ids = {one.id for one in asked}
    for one in chosen:
        if one.id in ids:
            members[one.id] = Member(one.id, True, True)
        else:
            members.setdefault(one.id, Member(one.id, False, False))
    return members


def settle(
    members: Mapping[str, Member],
    edges: Iterable[Edge],
    versions: Mapping[str, tuple[str, Version]],
) -> dict[str, Member]:
    """Drop what nothing needs, and let each name mean one version.

    Args:
        members: by package id.
        edges: between them, and perhaps others.
        versions: qualified name and version of each package.
    """
    needed = closure((one.package for one in members.values() if one.requested), edges)
    left = {package: member for package, member in members.items() if package in needed}
    meant = {versions[package][0]: package for package in left if left[package].selected}
    for package in left:
        name, version = versions[package]
        other = meant.setdefault(name, package)
        if not left[other].selected and version > versions[other][1]:
            meant[name] = package
    return {
        package: Member(package, member.requested, meant[versions[package][0]] == package)
        for package, member in left.items()
    }
