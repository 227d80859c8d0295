"""Every expert anew: all are tried, what fails is told, what is done is not done again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from expert.errors import ExpertError, NotFoundError, UsageError
from expert.package.container import inspect
from expert.package.keys import PrivateKey
from expert.package.validate import validate
from expert.train.adapter import series
from expert.train.adapter.series import Order, Outcome, make_all, plan, recipes
from expert.train.adapter.train import Listener, Options, Trained
from expert.train.evaluation.conditions import Score
from support.songs import write_songs
from support.tiny_training import tiny_recipe

NAMES = ("one", "three", "two")


@pytest.fixture
def order(tiny_path: Path, tmp_path: Path) -> Order:
    """Return an order for three tiny experts and a base beside them."""
    experts = tmp_path / "experts"
    for name in NAMES:
        recipe = tiny_recipe(experts / name)
        about = recipe.with_name("manifest.toml")
        text = about.read_text(encoding="utf-8").replace('name = "songs"', f'name = "{name}"', 1)
        about.write_text(text, encoding="utf-8")
    (experts / "pocket").mkdir()
    (experts / "pocket" / "train.toml").write_text("[model]\n", encoding="utf-8")
    data = write_songs(tmp_path / "data", 60)
    settings = Options(experts, data, tmp_path / "runs", tiny_path, tokens=600, device="cpu")
    return Order(experts, tmp_path / "runs", settings, PrivateKey.generate())


def gaining(low: float, asked: list[tuple[str, str | None]]) -> series.Measure:
    """Return a measure that finds a gain of at least *low*, and writes down who was compared."""

    def measure(done: Trained, other: Path | None) -> list[Score]:
        name = done.recipe_folder.name
        asked.append((name, None if other is None else other.parent.name))
        even = {"exact": (0.4, 0.6)}
        base = Score("snips", "base", 9, {"exact": 0.1}, even, None, [])
        return [base, Score("snips", "expert", 9, {"exact": 0.5}, even, (low, 0.6), [])]

    return measure


def quiet(name: str) -> Listener:
    """Return a listener that says nothing."""
    return Listener()


def made(
    order: Order, measure: series.Measure, listeners: Callable[[str], Listener] = quiet
) -> dict[str, Outcome]:
    """Make all and return what became of each."""
    return {outcome.name: outcome for outcome in make_all(order, measure, listeners)}


def steps(counted: dict[str, int]) -> Callable[[str], Listener]:
    """Return listeners that count the steps that are trained."""

    def listen(name: str) -> Listener:
        def training(record: object, left: float) -> None:
            counted[name] = counted.get(name, 0) + 1

        return Listener(training=training)

    return listen


def test_every_expert_is_packed_signed_and_put_in_place(order: Order) -> None:
    """Each beside its recipe, signed, for this base, compared with another one of them."""
    asked: list[tuple[str, str | None]] = []
    outcomes = made(order, gaining(0.2, asked))
    assert tuple(outcomes) == NAMES and all(outcome.kept for outcome in outcomes.values())
    assert asked == [("one", "three"), ("three", "two"), ("two", "one")]
    for name, outcome in outcomes.items():
        assert outcome.package is not None and outcome.package.parent == order.experts / name
        validate(outcome.package)
        preview = inspect(outcome.package)
        assert preview.manifest.name == name and preview.signer is not None
        assert preview.manifest.evaluation[0].expert == 0.5
        assert (order.experts / name / "figures.json").exists()
    assert not list((order.experts / "pocket").glob("*.expert"))


def test_what_does_not_beat_its_base_is_not_put_in_place(order: Order) -> None:
    """Its package stays in the run, the one that was there stays too; unless all are wanted."""
    order = replace(order, only=("two",))
    (outcome,) = made(order, gaining(-0.1, [])).values()
    assert not outcome.kept and outcome.package is not None
    assert outcome.package.parent == order.runs / "two"
    assert not list((order.experts / "two").glob("*.expert"))
    again = replace(order, options=replace(order.options, resume=True), keep_all=True)
    (outcome,) = made(again, gaining(-0.1, [])).values()
    assert outcome.kept and list((order.experts / "two").glob("*.expert"))


def test_one_that_fails_loses_none_of_the_others(order: Order) -> None:
    """A bad recipe, a failing measurement and a bug each stop one expert alone."""
    recipe = order.experts / "one" / "train.toml"
    whole = recipe.read_text(encoding="utf-8")
    recipe.write_text(whole.replace("seed = 1", "sead = 1"), encoding="utf-8")

    def measure(done: Trained, other: Path | None) -> list[Score]:
        if done.recipe_folder.name == "three":
            raise ZeroDivisionError("a bug")
        return gaining(0.2, [])(done, other)

    outcomes = made(order, measure)
    assert isinstance(outcomes["one"].error, UsageError)
    error = outcomes["three"].error
    assert isinstance(error, ExpertError) and "ZeroDivisionError: a bug" in error.why
    assert outcomes["two"].kept
    recipe.write_text(whole, encoding="utf-8")
    counted: dict[str, int] = {}
    asked: list[tuple[str, str | None]] = []
    resumed = replace(order, options=replace(order.options, resume=True))
    outcomes = made(resumed, gaining(0.2, asked), steps(counted))
    assert all(outcome.kept for outcome in outcomes.values())
    assert list(counted) == ["one"]
    assert [name for name, _ in asked] == ["one", "three"]


def test_a_kill_while_measuring_repeats_no_training(order: Order) -> None:
    """Ctrl-C is no failure of an expert; going on trains nothing again and measures the rest."""
    asked: list[tuple[str, str | None]] = []

    def interrupted(done: Trained, other: Path | None) -> list[Score]:
        if done.recipe_folder.name == "three":
            raise KeyboardInterrupt
        return gaining(0.2, asked)(done, other)

    with pytest.raises(KeyboardInterrupt):
        made(order, interrupted)
    counted: dict[str, int] = {}
    resumed = replace(order, options=replace(order.options, resume=True))
    assert [planned for _, planned in plan(resumed)] == [
        ("check that it is trained", "pack and sign"),
        ("check that it is trained", "measure", "pack and sign"),
        ("check that it is trained", "measure", "pack and sign"),
    ]
    outcomes = made(resumed, gaining(0.2, asked), steps(counted))
    assert not counted and [name for name, _ in asked] == ["one", "three", "two"]
    assert all(outcome.kept for outcome in outcomes.values())


def test_figures_of_another_training_are_not_taken(order: Order) -> None:
    """Trained for longer, an expert is measured again."""
    order = replace(order, only=("one",))
    asked: list[tuple[str, str | None]] = []
    made(order, gaining(0.2, asked))
    made(replace(order, options=replace(order.options, tokens=900)), gaining(0.2, asked))
    assert asked == [("one", None)] * 2


def test_a_plan_does_nothing(order: Order) -> None:
    """It lists the steps, and leaves no folder."""
    assert dict(plan(replace(order, key=None, only=("two", "one")))) == {
        "one": ("train", "measure", "pack"),
        "two": ("train", "measure", "pack"),
    }
    assert not order.runs.exists()


def test_unknown_names_are_told_and_bases_are_no_experts(order: Order) -> None:
    """The error lists those that there are."""
    assert [path.parent.name for path in recipes(order)] == list(NAMES)
    with pytest.raises(NotFoundError, match="four") as caught:
        recipes(replace(order, only=("one", "four")))
    assert "one, three, two" in caught.value.fix
    shutil.rmtree(order.experts)
    with pytest.raises(NotFoundError):
        list(make_all(order, gaining(0.2, []), quiet))
