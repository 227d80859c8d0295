"""Choosing versions: against brute force, and every refusal explained by what matters."""

import itertools
import random
from dataclasses import replace

import pytest

from expert.errors import ExpertError, NotFoundError, WrongBaseError
from expert.market.explain import explain, smallest
from expert.market.resolver import Candidate, Problem, Requirement, excludes, resolve
from expert.package.manifest import BaseIdentity
from expert.package.ranges import Range
from expert.package.semver import Version

SMALL, LARGE = (
    BaseIdentity(architecture="qwen3", shapes=d * 64, tokenizer=d * 64, norms=d * 64) for d in "12"
)


def candidate(
    text: str, requires: str = "", conflicts: str = "", *bases: BaseIdentity
) -> Candidate:
    """Return a candidate: `a/x@1.0.0`, and comma-separated `a/y@^1`."""
    name, version = text.split("@")
    return Candidate(
        text, name, Version.parse(version), relations(requires), relations(conflicts),
        frozenset(bases or (SMALL, LARGE)),
    )  # fmt: skip


def relations(text: str) -> tuple[tuple[str, Range], ...]:
    """Parse `a/y@^1, a/z@*`."""
    pairs = (part.strip().split("@") for part in text.split(",") if part)
    return tuple((name, Range.parse(range_)) for name, range_ in pairs)


def problem(
    roots: str, *candidates: Candidate, kept: str = "", base: BaseIdentity | None = None
) -> Problem:
    """Return a problem; *kept* names some of the candidates by id."""
    pool: dict[str, list[Candidate]] = {}
    for one in candidates:
        pool.setdefault(one.name, []).append(one)
    asked = tuple(Requirement(*relation) for relation in relations(roots))
    stay = tuple(one for one in candidates if one.id in kept.split())
    return Problem(asked, pool, stay, base)


def ids(found: Problem) -> list[str] | None:
    """Return what is chosen."""
    solution = resolve(found)
    return None if solution is None else [one.id for one in solution.chosen]


def test_the_highest_version_is_chosen() -> None:
    """Of all in the range, releases only."""
    versions = [candidate(f"a/x@{v}") for v in ("1.0.0", "1.10.0", "1.9.0", "2.0.0-rc", "0.1.0")]
    assert ids(problem("a/x@*", *versions)) == ["a/x@1.10.0"]
    assert ids(problem("a/x@<1.10", *versions)) == ["a/x@1.9.0"]


def test_versions_stand_side_by_side() -> None:
    """Two experts that need different versions of a third both get theirs."""
    assert ids(
        problem(
            "a/x@*, a/y@*",
            candidate("a/x@1.0.0", "a/z@^1"), candidate("a/y@1.0.0", "a/z@^2"),
            candidate("a/z@1.5.0"), candidate("a/z@2.5.0"),
        )
    ) == ["a/x@1.0.0", "a/y@1.0.0", "a/z@1.5.0", "a/z@2.5.0"]  # fmt: skip


def test_circles_end() -> None:
    """Experts may require each other."""
    found = problem("a/x@*", candidate("a/x@1.0.0", "a/y@*"), candidate("a/y@1.0.0", "a/x@*"))
    assert ids(found) == ["a/x@1.0.0", "a/y@1.0.0"]


def test_a_chain_of_a_thousand_is_no_problem() -> None:
    """Depth does not matter, and nothing is cut off in silence."""
    chain = [candidate(f"a/x{i}@1.0.0", f"a/x{i + 1}@*") for i in range(1000)]
    assert len(ids(problem("a/x0@*", *chain, candidate("a/x1000@1.0.0"))) or ()) == 1001
    assert ids(problem("a/x0@*", *chain)) is None


def test_a_conflict_makes_it_go_back() -> None:
    """An older version is taken when the newest conflicts with something that must be there."""
    found = problem(
        "a/x@*, a/y@*",
        candidate("a/x@1.0.0"), candidate("a/x@2.0.0", "", "a/z@*"),
        candidate("a/y@1.0.0", "a/z@*"), candidate("a/z@1.0.0"),
    )  # fmt: skip
    assert ids(found) == ["a/x@1.0.0", "a/y@1.0.0", "a/z@1.0.0"]


def test_installed_experts_count() -> None:
    """A conflict with what stays installed excludes, in either direction."""
    kept = candidate("a/old@1.0.0", "", "a/x@>=2")
    found = problem(
        "a/x@*", candidate("a/x@1.0.0"), candidate("a/x@2.0.0"), kept, kept="a/old@1.0.0"
    )
    assert ids(found) == ["a/x@1.0.0"]


def test_only_experts_for_the_base_are_chosen() -> None:
    """One base model at a time."""
    versions = (candidate("a/x@1.0.0", "", "", SMALL), candidate("a/x@2.0.0", "", "", LARGE))
    assert ids(problem("a/x@*", *versions, base=SMALL)) == ["a/x@1.0.0"]
    assert ids(problem("a/x@*", *versions)) == ["a/x@2.0.0"]


def test_hopeless_searches_end_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of tries is limited."""
    monkeypatch.setattr("expert.market.resolver.MAX_TRIES", 50)
    versions = [candidate(f"a/x{n}@{v}.0.0") for n in range(5) for v in range(1, 5)]
    last = candidate("a/last@1.0.0", "", "a/x0@*")
    roots = ", ".join(f"a/x{n}@*" for n in range(5)) + ", a/last@*"
    with pytest.raises(ExpertError, match="reasonable time"):
        resolve(problem(roots, *versions, last))


# Brute force ----------------------------------------------------------------------------------


def random_problem(source: random.Random) -> Problem:
    """Return a small problem with requirements, conflicts, bases and installed experts."""
    names = [f"a/{letter}" for letter in "wxyz"[: source.randrange(2, 5)]]
    ranges = ["*", "*", "^1", "^2", "<2", ">=2", "1.0.0", "=3.0.0"]

    def some(count: int, name: str) -> str:
        others = [other for other in names if other != name]
        chosen = source.sample(others, min(count, len(others)))
        return ", ".join(f"{other}@{source.choice(ranges)}" for other in chosen)

    made = []
    for name in names:
        for version in source.sample(["1.0.0", "1.1.0", "2.0.0"], source.randrange(1, 4)):
            bases = source.choice([(SMALL,), (LARGE,), (SMALL, LARGE), (SMALL, LARGE)])
            needs = some(source.choice([0, 0, 1, 1, 2]), name)
            against = some(source.choice([0, 0, 0, 1]), name)
            made.append(candidate(f"{name}@{version}", needs, against, *bases))
    roots = source.sample(names, source.randrange(1, len(names) + 1))
    asked = ", ".join(f"{name}@{source.choice(ranges)}" for name in roots)
    kept = " ".join(one.id for one in source.sample(made, source.choice([0, 0, 1])))
    return problem(asked, *made, kept=kept, base=source.choice([None, None, SMALL]))


def solvable(found: Problem) -> bool:
    """Tell whether any set of candidates has all that is needed and no conflict; tries them all."""
    usable = [
        one
        for candidates in found.pool.values()
        for one in candidates
        if found.base is None or found.base in one.bases
    ]

    def mask(name: str, range_: Range) -> int:
        fits = (one.name == name and one.version in range_ for one in usable)
        return sum(1 << place for place, fit in enumerate(fits) if fit)

    roots = [mask(root.name, root.range) for root in found.roots]
    needs = [[mask(*need) for need in one.requires] for one in usable]
    against = [
        sum(1 << place for place, other in enumerate(usable) if excludes(one, other))
        for one in usable
    ]
    free = [not any(k.id != one.id and excludes(one, k) for k in found.kept) for one in usable]
    places = range(len(usable))
    for chosen in range(1 << len(usable)):
        if all(chosen & root for root in roots) and all(
            free[place] and not chosen & against[place] and all(chosen & n for n in needs[place])
            for place in places
            if chosen >> place & 1
        ):
            return True
    return False


def is_valid(found: Problem, chosen: frozenset[Candidate]) -> bool:
    """Tell whether a set meets all requirements and has no conflict."""
    needs = [(root.name, root.range) for root in found.roots]
    needs += [need for one in chosen for need in one.requires]
    met = all(any(o.name == name and o.version in r for o in chosen) for name, r in needs)
    pairs = itertools.product(chosen, {*chosen, *found.kept})
    return met and not any(one.id != other.id and excludes(one, other) for one, other in pairs)


def first_by_preference(found: Problem) -> list[str] | None:
    """Return the first solution in the resolver's order, by trying all without looking ahead."""

    def search(
        agenda: list[Requirement], position: int, answers: dict[tuple[str, str], Candidate]
    ) -> dict[tuple[str, str], Candidate] | None:
        while position < len(agenda) and agenda[position].key in answers:
            position += 1
        if position == len(agenda):
            return answers if is_valid(found, frozenset(answers.values())) else None
        for one in found.options(agenda[position]):
            new = [Requirement(*need, one) for need in one.requires]
            more = [] if one in answers.values() else new
            deeper = search(agenda + more, position + 1, answers | {agenda[position].key: one})
            if deeper is not None:
                return deeper
        return None

    answers = search(list(found.roots), 0, {})
    return None if answers is None else list(dict.fromkeys(one.id for one in answers.values()))


def check_random(count: int, seed: int, explain_every: int) -> tuple[int, int]:
    """Compare on random problems; return how many were solvable and how many were not."""
    source = random.Random(seed)
    counts = [0, 0]
    for number in range(count):
        found = random_problem(source)
        solution = resolve(found)
        assert (solution is not None) == solvable(found)
        if solution is None:
            if number % explain_every == 0:
                check_explanation(found)
        else:
            assert is_valid(found, frozenset(solution.chosen))
            assert [one.id for one in solution.chosen] == first_by_preference(found)
        counts[solution is None] += 1
    return counts[0], counts[1]


def check_explanation(found: Problem) -> None:
    """Check that a refusal is about a smallest part, names it, and suggests what works."""
    core = smallest(found)
    assert not solvable(core)
    for root in core.roots if len(core.roots) > 1 else ():
        fewer = tuple(other for other in core.roots if other is not root)
        assert solvable(replace(core, roots=fewer))
    for other in core.kept:
        fewer_kept = tuple(one for one in core.kept if one is not other)
        assert solvable(replace(core, kept=fewer_kept))
    error = explain(found)
    assert any(root.name in error.what for root in core.roots)
    assert len(error.why) > 1
    assert error.fix
    check_suggestion(core, error.fix)


def check_suggestion(core: Problem, fix: str) -> None:
    """Check that following a suggestion works, by brute force."""
    verb, _, text = fix.removeprefix("Try: expert ").partition(" ")
    if not fix.startswith("Try: "):
        return
    name, version = text.split("@")
    if verb == "install":
        exact = Requirement(name, Range.parse(f"={version}"))
        roots = tuple(exact if root.name == name else root for root in core.roots)
        assert solvable(replace(core, roots=roots))
    else:
        kept = tuple(one for one in core.kept if one.id != text)
        assert solvable(replace(core, kept=kept))


def test_the_resolver_equals_brute_force() -> None:
    """On a thousand small random graphs."""
    assert min(check_random(1000, 1, 2)) > 100


@pytest.mark.slow
def test_the_resolver_equals_brute_force_on_many_graphs() -> None:
    """On ten thousand."""
    assert min(check_random(10_000, 2, 25)) > 1000


# Explanations ---------------------------------------------------------------------------------


def explained(found: Problem) -> tuple[str, str, str]:
    """Return what an explanation says."""
    assert resolve(found) is None
    error = explain(found)
    return error.what, error.why, error.fix


def test_two_requests_that_exclude_each_other() -> None:
    """The paragraph names both, the reason and a way out that works."""
    assert explained(
        problem(
            "a/poet@2, a/legal@*, a/fine@*",
            candidate("a/poet@2.0.0", "a/tools@^2"), candidate("a/poet@1.0.0"),
            candidate("a/legal@1.0.0", "", "a/tools@>=2"),
            candidate("a/tools@2.1.0"), candidate("a/fine@1.0.0"),
        )
    ) == (
        "a/poet@2 and a/legal@* cannot be installed together.",
        "a/legal 1.0.0 conflicts with a/tools 2.1.0, which a/poet 2.0.0 requires.",
        "Try: expert install a/poet@1.0.0",
    )  # fmt: skip


def test_a_requirement_that_nobody_has() -> None:
    """The chain down to what is missing is told."""
    what, why, fix = explained(
        problem("a/x@*", candidate("a/x@1.0.0", "a/y@*"), candidate("a/y@3.0.0", "b/z@^7"))
    )
    assert what == "a/x@* cannot be installed."
    assert why == "a/y 3.0.0 requires b/z ^7, which no source has."
    assert fix == "Ask the publisher of a/x for a version that fits."


def test_a_version_that_nobody_has() -> None:
    """The versions there are, are listed."""
    _, why, _ = explained(
        problem("a/x@*", candidate("a/x@1.0.0", "a/y@^2"), candidate("a/y@1.0.0"))
    )
    assert why == "a/x 1.0.0 requires a/y ^2, of which there is only 1.0.0."


def test_an_installed_expert_in_the_way() -> None:
    """It is called installed, and uninstalling it is suggested."""
    _, why, fix = explained(
        problem(
            "a/x@*", candidate("a/x@1.0.0"), candidate("a/old@1.0.0", "", "a/x@*"),
            candidate("a/fine@1.0.0"), kept="a/old@1.0.0 a/fine@1.0.0",
        )
    )  # fmt: skip
    assert why == "a/x 1.0.0 conflicts with a/old 1.0.0, which is installed."
    assert fix == "Try: expert uninstall a/old@1.0.0"


def test_an_unknown_expert() -> None:
    """A close name is suggested."""
    found = problem("a/sqll@*", candidate("a/sql@1.0.0"))
    error = explain(found)
    assert isinstance(error, NotFoundError)
    assert error.why == "Did you mean a/sql?"


def test_a_range_without_versions() -> None:
    """What there is, is listed, and the newest suggested."""
    error = explain(problem("a/x@^9", candidate("a/x@1.0.0"), candidate("a/x@1.10.0")))
    assert isinstance(error, NotFoundError)
    assert "1.10.0, 1.0.0" in error.why
    assert error.fix.endswith("a/x@1.10.0")


def test_another_base_model() -> None:
    """An expert that exists for other base models only has an error of its own."""
    found = problem("a/x@*", candidate("a/x@1.0.0", "", "", LARGE), base=SMALL)
    assert isinstance(explain(found), WrongBaseError)
    deeper = problem(
        "a/x@*", candidate("a/x@1.0.0", "a/y@*"), candidate("a/y@1.0.0", "", "", LARGE), base=SMALL
    )
    assert "only there for other base models" in explain(deeper).why
