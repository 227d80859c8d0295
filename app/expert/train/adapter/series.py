"""Every expert anew: trained, measured, packed and signed one after the other, for a new base.

What goes wrong with one loses none of the others, and every step that is done is not done again:
training goes on from its checkpoint, and figures of the same training are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from expert.errors import ExpertError, NotFoundError, VerificationError
from expert.package.keys import PrivateKey
from expert.train.adapter.package import ABOUT
from expert.train.adapter.publish import facts, publish
from expert.train.adapter.train import RECORD, Listener, Options, Trained, train_expert
from expert.train.checkpoint import NAME as STATE
from expert.train.evaluation.conditions import Score
from expert.train.evaluation.report import FIGURES, beats_base, load_scores, save_scores

RECIPE = "train.toml"
Measure = Callable[[Trained, Path | None], list[Score]]
"""Scores an expert; with another one's adapter to compare with, if there is one."""


@dataclass(frozen=True)
class Order:
    """What is to be made anew."""

    experts: Path
    """A folder for each expert, with its recipe."""
    runs: Path
    """Where the runs' folders are, one for each expert."""
    options: Options
    """Of every run; recipe and folder are each expert's own."""
    key: PrivateKey | None = None
    only: tuple[str, ...] = ()
    """Names; empty: all."""
    keep_all: bool = False
    """Take also what does not beat its base, or was not measured."""


@dataclass(frozen=True)
class Outcome:
    """What became of one expert."""

    name: str
    package: Path | None = None
    kept: bool = False
    """Whether the package is beside its recipe now, and not only in the run's folder."""
    scores: tuple[Score, ...] = ()
    error: ExpertError | None = None


def recipes(order: Order) -> list[Path]:
    """Return the recipes of the experts that are wanted, by name.

    Raises:
        NotFoundError: there is none, or a name is unknown.
    """
    found = {p.parent.name: p for p in sorted(order.experts.glob(f"*/{RECIPE}")) if is_expert(p)}
    unknown = [name for name in order.only if name not in found]
    if unknown or not found:
        raise NotFoundError(
            f"There is no recipe of {' or '.join(unknown) or 'an expert'} in {order.experts}.",
            f"An expert's folder holds {RECIPE} and {ABOUT}.",
            f"There are: {', '.join(found) or 'none'}.",
        )
    return [path for name, path in found.items() if not order.only or name in order.only]


def is_expert(recipe: Path) -> bool:
    """Tell an expert's recipe from that of a base."""
    return (recipe.parent / ABOUT).exists()


def plan(order: Order) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each expert with the steps that would be done for it."""
    for recipe in recipes(order):
        run = order.runs / recipe.parent.name
        going_on = order.options.resume and (run / STATE).exists()
        trained = going_on and (run / RECORD).exists()
        first = "check that it is trained" if trained else "go on training" if going_on else "train"
        measured = trained and (run / FIGURES).exists()
        last = "pack and sign" if order.key else "pack"
        yield recipe.parent.name, (first, *(() if measured else ("measure",)), last)


def make_all(
    order: Order, measure: Measure, listeners: Callable[[str], Listener]
) -> Iterator[Outcome]:
    """Train every expert, then measure and pack each, and yield what became of them.

    Raises:
        NotFoundError: there are no recipes, or not those that are wanted.
    """
    trained: dict[str, Trained] = {}
    for recipe in recipes(order):
        name = recipe.parent.name
        try:
            trained[name] = train_one(order, recipe, listeners(name))
        except Exception as error:  # whatever is wrong with one expert must not lose the others
            yield Outcome(name, error=told(name, error))
    for name, done in trained.items():
        try:
            scores = scored(done, other_than(name, trained), measure)
            yield shipped(order, name, done, scores)
        except Exception as error:  # as above
            yield Outcome(name, error=told(name, error))


def train_one(order: Order, recipe: Path, listener: Listener) -> Trained:
    """Train one expert, or go on from its checkpoint if it has one.

    Raises:
        ExpertError: it says what is wrong.
    """
    run = order.runs / recipe.parent.name
    going_on = order.options.resume and (run / STATE).exists()
    options = replace(order.options, recipe=recipe, out=run, resume=going_on)
    done = train_expert(options, listener)
    if done is None:
        raise VerificationError("Every expert anew is the work of one process.")
    return done


def other_than(name: str, trained: dict[str, Trained]) -> Path | None:
    """Return the adapter of the expert after this one, which must not help with its task."""
    names = [each for each, done in trained.items() if done.report.form == "lora"]
    if name not in names or len(names) == 1:
        return None
    return trained[names[(names.index(name) + 1) % len(names)]].report.path


def scored(done: Trained, other: Path | None, measure: Measure) -> list[Score]:
    """Return the scores of a trained expert: those that are kept, if they are of this training."""
    path = done.run / FIGURES
    now = facts(done)
    if path.exists():
        scores, before = load_scores(path)
        if same_training(before, now):
            return scores
    scores = measure(done, other)
    if scores:
        save_scores(done.run, scores, now)
    return scores


def same_training(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Tell whether figures were measured on this training; a sweep is not repeated on resuming."""

    def essence(known: dict[str, Any]) -> Any:
        plain = json.loads(json.dumps(known))
        plain["record"] = {k: v for k, v in (plain["record"] or {}).items() if k != "sweep"}
        return plain

    return bool(essence(before) == essence(now))


def shipped(order: Order, name: str, done: Trained, scores: list[Score]) -> Outcome:
    """Pack an expert, and put it beside its recipe if it beats its base."""
    kept = order.keep_all or beats_base(scores)
    package = publish(done, scores, order.key, done.recipe_folder if kept else None)
    return Outcome(name, package, kept, tuple(scores))


def told(name: str, error: Exception) -> ExpertError:
    """Return an error as one that people can read."""
    if isinstance(error, ExpertError):
        return error
    return VerificationError(
        f"The expert {name} was given up.", f"{type(error).__name__}: {error}.", "See --debug."
    )
