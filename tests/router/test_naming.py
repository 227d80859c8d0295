"""Experts named in the prompt: who is meant, and what is left of the prompt."""

import random

import pytest

from expert.router.naming import Naming, naming
from expert.router.reading import MENTION, read
from expert.router.router import Router
from expert.router.types import Candidate, RouteRequest

SQL = Candidate("1", "acme/sql", keywords=("sql",), examples=("list users",))
OTHER = Candidate("2", "zoo/sql", keywords=("sql",), examples=("list animals",))
JSON = Candidate("3", "acme/json", keywords=("json",), examples=("as json",))


def named(prompt: str, *candidates: Candidate) -> Naming:
    """Return what the names of a prompt decide among some experts."""
    request = RouteRequest(prompt)
    return naming(candidates or (SQL, OTHER, JSON), request, read(request))


@pytest.mark.parametrize(
    ("prompt", "chosen", "left"),
    [
        ("@sql how many", {"1"}, "how many"),
        ("@acme/sql how many", {"1"}, "how many"),
        ("@zoo/sql how many", {"2"}, "how many"),
        ("how many @json", {"3"}, "how many"),
        ("how @json many", {"3"}, "how  many"),
        ("@json @sql x", {"1", "3"}, "x"),
        ("@json @json x", {"3"}, "x"),
        ("(@json) x", {"3"}, "() x"),
        ("@json, please", {"3"}, ", please"),
        ("@json", {"3"}, ""),
        ("@base x", set(), "x"),
        ("@none x", set(), "x"),
        ("@base @json x", {"3"}, "x"),
        ("x\n@json\ny", {"3"}, "x\n\ny"),
    ],
)
def test_a_known_name_decides(prompt: str, chosen: set[str], left: str) -> None:
    """By short or whole name, anywhere; of two with one short name, the first."""
    found = named(prompt)
    assert found.decides
    assert found.chosen == frozenset(chosen)
    assert (found.prompt, found.unknown) == (left, ())


@pytest.mark.parametrize(
    "prompt",
    ["", "how many", "me@json", "a@sql.org", "@json.dumps(x)", "x/@json", "@@json", "@JSON",
     ".@json", "@json@sql", "\\@jsonx", "@-json"],
)  # fmt: skip
def test_what_is_no_name(prompt: str) -> None:
    """Addresses, paths, decorators and other letters decide nothing, and stay as they are."""
    found = named(prompt)
    assert not found.decides
    assert (found.chosen, found.prompt) == (frozenset(), prompt)


def test_unknown_names() -> None:
    """Each is told once, in order; alone they leave the prompt alone, beside a known one too."""
    found = named("@regex @foo @regex x")
    assert (found.decides, found.unknown) == (False, ("regex", "foo"))
    assert found.prompt == "@regex @foo @regex x"
    found = named("@regex @json x")
    assert (found.decides, found.unknown, found.prompt) == (True, ("regex",), "@regex  x")


def test_a_name_of_the_base_cannot_be_taken() -> None:
    """An expert that is called `base` is the one that is meant; nobody else can be."""
    taken = Candidate("9", "evil/base")
    assert named("@base x", taken).chosen == {"9"}
    assert named("@none x", taken).chosen == frozenset()


def test_random_prompts() -> None:
    """Whatever stands around, a name counts exactly where the pattern finds it."""
    source = random.Random(8)
    parts = ["@json", "@sql", "@nobody", "@", " ", "x", ".", "/", "é", "\n", "(", "@base", "1"]
    for _ in range(2000):
        prompt = "".join(source.choices(parts, k=source.randrange(1, 9)))
        found = named(prompt)
        mentions = MENTION.findall(prompt)
        known = {"json": "3", "sql": "1", "base": ""}
        assert found.decides is any(name in known for name in mentions)
        assert found.chosen == {known[name] for name in mentions if known.get(name)}
        assert set(found.unknown) == {name for name in mentions if name not in known}
        if not found.decides:
            assert found.prompt == prompt


def test_the_router_obeys() -> None:
    """Named experts answer with certainty, whatever the prompt is about; scales stay shared."""
    router = Router([SQL, JSON])
    route = router.route(RouteRequest("@json hello"))
    assert [(choice.name, choice.probability, choice.scale) for choice in route.choices] == [
        ("acme/json", 1.0, 1.0)
    ]
    assert (route.none, route.prompt, route.reasons) == (0.0, "hello", ("you named acme/json",))
    both = router.route(RouteRequest("@json @sql hello"))
    assert {choice.name: choice.scale for choice in both.choices} == {
        "acme/json": 0.6, "acme/sql": 0.6,
    }  # fmt: skip
    nobody = router.route(RouteRequest("@base sql for all users"))
    assert (nobody.choices, nobody.none) == ((), 1.0)
    assert nobody.reasons == ("you asked for the base model",)


def test_an_unknown_name_is_told_by_the_router() -> None:
    """It is the first reason, and the rest is decided as ever."""
    route = Router([JSON]).route(RouteRequest("@regex hello"))
    assert route.reasons[0] == "there is no expert called @regex"
    assert route.prompt == "@regex hello"
