"""Says why versions do not fit together, in one paragraph, with something to try.

The explanation is about a smallest set of requests that cannot be met, and only about installed
experts that stand in the way. What it suggests has been tried: it works.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product

from expert.errors import ExpertError, NotFoundError, WrongBaseError
from expert.market.names import suggestion
from expert.market.resolver import Candidate, Problem, Requirement, excludes, resolve
from expert.package.ranges import Range

_MAX_REASONS = 3


def explain(problem: Problem) -> ExpertError:
    """Return the error that tells why *problem* has no solution.

    It is a NotFoundError if something does not exist, a WrongBaseError if it exists only for other
    base models, and otherwise a plain ExpertError about what excludes what.
    """
    core = smallest(problem)
    for requirement in core.roots:
        if not core.options(requirement):
            return _nothing_fits(core, requirement)
    names = _listed([_asked(root) for root in core.roots])
    together = " together" if len(core.roots) > 1 else ""
    why = "; ".join(_reasons(core)[:_MAX_REASONS]) + "."
    if any(len(core.options(root)) > 1 for root in core.roots):
        why += " Older versions were tried and do not fit either."
    return ExpertError(f"{names} cannot be installed{together}.", why, _advice(core))


def smallest(problem: Problem) -> Problem:
    """Return a smallest part of an unsolvable problem that is unsolvable still."""
    roots = problem.roots
    for root in problem.roots:
        fewer = tuple(other for other in roots if other is not root)
        if fewer and resolve(replace(problem, roots=fewer)) is None:
            roots = fewer
    problem = replace(problem, roots=roots)
    if resolve(replace(problem, kept=())) is None:
        return replace(problem, kept=())
    kept = tuple(other for other in problem.kept if _matters(other, problem))
    for other in kept:
        fewer_kept = tuple(one for one in kept if one is not other)
        if resolve(replace(problem, kept=fewer_kept)) is None:
            kept = fewer_kept
    return replace(problem, kept=kept)


def _matters(kept: Candidate, problem: Problem) -> bool:
    """Tell whether an installed expert excludes anything that could be chosen."""
    return any(excludes(kept, one) for candidates in problem.pool.values() for one in candidates)


def _nothing_fits(problem: Problem, requirement: Requirement) -> ExpertError:
    """Explain a requirement that no version meets."""
    known = problem.pool.get(requirement.name, ())
    if not known:
        return NotFoundError(
            f"There is no expert {requirement.name}.",
            suggestion(requirement.name, problem.pool) or "No source has one of that name.",
            "See `expert search`, or add a source that has it.",
        )
    in_range = [one for one in known if one.version in requirement.range]
    if not in_range:
        versions = _versions(known)
        return NotFoundError(
            f"There is no version of {requirement.name} in {requirement.range}.",
            f"Known versions are {versions}.",
            f"Ask for one of them: expert install {requirement.name}@{_newest(known).version}",
        )
    return WrongBaseError(
        f"{_asked(requirement)} is not for this base model.",
        f"The versions {_versions(in_range)} were made for other base models.",
        "Choose another base model with `expert model use`.",
    )


def _reasons(problem: Problem) -> list[str]:
    """Return what goes wrong when everything gets its preferred version; it is never nothing."""
    preferred: dict[str, Requirement] = {}
    chosen: list[Candidate] = []
    reasons = []
    agenda = list(problem.roots)
    for requirement in agenda:
        options = problem.options(requirement)
        if not options:
            reasons.append(f"{_because(requirement)}{_lack(problem, requirement)}")
        elif options[0].id not in preferred:
            preferred[options[0].id] = requirement
            chosen.append(options[0])
            agenda += [Requirement(*need, options[0]) for need in options[0].requires]
    for one, other in combinations(chosen, 2):
        if excludes(one, other):
            by = preferred[other.id].by
            needed = f", which {by} requires" if by is not None else ""
            reasons.append(f"{_and(preferred[one.id])}{one} conflicts with {other}{needed}")
    for one, other in product(chosen, problem.kept):
        if one.id != other.id and excludes(one, other):
            because = _and(preferred[one.id])
            reasons.append(f"{because}{one} conflicts with {other}, which is installed")
    return list(dict.fromkeys(reasons))


def _because(requirement: Requirement) -> str:
    return f"{requirement.by} requires {requirement.name} {requirement.range}, "


def _and(requirement: Requirement) -> str:
    return "" if requirement.by is None else f"{_because(requirement)}and "


def _lack(problem: Problem, requirement: Requirement) -> str:
    known = problem.pool.get(requirement.name, ())
    if not known:
        return "which no source has"
    if any(one.version in requirement.range for one in known):
        return "which is only there for other base models"
    return f"of which there is only {_versions(known)}"


def _advice(problem: Problem) -> str:
    """Return something to try that has been found to work."""
    for root in problem.roots:
        others = tuple(other for other in problem.roots if other is not root)
        for candidate in _newest_first(problem.pool.get(root.name, ())):
            exact = Requirement(root.name, Range.parse(f"={candidate.version}"))
            if resolve(replace(problem, roots=(exact, *others))) is not None:
                return f"Try: expert install {root.name}@{candidate.version}"
    for other in problem.kept:
        fewer = tuple(one for one in problem.kept if one is not other)
        if resolve(replace(problem, kept=fewer)) is not None:
            return f"Try: expert uninstall {other.name}@{other.version}"
    if len(problem.roots) > 1:
        return f"Install one of them only, such as {_asked(problem.roots[0])}."
    return f"Ask the publisher of {problem.roots[0].name} for a version that fits."


def _asked(requirement: Requirement) -> str:
    return f"{requirement.name}@{requirement.range}" if requirement.range.text else requirement.name


def _newest(candidates: Sequence[Candidate]) -> Candidate:
    return max(candidates, key=lambda candidate: candidate.version)


def _newest_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: candidate.version, reverse=True)


def _versions(candidates: Sequence[Candidate]) -> str:
    texts = [str(candidate.version) for candidate in _newest_first(candidates)]
    return ", ".join(texts[:5]) + (", …" if len(texts) > 5 else "")


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
