"""Decisions of the router as a user meets them."""

from dataclasses import replace
from pathlib import Path

import pytest

from expert.router.router import THRESHOLD, TOGETHER, Router
from expert.router.types import Candidate, Route, RouteRequest
from expert.router.weights import Platt, Weights
from expert.types import Attachment, Parameters


def names(route: Route) -> set[str]:
    """Return the short names of the chosen experts."""
    return {choice.name.rpartition("/")[2] for choice in route.choices}


@pytest.mark.parametrize(
    ("prompt", "expert"),
    [
        ("regex for an email address", "regex"),
        ("Write a SQL query that lists all customers from Spain", "sql"),
        ("bash command that counts the lines of all Python files", "shell"),
        ("extract name and age from the text as JSON: Ann is 31", "json"),
        ("translate to French: the shop is closed", "translate"),
        ("write a commit message for renaming a function", "commit"),
        ("Cypher query for the neighbours of a node in neo4j", "cypher"),
    ],
)
def test_plain_requests(router: Router, prompt: str, expert: str) -> None:
    """What an expert is for goes to it alone, at full strength, with a reason."""
    route = router.route(RouteRequest(prompt))
    assert names(route) == {expert}
    (choice,) = route.choices
    assert choice.probability >= THRESHOLD
    assert choice.scale == 1.0
    assert choice.reasons
    assert choice.name in route.reasons[0]


@pytest.mark.parametrize(
    "prompt",
    [
        "write a poem about SQL",
        "who invented regular expressions?",
        "explain what JSON is to a child",
        "hello",
        "",
        "what is the capital of Peru",
        "?",
        "🙂" * 50,
    ],
)
def test_off_topic_requests(router: Router, prompt: str) -> None:
    """A topic, a question about a technology or small talk is for the base model."""
    route = router.route(RouteRequest(prompt))
    assert names(route) == set()
    assert len(route.alternatives) == len(router.candidates)
    assert route.reasons


def test_probabilities(router: Router) -> None:
    """They lie between 0 and 1, the likeliest comes first, and none opposes the best."""
    topical = router.route(RouteRequest("SQL query for all users"))
    general = router.route(RouteRequest("what is the capital of Peru"))
    for route in (topical, general):
        every = [c.probability for c in (*route.choices, *route.alternatives)]
        assert all(0 <= p <= 1 for p in [*every, route.none])
        assert every == sorted(every, reverse=True)
    assert topical.none < 0.5 < general.none


def test_the_same_request_gives_the_same_route(router: Router, candidates: list[Candidate]) -> None:
    """Nothing depends on chance, nor on the order in which experts were installed."""
    request = RouteRequest("list all files larger than 10 MB")
    once = router.route(request)
    assert router.route(request) == once
    assert Router(candidates[::-1]).route(request).choices == once.choices


def test_an_explicit_name_decides(router: Router) -> None:
    """@sql takes the SQL expert whatever the prompt says, and is not part of the prompt."""
    route = router.route(RouteRequest("@sql tell me about roses"))
    assert names(route) == {"sql"}
    assert route.choices[0].probability == 1.0
    assert route.none == 0.0
    assert route.prompt == "tell me about roses"
    assert names(router.route(RouteRequest("@expert/json roses"))) == {"json"}


def test_several_names(router: Router) -> None:
    """Each of them acts, not too strongly together."""
    route = router.route(RouteRequest("@sql @json orders per day"))
    assert names(route) == {"sql", "json"}
    assert sum(choice.scale for choice in route.choices) == pytest.approx(TOGETHER, abs=0.02)


@pytest.mark.parametrize("name", ["base", "none"])
def test_the_base_can_be_named(router: Router, name: str) -> None:
    """@base keeps every expert out."""
    route = router.route(RouteRequest(f"@{name} SQL query for all users"))
    assert names(route) == set()
    assert route.none == 1.0
    assert route.prompt == "SQL query for all users"


def test_an_unknown_name_is_text(router: Router) -> None:
    """A name that nobody has stays in the prompt, and the user is told."""
    route = router.route(RouteRequest("@nobody SQL query for all users"))
    assert route.prompt.startswith("@nobody")
    assert names(route) == {"sql"}
    assert any("@nobody" in reason for reason in route.reasons)


def test_several_experts(router: Router) -> None:
    """A request for two things gets two experts, their strengths shared."""
    request = RouteRequest(
        "give me the bash command to list files and also a SQL query for all users"
    )
    route = router.route(request)
    assert names(route) == {"shell", "sql"}
    assert all(choice.scale < 1 for choice in route.choices)
    assert len(router.route(replace(request, limit=1)).choices) == 1


def test_a_diff_alone_is_for_the_commit_expert(router: Router) -> None:
    """What is piped in decides without a word."""
    patch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"
    assert names(router.route(RouteRequest(patch))) == {"commit"}
    assert names(router.route(RouteRequest("", (Attachment("a.patch", patch),)))) == {"commit"}


def test_a_schema_makes_a_question_one_for_sql(router: Router) -> None:
    """The same words with and without a schema."""
    question = "How many entries does each city have?"
    schema = "CREATE TABLE city (id INT, name TEXT);\nCREATE TABLE entry (id INT, city INT);"
    route = router.route(RouteRequest(question, (Attachment("schema.sql", schema),)))
    assert names(route) == {"sql"}
    assert any("table definition" in reason for reason in route.choices[0].reasons)


def test_a_negation(router: Router) -> None:
    """An expert that the request refuses is less likely."""
    plain = router.route(RouteRequest("a query for all users, SQL"))
    refused = router.route(RouteRequest("a query for all users, not SQL"))

    def sql(route: Route) -> float:
        every = (*route.choices, *route.alternatives)
        return next(choice.probability for choice in every if choice.name == "expert/sql")

    assert sql(refused) < sql(plain)


def test_parameters(router: Router) -> None:
    """An expert's manifest states them; without an expert the task does."""
    sql = router.route(RouteRequest("SQL query for all users")).parameters
    assert (sql.temperature, sql.max_tokens) == (0.0, 160)
    assert router.route(RouteRequest("write a poem about snow")).parameters.temperature == 0.8
    plain = router.route(RouteRequest("what is the capital of Peru")).parameters
    assert plain == Parameters()


def test_conflicting_experts_never_act_together() -> None:
    """Of two that exclude each other the likelier one acts."""
    one = Candidate("1", "a/one", keywords=("flurb", "garden"), conflicts=("a/two",))
    two = Candidate("2", "a/two", keywords=("snork", "kitchen"))
    request = RouteRequest("give me a flurb and a snork")
    other = replace(one, conflicts=())
    together = Router([other, two], weights=_eager()).route(request)
    assert names(together) == {"one", "two"}
    apart = Router([one, two], weights=_eager()).route(request)
    assert len(apart.choices) == 1


def _eager() -> Weights:
    """Return parameters that choose every expert asked for by keyword."""
    return Weights(-2.0, {"asked": 8.0}, Platt(1.0, 0.0), Platt(-1.0, 0.0))


def test_priority_settles_a_tie() -> None:
    """Of two equal experts the one with priority comes first."""
    one = Candidate("1", "a/one", keywords=("flurb",), priority=0.2)
    two = Candidate("2", "a/two", keywords=("flurb",), priority=0.9)
    route = Router([one, two], weights=_eager()).route(RouteRequest("a flurb"))
    every = (*route.choices, *route.alternatives)
    assert [choice.id for choice in every] == ["2", "1"]


def test_no_experts() -> None:
    """Without any, the base answers and says why."""
    route = Router([]).route(RouteRequest("SQL query"))
    assert route.choices == route.alternatives == ()
    assert route.none == 1.0
    assert route.reasons == ("no expert is installed",)


def test_the_cache(candidates: list[Candidate], tmp_path: Path) -> None:
    """The index is kept by the hash of the texts; a damaged one is made again."""
    request = RouteRequest("regex for a date")
    first = Router(candidates, cache=tmp_path).route(request)
    (file,) = tmp_path.iterdir()
    assert Router(candidates, cache=tmp_path).route(request) == first
    file.write_bytes(b"damaged")
    assert Router(candidates, cache=tmp_path).route(request) == first
    Router(candidates[:2], cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_that_cannot_be_written_does_no_harm(
    candidates: list[Candidate], tmp_path: Path
) -> None:
    """A file where the folder should be costs time, not correctness."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert Router(candidates, cache=blocked).route(RouteRequest("regex for a date")).choices
