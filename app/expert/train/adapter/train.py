"""From a recipe to a trained, converted and packed expert: the main path of `expert train`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from expert.errors import NotFoundError, ResourceError, UsageError
from expert.train.adapter.base import Base, open_base
from expert.train.adapter.dataset import Dataset, identity_of, load_dataset
from expert.train.adapter.lean import LeanTrainee
from expert.train.adapter.package import (
    ADAPTER,
    Source,
    convert,
    manifest,
    read_source,
    training_entry,
    write_folder,
)
from expert.train.adapter.peft_trainee import PeftTrainee
from expert.train.adapter.recipe import Recipe, read_recipe
from expert.train.adapter.record import describe
from expert.train.adapter.run import VALIDATION, Length, Run, load, train
from expert.train.adapter.trainee import Trainee
from expert.train.corpus import Progress, nothing
from expert.train.curve import draw, read_curves
from expert.train.pretrain import workers as one_batch_a_core
from expert.train.start import LOG
from expert_converters.kinds import AdapterReport

RECORD, CURVE, PACKAGE = "run.json", "curve.svg", "package"
STATE_COPIES = 8
"""A run's folder holds about so many copies of the adapter: states, best weights, the packages."""
SWEEP = 0.08
"""The part of the budget that each rate of a sweep is tried for."""


@dataclass(frozen=True)
class Options:
    """What to train, from what, where to, and for how long."""

    recipe: Path
    data: Path
    out: Path
    base: Path
    minutes: float | None = None
    """None takes the recipe's."""
    tokens: int | None = None
    """Ends the run by tokens instead, so that it can be repeated exactly."""
    resume: bool = False
    sweep: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class Listener:
    """Who is told how a run goes."""

    preparing: Progress = nothing
    """Tasks encoded, and in all."""
    training: Callable[[dict[str, Any], float], None] = lambda record, left: None
    """A record of the log, and the seconds that are left."""
    trying: Callable[[float, float], None] = lambda rate, loss: None
    """A rate that a sweep tried, and its validation loss."""


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    recipe: Recipe
    base: Base
    source: Source
    report: AdapterReport
    record: dict[str, Any]
    run: Path
    recipe_folder: Path
    """Where the recipe and the card's words are."""
    content: dict[str, Any]
    """The manifest, as yet without figures."""


@dataclass(frozen=True)
class Prepared:
    """Everything that is checked before hours are spent."""

    recipe: Recipe
    base: Base
    source: Source
    dataset: Dataset
    device: str
    key: str
    """What a checkpoint must have been made from to be gone on from."""


def train_expert(options: Options, listener: Listener | None = None) -> Trained:
    """Train an expert and write its package's folder, with a card still to be filled in.

    Raises:
        ExpertError: the recipe, the data, the base, the disk or the checkpoint is at fault.
    """
    listener = listener or Listener()
    prepared = prepare(options, listener)
    if options.sweep and not options.resume:
        prepared = replace(prepared, recipe=swept(prepared, options, listener))
    run = fresh_run(prepared, options)
    if options.resume:
        run.restore(load(options.out, prepared.key))
    else:
        (options.out / LOG).unlink(missing_ok=True)
    follow(run, options, prepared.key, listener)
    return finish(prepared, run, options)


def prepare(options: Options, listener: Listener) -> Prepared:
    """Read and check everything that can be wrong before the first step.

    Raises:
        ExpertError: it says what, and nothing was trained.
    """
    recipe = read_recipe(options.recipe)
    source = read_source(options.recipe.parent)
    if not (options.data / "experts").is_dir():
        raise NotFoundError(
            f"There is no data in {options.data}.",
            "It has no folder experts.",
            "Give the folder that holds experts/ and pretrain/ with --data.",
        )
    make_folder(options.out)
    base = open_base(options.base, options.out)
    recipe = recipe.for_base(base.shape.hidden_size)
    device = "cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu"
    rehearse(recipe, base, source, options.out, device)
    dataset = load_dataset(recipe, base, options.data, options.out, listener.preparing)
    key = f"{identity_of(recipe)} {dataset.digest} {base.identity}"
    return Prepared(recipe, base, source, dataset, device, key)


def make_folder(out: Path) -> None:
    """Create the run's folder.

    Raises:
        ResourceError: it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".writable").write_bytes(b"")
        (out / ".writable").unlink()
    except OSError as error:
        raise ResourceError(
            f"The run cannot be written to {out}.", f"{error.strerror}.", "Choose another --out."
        ) from error


def rehearse(recipe: Recipe, base: Base, source: Source, out: Path, device: str) -> None:
    """Convert the untrained adapter and check its manifest, so that neither fails after hours.

    Raises:
        ExpertError: the adapter cannot be attached to this base, or the manifest is not valid.
        ResourceError: the disk has no room for the run.
    """
    trainee = make_trainee(recipe, base, device)
    size = 4 * sum(weight.numel() for weight in trainee.weights().values())
    free = shutil.disk_usage(out).free
    if free < STATE_COPIES * size:
        raise ResourceError(
            f"The disk of {out} is too full for this run.",
            f"It needs about {STATE_COPIES * size >> 20} MB and has {free >> 20}.",
            "Free some disk space, or choose another folder with --out.",
        )
    folder = out / "rehearsal"
    try:
        if recipe.adapter.kind in ("lora", "soft-prompt"):
            trainee.save(folder / "adapter")
            report = convert(folder / "adapter", recipe.adapter, base, folder / ADAPTER)
            content = manifest(source, recipe.adapter, base, report, {"method": "none"})
            write_folder(folder / PACKAGE, content, "none", source, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_trainee(recipe: Recipe, base: Base, device: str) -> Trainee:
    """Return the base with the adapter that is to be learnt, the same each time for one seed."""
    torch.manual_seed(recipe.training.seed)
    lean = base.lean and recipe.adapter.kind == "lora"
    kind = LeanTrainee if lean else PeftTrainee
    return kind(base, recipe.adapter, device)


def make_workers(trainee: Trainee, device: str) -> Executor:
    """Return what computes batches: one a core for the lean model, all cores on one otherwise."""
    if isinstance(trainee, LeanTrainee):
        return one_batch_a_core(device)
    return ThreadPoolExecutor(1)


def fresh_run(prepared: Prepared, options: Options) -> Run:
    """Return a run at its first step."""
    recipe = prepared.recipe
    trainee = make_trainee(recipe, prepared.base, prepared.device)
    length = Length(options.minutes or recipe.training.minutes, options.tokens)
    pool = make_workers(trainee, prepared.device)
    return Run(recipe, trainee, prepared.dataset, length, pool)


def swept(prepared: Prepared, options: Options, listener: Listener) -> Recipe:
    """Return the recipe with the learning rate that validates best after a short run.

    Raises:
        UsageError: the recipe names no rates to try.
    """
    recipe = prepared.recipe
    if not recipe.training.sweep:
        raise UsageError(
            "The recipe names no rates to try.", "", "Add sweep = [0.5, 1.0, 2.0] to [training]."
        )
    tried: dict[float, float] = {}
    for factor in recipe.training.sweep:
        rate = recipe.training.rate * factor
        trial = replace(recipe, training=replace(recipe.training, rate=rate))
        short = replace(
            options,
            minutes=SWEEP * (options.minutes or recipe.training.minutes),
            tokens=int(options.tokens * SWEEP) if options.tokens else None,
        )
        run = fresh_run(replace(prepared, recipe=trial), short)
        for _ in train(run, None, ""):
            pass
        tried[rate] = run.best_loss
        listener.trying(rate, run.best_loss)
    best = min(tried, key=lambda rate: tried[rate])
    return replace(recipe, training=replace(recipe.training, rate=best))


def follow(run: Run, options: Options, key: str, listener: Listener) -> None:
    """Train to the end, writing the log and telling the listener."""
    with (options.out / LOG).open("a", encoding="utf-8") as log:
        for record in train(run, options.out, key):
            print(json.dumps(record), file=log, flush=True)
            left = run.budget.total - run.budget.spent
            pace = max(run.tokens / max(run.seconds, 1e-9), 1e-9)
            listener.training(record, max(0.0, left / pace if run.length.tokens else left))
    if run.best_loss < float("inf"):
        run.take_best()


def finish(prepared: Prepared, run: Run, options: Options) -> Trained:
    """Write everything a finished run leaves: record, curve, adapter in both forms, manifest."""
    recipe, base, source, out = prepared.recipe, prepared.base, prepared.source, options.out
    record = describe(recipe, base, prepared.dataset, run, prepared.device)
    run.trainee.save(out / "adapter")
    report = convert(out / "adapter", recipe.adapter, base, out / ADAPTER)
    digest = hashlib.sha256(options.recipe.read_bytes()).hexdigest()
    content = manifest(source, recipe.adapter, base, report, training_entry(record, digest))
    partial = out / f"{RECORD}.part"
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, out / RECORD)
    (out / CURVE).write_text(draw(read_curves(out / LOG)), encoding="utf-8")
    folder = options.recipe.resolve().parent
    return Trained(recipe, base, source, report, record, out, folder, content)


__all__ = ["CURVE", "PACKAGE", "VALIDATION", "Listener", "Options", "Trained", "train_expert"]
