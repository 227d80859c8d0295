"""Experts that nobody knew when the parameters were fitted work from their manifest alone."""

from pathlib import Path

import pytest

from expert.router.fit import fit
from expert.router.labelled import load_labelled
from expert.router.router import Router
from expert.router.types import Candidate, Route, RouteRequest

POETRY = Candidate(
    id="poetry",
    name="muse/poetry",
    about="Writes poems, haiku and limericks on any subject.",
    keywords=("poem", "poems", "haiku", "limerick", "sonnet", "rhyme"),
    examples=(
        "write a poem about the sea", "a haiku on autumn leaves", "compose a sonnet for my wife",
        "give me a limerick about a sailor", "write a poem for a birthday card",
        "a rhyme about a lazy cat", "poem about my home town, four stanzas",
        "write a short poem about a computer", "a haiku about rain please",
        "I need a poem for a wedding", "compose a limerick about tax", "verse about the moon",
    ),
)  # fmt: skip
CHEMISTRY = Candidate(
    id="chemistry",
    name="lab/chemistry",
    about="Balances chemical equations and names compounds.",
    keywords=("chemical equation", "balance", "molecule", "stoichiometry", "reaction"),
    examples=(
        "balance the equation H2 + O2 -> H2O", "balance this chemical reaction: Fe + O2",
        "name the compound NaHCO3", "what is the formula of calcium carbonate",
        "molar mass of glucose", "balance the combustion of propane",
        "how many grams of CO2 come from 10 g of carbon", "the formula of sulphuric acid",
        "write the chemical equation for rusting", "oxidation state of manganese in KMnO4",
    ),
)  # fmt: skip


def names(route: Route) -> set[str]:
    """Return the ids of the chosen experts."""
    return {choice.name.rpartition("/")[2] for choice in route.choices}


@pytest.fixture(scope="module")
def wider(candidates: list[Candidate]) -> Router:
    """Return a router with two experts more than it was fitted with."""
    return Router([*candidates, POETRY, CHEMISTRY])


@pytest.mark.parametrize(
    ("prompt", "expert"),
    [
        ("Write a poem about SQL", "poetry"),
        ("write a haiku about the first snow", "poetry"),
        ("balance this equation: Al + O2 -> Al2O3", "chemistry"),
        ("SQL query for all customers in Rome", "sql"),
        ("regex for a postcode", "regex"),
    ],
)
def test_new_experts_find_their_requests(wider: Router, prompt: str, expert: str) -> None:
    """The new ones take what is theirs, and nothing from the others."""
    assert names(wider.route(RouteRequest(prompt))) == {expert}


def test_a_new_expert_does_not_take_off_topic_requests(wider: Router) -> None:
    """General questions still go to the base."""
    for prompt in ("what is the capital of Peru", "explain inflation", "hello there"):
        assert names(wider.route(RouteRequest(prompt))) == set()


def test_an_expert_with_only_a_name_and_keywords(candidates: list[Candidate]) -> None:
    """A manifest without examples is poor, but valid, and can be named."""
    bare = Candidate("x", "acme/sprockets", keywords=("sprocket",))
    router = Router([*candidates, bare])
    assert names(router.route(RouteRequest("@sprockets anything"))) == {"sprockets"}
    assert names(router.route(RouteRequest("SQL query for all users"))) == {"sql"}


@pytest.mark.slow
@pytest.mark.parametrize("left", ["shell"])
def test_an_expert_left_out_of_the_fit_is_routed(
    candidates: list[Candidate], prompts: Path, left: str
) -> None:
    """Fitted without one expert, the parameters hold for it too: most of its requests find it."""
    others = [candidate for candidate in candidates if candidate.short_name != left]
    requests = [each for each in load_labelled(prompts, "development") if left not in each.experts]
    weights = fit(requests, others)["both"]
    router = Router(candidates, weights=weights)
    mine = [e for e in load_labelled(prompts, "development") if e.experts == (left,)]
    found = sum(names(router.route(each.request)) == {left} for each in mine)
    assert found / len(mine) > 0.6
