"""The main path with the router: who answers when nobody is named."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from expert.assistant import Assistant
from expert.bench.random_adapter import RandomAdapter, write_random_adapter
from expert.config import save_setting
from expert.engine.header import read_header
from expert.market.bases import identify
from expert.market.install import install
from expert.market.market import user_market
from expert.market.plan import Options
from expert.routing import Routing
from expert.types import Message, Notice, Planned, Request
from support.markets import yes
from support.packages import base, make_package

SQL: dict[str, Any] = {
    "summary": "Writes SQL queries for a question.",
    "routing": {
        "keywords": ["sql", "query", "database"],
        "examples": ["write a sql query that counts all users", "select the name of each customer"],
    },
}


@pytest.fixture
def installed(tiny_path: Path, tmp_path: Path, home: Path) -> Path:
    """Install an expert for the tiny model, and return that model."""
    adapter = tmp_path / "adapter.gguf"
    write_random_adapter(read_header(tiny_path), RandomAdapter(32, 5), adapter)
    mine = base("tiny") | {"identity": msgspec.to_builtins(identify(tiny_path))}
    package = make_package(tmp_path, name="sql", bases=[mine], contents=adapter.read_bytes(), **SQL)
    install(user_market(), [str(package)], Options(), yes)
    return tiny_path


def test_with_nothing_installed_the_base_answers(tiny_path: Path, home: Path) -> None:
    """Nothing is weighed, and nothing is created to find that out."""
    request, route, notices = Routing(tiny_path).route(Request([Message("user", "@sql x")]))
    assert (request.experts, route.candidates, notices) == ((), (), ())
    assert not list(home.iterdir())


def test_the_question_chooses(installed: Path) -> None:
    """An expert that is meant answers, with its reasons; an unlikely one is only considered."""
    with Assistant(installed, history=False) as assistant:
        plan, rendered = assistant.preview("@sql how many users are there?")
        assert [choice.profile and choice.profile.name for choice in plan.experts] == ["acme/sql"]
        assert plan.reason == "chosen by the question"
        assert any("you named" in reason for reason in plan.route.reasons)
        assert "@sql" not in rendered.text
        events = list(assistant.ask("@sql how many?", max_tokens=3, temperature=0))
        plan, _ = assistant.preview("Tell me a story about a bear.")
        assert (plan.experts, plan.reason) == ((), "no expert fits the question")
        assert {name for name, _ in plan.route.candidates} == {"acme/sql", "none"}
        plan, _ = assistant.preview("@sql x", experts=())
        assert (plan.experts, plan.reason) == ((), "the base model answers")
        assistant.attach_experts("sql:0.5")
        plan, _ = assistant.preview("Tell me a story.")
        assert (plan.experts[0].scale, plan.reason) == (0.5, "you chose the experts")
    assert isinstance(events[0], Planned)
    assert [use.name for use in events[-1].answer.experts] == ["acme/sql"]  # type: ignore[union-attr]  # the last is Done


def test_experts_that_cannot_be_read(installed: Path, home: Path) -> None:
    """Cost a warning, not the answer."""
    database = user_market().store.database
    for path in database.parent.glob("expert.db*"):
        path.unlink()
    database.write_bytes(b"nonsense" * 1000)
    with Assistant(installed, history=False) as assistant:
        events = list(assistant.ask("Hello", max_tokens=2))
    assert isinstance(events[0], Notice)
    assert "no expert could be chosen" in events[0].text
    assert events[0].level == "warning"


def test_settings_hold_experts_back_and_weaken_them(installed: Path) -> None:
    """A disabled expert is not even considered; a scale from the settings counts; both at once."""
    with Assistant(installed, history=False) as assistant:
        save_setting("scales", "acme/sql:0.5 nobody:2")
        plan, _ = assistant.preview("@sql how many users are there?")
        assert [choice.scale for choice in plan.experts] == [0.5]
        save_setting("disabled", "acme/sql")
        plan, _ = assistant.preview("@sql how many users are there?")
        assert plan.experts == () and plan.route.candidates == ()
        plan, _ = assistant.preview("how many?", experts=["sql"])
        assert [choice.name for choice in plan.experts] == ["acme/sql"]
