"""From a recipe to a trained, converted and packed expert: the main path of `expert train`."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from expert.errors import NotFoundError, ResourceError, UsageError, VerificationError
from expert.train.adapter.base import Base, open_base
from expert.train.adapter.dataset import identity_of, load_dataset
from expert.train.adapter.feed import Material, Method
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
from expert.train.adapter.processes import Processes, described, join
from expert.train.adapter.recipe import Recipe, read_recipe
from expert.train.adapter.record import Facts, describe
from expert.train.adapter.run import VALIDATION, Crew, Length, Run, load, train
from expert.train.adapter.task_data import TaskData
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


SUPERVISED = Method("supervised fine-tuning", load_dataset)


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
    sweep: tuple[float, ...] | None = None
    """Learning rates to try first; empty: those of the recipe; None: no sweep."""
    device: str = "auto"
    method: Method = SUPERVISED


@dataclass(frozen=True)
class Listener:
    """Who is told how a run goes."""

    placed: Callable[[str], None] = lambda device: None
    """What is computed on, in words."""
    noticing: Callable[[str], None] = lambda text: None
    """What was asked for and cannot be done whole."""
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
    data: TaskData
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
    data: TaskData
    source: Source
    material: Material
    processes: Processes
    key: str
    """What a checkpoint must have been made from to be gone on from."""


def train_expert(options: Options, listener: Listener | None = None) -> Trained | None:
    """Train an expert, convert it and describe it; what packs it can then be measured too.

    Returns:
        The finished run; None in a process that only helped the first one.

    Raises:
        ExpertError: the recipe, the data, the base, the disk or the checkpoint is at fault.
    """
    processes = join(options.device)
    listener = listener if listener is not None and not processes.rank else Listener()
    listener.placed(described(processes))
    prepared = prepare(options, listener, processes)
    tried: dict[float, float] = {}
    if options.sweep is not None and not options.resume:
        tried = sweep(prepared, options, listener)
        prepared = replace(prepared, recipe=with_rate(prepared.recipe, min(tried, key=tried.get)))  # type: ignore[arg-type]  # every key is there
    run = fresh_run(prepared, options)
    if options.resume:
        run.restore(load(options.out, prepared.key))
    elif not run.processes.rank:
        (options.out / LOG).unlink(missing_ok=True)
    with run.workers:
        follow(run, options, prepared.key, listener)
        run.processes.leave()
        return None if run.processes.rank else finish(prepared, run, options, tried)


def prepare(options: Options, listener: Listener, processes: Processes) -> Prepared:
    """Read and check everything that can be wrong before the first step.

    Raises:
        ExpertError: it says what, and nothing was trained.
    """
    recipe = read_recipe(options.recipe)
    source = read_source(options.recipe.parent)
    if recipe.public and not (options.data / "experts").is_dir():
        raise NotFoundError(
            f"There is no data in {options.data}.",
            "It has no folder experts.",
            "Give the folder that holds experts/ and pretrain/ with --data.",
        )
    data = TaskData(options.data, recipe, options.recipe.parent)
    make_folder(options.out)
    with processes.first_alone():
        base = open_base(options.base, options.out)
    recipe = recipe.for_base(base.shape.hidden_size)
    if recipe.training.batches_a_step % processes.count:
        raise UsageError(
            f"{processes.count} processes cannot share {recipe.training.batches_a_step} batches.",
            "Each computes as many batches of a step as the others.",
            f"Set batches_a_step in the recipe to a multiple of {processes.count}.",
        )
    with processes.first_alone():
        if not processes.rank:
            left_out = rehearse(recipe, base, source, options.out, processes.device)
            if left_out:
                listener.noticing(without(left_out))
        material = options.method.load(recipe, base, data, options.out, listener.preparing)
    key = f"{identity_of(recipe)} {material.digest} {base.identity}"
    return Prepared(recipe, base, data, source, material, processes, key)


def make_folder(out: Path) -> None:
    """Create the run's folder.

    Raises:
        ResourceError: it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".writable").write_bytes(b"")
        (out / ".writable").unlink(missing_ok=True)  # other processes do the same
    except OSError as error:
        raise ResourceError(
            f"The run cannot be written to {out}.", f"{error.strerror}.", "Choose another --out."
        ) from error


def without(layers: tuple[str, ...]) -> str:
    """Return what people are told of layers that are left out."""
    listed = ", ".join(layers[:3]) + (", …" if len(layers) > 3 else "")
    return (
        f"{len(layers)} linear layers are left out: rows of their weights are all zero, and DoRA "
        f"divides by the lengths of rows ({listed}). A lora adapts them as well."
    )


def rehearse(recipe: Recipe, base: Base, source: Source, out: Path, device: str) -> tuple[str, ...]:
    """Convert the untrained adapter and check its manifest, so that neither fails after hours.

    Returns:
        The layers that the adapter cannot act on.

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
            with writing(out, "The run"):
                trainee.save(folder / "adapter")
                report = convert(folder / "adapter", recipe.adapter, base, folder / ADAPTER)
                content = manifest(source, recipe.adapter, base, report, {"method": "none"})
                write_folder(folder / PACKAGE, content, "none", source, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return trainee.left_out


def make_trainee(recipe: Recipe, base: Base, device: str) -> Trainee:
    """Return the base with the adapter that is to be learnt, the same each time for one seed."""
    torch.manual_seed(recipe.training.seed)
    lean = base.lean and recipe.adapter.kind == "lora"
    kind = LeanTrainee if lean else PeftTrainee
    return kind(base, recipe.adapter, device)


def make_workers(trainee: Trainee, device: str) -> Executor:
    """Return what computes batches: one a core for the lean model, all cores on one otherwise."""
    if isinstance(trainee, LeanTrainee):
        return one_batch_a_core(torch.device(device).type)
    return ThreadPoolExecutor(1)


def fresh_run(prepared: Prepared, options: Options) -> Run:
    """Return a run at its first step."""
    recipe, processes = prepared.recipe, prepared.processes
    trainee = make_trainee(recipe, prepared.base, processes.device)
    length = Length(options.minutes or recipe.training.minutes, options.tokens)
    crew = Crew(make_workers(trainee, processes.device), processes)
    return Run(recipe, trainee, prepared.material.feed(recipe), length, crew)


def sweep(prepared: Prepared, options: Options, listener: Listener) -> dict[float, float]:
    """Return the validation loss after a short run at each of some learning rates.

    Raises:
        UsageError: neither the options nor the recipe name any.
        VerificationError: training diverged at every one.
    """
    training = prepared.recipe.training
    rates = options.sweep or tuple(training.rate * factor for factor in training.sweep)
    if not rates:
        raise UsageError(
            "There are no learning rates to try.",
            "",
            "Give some, as in --sweep 5e-4,1e-3, or add sweep = [0.5, 1.0, 2.0] to [training].",
        )
    short = replace(
        options,
        minutes=SWEEP * (options.minutes or training.minutes),
        tokens=int(options.tokens * SWEEP) if options.tokens else None,
    )
    tried: dict[float, float] = {}
    for rate in rates:
        run = fresh_run(replace(prepared, recipe=with_rate(prepared.recipe, rate)), short)
        with run.workers, suppress(VerificationError):  # a rate may be too high
            for _ in train(run, None, ""):
                pass
        tried[rate] = run.best_loss
        listener.trying(rate, run.best_loss)
    if not any(map(math.isfinite, tried.values())):
        raise VerificationError(
            "Training diverged at every rate of the sweep.",
            f"They were {', '.join(f'{rate:g}' for rate in tried)}.",
            "Try lower ones.",
        )
    return tried


def with_rate(recipe: Recipe, rate: float) -> Recipe:
    """Return the recipe with another learning rate."""
    return replace(recipe, training=replace(recipe.training, rate=rate))


def follow(run: Run, options: Options, key: str, listener: Listener) -> None:
    """Train to the end; the first process writes the log and tells the listener."""
    first = not run.processes.rank
    with (options.out / LOG if first else Path(os.devnull)).open("a", encoding="utf-8") as log:
        for record in train(run, options.out if first else None, key):
            print(json.dumps(record), file=log, flush=True)
            left = run.budget.total - run.budget.spent
            pace = max(run.tokens / max(run.seconds, 1e-9), 1e-9)
            listener.training(record, max(0.0, left / pace if run.length.tokens else left))
    if run.best_loss < float("inf"):
        run.take_best()


def finish(prepared: Prepared, run: Run, options: Options, tried: dict[float, float]) -> Trained:
    """Write everything a finished run leaves: record, curve, adapter in both forms, manifest.

    Raises:
        ResourceError: the disk is full; the checkpoint is whole.
    """
    recipe, base, source, out = prepared.recipe, prepared.base, prepared.source, options.out
    folder = options.recipe.resolve().parent
    record = describe(Facts(recipe, base, prepared.material, options.method.name), run)
    record["sweep"] = [{"rate": rate, "loss": loss} for rate, loss in tried.items()]
    record |= run.feed.summary(run.losses_of(run.feed.validation))
    with writing(out, "The adapter"):
        run.trainee.save(out / "adapter")
        report = convert(out / "adapter", recipe.adapter, base, out / ADAPTER)
        (out / CURVE).write_text(draw(read_curves(out / LOG)), encoding="utf-8")
        (out / f"{RECORD}.part").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        os.replace(out / f"{RECORD}.part", out / RECORD)
    digest = hashlib.sha256(options.recipe.read_bytes()).hexdigest()
    content = manifest(source, recipe.adapter, base, report, training_entry(record, digest))
    data = prepared.data
    return Trained(recipe, base, data, source, report, record, out, folder, content)


@contextmanager
def writing(out: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong on a full disk, in whichever library, into one error.

    Raises:
        ResourceError: it cannot be written; what was learnt is in the checkpoint.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise ResourceError(
            f"{what} cannot be written to {out}.",
            f"{error}.".replace("..", "."),
            "Free some disk space, and go on with --resume if there is a checkpoint.",
        ) from error


__all__ = ["CURVE", "PACKAGE", "VALIDATION", "Listener", "Options", "Trained", "train_expert"]
