"""Rows made by a model at an endpoint: what is asked, kept, counted and written."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataset.conftest import MakePlan, Write
from expert.dataset.generate.budget import Limits, Meter, Usage
from expert.dataset.generate.client import Patience
from expert.dataset.generate.journal import journal_of
from expert.dataset.generate.plan import Plan, Price, read_plan
from expert.dataset.generate.run import Made, Order, estimate, generate, key_of, opened
from expert.dataset.reading import Source, read_rows
from expert.dataset.rows import Row
from expert.errors import ContractError, NotFoundError, ResourceError, UsageError
from support.endpoint import KEY, Endpoint

QUICK = Patience(tries=6, first=0.01, most=0.05)


def order(target: Path, count: int, **more: Any) -> Order:
    """Return an order that waits little."""
    made = Order(target, count, Limits(), parallel=4, patience=QUICK)
    return replace(made, **more)


def make(plan: Plan, wanted: Order) -> Made:
    """Make rows as the command does."""
    with opened(plan, wanted) as journal:
        return generate(plan, wanted, key_of(plan), journal)


def rows_of(path: Path) -> list[Row]:
    """Return the rows of a file."""
    return list(read_rows(Source(path)))


@pytest.mark.parametrize("provider", ["openai", "deepseek", "anthropic"])
def test_each_protocol(
    provider: str, endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """As many rows as wanted, all different; the key in the right header; tokens counted."""
    target = tmp_path / "rows.jsonl"
    made = make(read_plan(make_plan(provider=provider)), order(target, 30))
    rows = rows_of(target)
    assert len({row.prompt for row in rows}) == len(rows) == made.rows == 30
    assert made.used == Usage(200 * made.requests, 400 * made.requests)
    assert made.cost == pytest.approx(made.requests * (200 + 800) / 1e6)
    assert not journal_of(target).exists()
    first = endpoint.seen[0]
    assert first.body["model"] == "writer"
    assert first.body["max_tokens"] == 4096
    if provider == "anthropic":
        assert first.path == "/v1/messages"
        assert (first.headers["x-api-key"], first.headers["anthropic-version"]) == (
            KEY,
            "2023-06-01",
        )
    else:
        assert first.path.endswith("/chat/completions")
        assert first.headers["authorization"] == f"Bearer {KEY}"
        assert first.body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_servers_that_do_not_stream(
    provider: str, endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """A whole reply in one piece of JSON is as good."""
    endpoint.rule = lambda _: "plain"
    made = make(read_plan(make_plan(provider=provider)), order(tmp_path / "rows.jsonl", 10))
    assert (made.rows, made.cut) == (10, 0)


def test_requests_differ_and_carry_what_the_plan_says(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path, write: Write
) -> None:
    """Each is about a topic, shows seeds, and names how many rows and of which form."""
    seeds = [{"prompt": f"seed question {n}", "answer": f"seed answer {n}"} for n in range(9)]
    write("seeds.jsonl", seeds)
    more = 'topics = ["files", "text"]\nseeds = "seeds.jsonl"\nshots = 2\nrows_a_request = 5'
    make(read_plan(make_plan(more)), order(tmp_path / "rows.jsonl", 20))
    texts = [seen.body["messages"][-1]["content"] for seen in endpoint.seen]
    assert len(set(texts)) == len(texts) >= 4
    assert "Topic: files" in texts[0]
    assert all(text.count("seed question") == 2 and "Write 5 new rows" in text for text in texts)
    assert "requests for one shell command" in texts[0]


def test_preference_pairs(endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path) -> None:
    """A plan can ask for a worse answer too; rows without one are refused."""
    from support.endpoint import row

    endpoint.make = lambda n: {**row(n), **({"rejected": "echo no"} if n % 2 else {})}
    made = make(read_plan(make_plan('kind = "preference"')), order(tmp_path / "rows.jsonl", 10))
    assert {one.kind for one in rows_of(tmp_path / "rows.jsonl")} == {"preference"}
    assert made.refused["it is no row of this kind"] > 0
    assert '"rejected"' in endpoint.seen[0].body["messages"][-1]["content"]


def test_only_right_answers_are_kept(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """Answers of a task are checked before they count."""
    from support.endpoint import row

    endpoint.make = lambda n: {**row(n), "answer": "[0-9]+" if n % 3 else "[0-9"}
    made = make(read_plan(make_plan('task = "regex"')), order(tmp_path / "rows.jsonl", 20))
    assert {one.answer for one in rows_of(tmp_path / "rows.jsonl")} == {"[0-9]+"}
    assert made.refused["its answer is not right for regex"] >= 5


def test_a_schema_is_shown_checked_and_kept(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """SQL runs on the tables of the plan's schema, which each row then carries."""
    from expert.dataset.tasks import checker
    from support.endpoint import row

    (tmp_path / "shop.sql").write_text("CREATE TABLE item (name TEXT, price REAL);")
    answers = ("SELECT name FROM item", "SELECT colour FROM item")
    endpoint.make = lambda n: {**row(n), "answer": answers[n % 2]}
    plan = read_plan(make_plan('task = "sql"\nschema = "shop.sql"'))
    make(plan, order(tmp_path / "rows.jsonl", 10))
    assert "CREATE TABLE item" in endpoint.seen[0].body["messages"][-1]["content"]
    rows = rows_of(tmp_path / "rows.jsonl")
    with checker("sql") as check:
        assert [check(one) for one in rows] == [""] * 10


def test_what_was_there_before_is_not_kept_again(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path, write: Write
) -> None:
    """Neither equal nor nearly equal prompts, nor those of the seeds."""
    from support.endpoint import row

    write("seeds.jsonl", [row(0), row(1)])

    def doubled(number: int) -> dict[str, Any]:
        made = row(number // 2)
        return made if number % 2 else {**made, "prompt": f"{made['prompt']}!"}

    endpoint.make = doubled
    made = make(read_plan(make_plan('seeds = "seeds.jsonl"')), order(tmp_path / "r.jsonl", 20))
    prompts = {one.prompt.rstrip("!") for one in rows_of(tmp_path / "r.jsonl")}
    assert len(prompts) == 20
    assert not prompts & {row(0)["prompt"], row(1)["prompt"]}
    assert made.refused["its prompt is nearly one that was there before"] >= 19


# Limits -------------------------------------------------------------------------------------------


def test_a_meter_lets_nothing_begin_that_could_go_beyond() -> None:
    """What is under way counts as its most, until it is known."""
    meter = Meter(Price(1.0, 1.0), Limits(money=0.001))
    assert meter.begin(0, Usage(200, 400))
    assert not meter.begin(1, Usage(200, 400))
    assert meter.end(0, Usage(100, 100)) == Usage(100, 100)
    assert meter.begin(1, Usage(200, 400))
    assert meter.end(1, None) == Usage(200, 400)
    assert meter.cost == pytest.approx(0.0008)
    tokens = Meter(Price(0.0, 0.0), Limits(tokens=100))
    assert not tokens.begin(0, Usage(60, 60))


def test_a_budget_ends_it_and_a_larger_one_goes_on(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """Nothing is spent beyond it; what was made stays and is not asked for again."""
    plan = read_plan(make_plan(model="max_tokens = 500"))
    target = tmp_path / "rows.jsonl"
    small = order(target, 100, limits=Limits(money=0.005))
    with pytest.raises(ResourceError, match="ended it with") as told:
        make(plan, small)
    assert "--finish" in told.value.fix
    spent = len(endpoint.seen) * (200 + 800) / 1e6
    assert 0.002 < spent <= 0.005
    assert not target.exists()
    before = len(endpoint.seen)
    made = make(plan, replace(small, limits=Limits(money=1.0)))
    assert made.rows == 100
    assert made.cost <= (len(endpoint.seen)) * 0.001 + 1e-9
    assert len(endpoint.seen) - before <= 10


def test_a_limit_of_tokens(endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path) -> None:
    """Tokens can be limited as money can."""
    plan = read_plan(make_plan(model="max_tokens = 500"))
    with pytest.raises(ResourceError):
        make(plan, order(tmp_path / "rows.jsonl", 100, limits=Limits(tokens=3000)))
    assert len(endpoint.seen) * 600 <= 3000


def test_the_estimate(make_plan: MakePlan, tmp_path: Path, write: Write) -> None:
    """Tokens follow the seeds' length; the most is what full replies would cost, or the budget."""
    write("seeds.jsonl", [{"prompt": "p" * 100, "answer": "a" * 59}])
    plan = read_plan(make_plan('seeds = "seeds.jsonl"'))
    found = estimate(plan, order(tmp_path / "rows.jsonl", 1000))
    assert found.requests == 100
    assert found.received == 100 * 10 * (160 // 4 + 10)
    assert found.cost < found.most
    assert found.most > 100 * 4096 * 2 / 1e6
    bounded = order(tmp_path / "rows.jsonl", 1000, limits=Limits(money=0.25))
    assert estimate(plan, bounded).most == 0.25
    assert estimate(plan, bounded, kept=995).requests == 1


# Speed --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_thousand_rows_take_less_than_an_hour(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """Extrapolated from a few hundred, with a slow model and one request in ten refused."""
    endpoint.delay = 1.0
    endpoint.rule = lambda number: "wait 0.1" if number % 10 == 9 else ""
    start = time.monotonic()
    made = make(read_plan(make_plan()), order(tmp_path / "rows.jsonl", 400, parallel=16))
    seconds = time.monotonic() - start
    assert made.rows == 400
    assert endpoint.most >= 8
    assert seconds / 400 * 10_000 < 3600


# Plans --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[price]\ninput = 1.0\noutput = 2.0", "", None),
        ('name = "writer"', "", "lacks"),
        ("[model]", "[modell]", "no [model]"),
        ('provider = "openai"', 'provider = "closed"', "none of openai"),
        ("input = 1.0", "input = -1.0", "expected float"),
        ("input = 1.0", "in = 1.0", "no setting 'in'"),
        ("instruction =", "instructions =", "no setting 'instructions'"),
        ('url = "http://127', 'url = "ftp://127', "none of http"),
        ('url = "http://127', 'url = "http://me:secret@127', "environment"),
        ('url = "http://127.0.0.1', 'url = "http://example.com', "in the open"),
        ("[model]", "near = 0\n[model]", "near"),
        ("[model]", 'task = "cooking"\n[model]', "cooking"),
        ("[model]", 'kind = "poem"\n[model]', "poem"),
        ("[model]", "rows_a_request = 0\n[model]", "rows_a_request"),
        ("[model]", "topics = [1]\n[model]", "topics"),
        ("[model]", "=\n[model]", "line"),
    ],
)
def test_plans_that_cannot_be(make_plan: MakePlan, old: str, new: str, why: str | None) -> None:
    """Each is refused with its reason before anything is asked; a local model needs no price."""
    path = make_plan()
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    if why is None:
        assert read_plan(path).price == Price(0.0, 0.0)
        return
    with pytest.raises(UsageError, match="cannot be used") as told:
        read_plan(path)
    assert why in told.value.why


def test_a_price_is_needed_for_other_machines(make_plan: MakePlan) -> None:
    """Nothing is guessed about money."""
    path = make_plan()
    text = path.read_text().split("[price]")[0]
    path.write_text("\n".join(line for line in text.splitlines() if not line.startswith("url")))
    with pytest.raises(UsageError) as told:
        read_plan(path)
    assert "[price]" in told.value.why


def test_what_a_plan_names_must_be_there(make_plan: MakePlan, tmp_path: Path) -> None:
    """The plan itself, seeds, and a schema."""
    for path in (
        tmp_path / "none.toml",
        make_plan('seeds = "none.jsonl"'),
        make_plan('task = "json"\nschema = "none.json"'),
    ):
        with pytest.raises(NotFoundError):
            read_plan(path)


def test_a_key_comes_from_the_environment_alone(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the variable of the provider or of the plan; a local endpoint may do without."""
    plan = read_plan(make_plan(model='key = "MY_KEY"'))
    assert key_of(plan) == ""
    monkeypatch.setenv("MY_KEY", " abc \n")
    assert key_of(plan) == "abc"
    monkeypatch.setenv("MY_KEY", "schlüssel")
    with pytest.raises(UsageError, match="MY_KEY"):
        key_of(plan)
    monkeypatch.delenv("MY_KEY")
    remote = replace(plan, endpoint=replace(plan.endpoint, url="https://example.com"))
    with pytest.raises(UsageError, match="no key") as told:
        key_of(remote)
    assert "MY_KEY" in told.value.why


def test_a_model_that_writes_nothing_usable_is_given_up(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """After some replies, with the reason, rather than spending for ever."""
    endpoint.rule = lambda _: "prose"
    with pytest.raises(ContractError, match="nothing usable") as told:
        make(read_plan(make_plan()), order(tmp_path / "rows.jsonl", 10))
    assert "no rows" in told.value.why
    assert len(endpoint.seen) < 40


def test_the_rows_do_not_hold_the_key(
    endpoint: Endpoint, make_plan: MakePlan, tmp_path: Path
) -> None:
    """Nor does any other file that was written."""
    make(read_plan(make_plan()), order(tmp_path / "rows.jsonl", 10))
    for path in tmp_path.rglob("*"):
        assert KEY not in path.read_text()
    assert json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0]).keys() == {
        "prompt",
        "answer",
    }
