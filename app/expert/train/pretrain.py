"""Training the base model from nothing: tokenizer, tokens, training, evaluation and export in one
command.

        python -m expert.train.pretrain RECIPE --data DIR --out RUN [--minutes M | --tokens N]
        [--start BASE | --resume]

With `--start` a finished base (its folder) is trained further. Touch `RUN/finish` to begin the
final decay early (write minutes in it to choose how long that takes).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from expert.train.batches import Batch, Sampler
from expert.train.budget import Budget
from expert.train.checkpoint import load_state, save_state
from expert.train.corpus import load_corpus, load_tokenizer
from expert.train.divergence import all_finite, diverged
from expert.train.evaluate import write_report
from expert.train.export import export
from expert.train.optimiser import Optimiser
from expert.train.publish import publish
from expert.train.qwen3 import Qwen3
from expert.train.recipe import Recipe, read_recipe
from expert.train.start import LOG, base_file, last_record, read_weights, start_from

LONGEST_STEP = 30.0  # seconds; a step that seems longer was suspended, which is not charged


@dataclass(frozen=True)
class Options:
    """Where a run reads and writes, and how long it lasts: minutes, or tokens when given."""

    recipe: Path
    data: Path
    out: Path
    minutes: float = 60.0
    tokens: int | None = None
    resume: bool = False
    start: Path | None = None
    """The folder of a finished base to go on from; None begins with random weights."""
    device: str = "auto"
    rows: int = 200
    into: Path | None = None
    """Where the finished base, its curve and figures go; None leaves them in the run."""


def losses(model: Qwen3, batch: Batch) -> Tensor:
    """Return the cross-entropy of every learnt token, float32."""
    device = model.model.embed_tokens.weight.device
    hidden = model(batch.tokens.to(device), batch.groups, batch.where.to(device))
    logits = model.logits(hidden).float()
    return F.cross_entropy(logits, batch.targets.to(device), reduction="none")


def gradient(model: Qwen3, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the losses of a batch and the gradient of their mean."""
    values = losses(model, batch)
    return values.detach(), torch.autograd.grad(values.mean(), list(model.parameters()))


def workers(device: str) -> ThreadPoolExecutor:
    """Return threads that each compute one batch alone.

    On a shared CPU this keeps every core busy; two threads inside one operation wait for each other
    thousands of times a step.
    """
    if device == "cuda":
        return ThreadPoolExecutor(1)
    torch.set_num_threads(1)
    return ThreadPoolExecutor(
        len(os.sched_getaffinity(0)), initializer=partial(torch.set_num_threads, 1)
    )


class TaskLosses:
    """Sums of losses and tokens a task since the last log line."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.clear()

    def clear(self) -> None:
        """Start anew."""
        self.sums = torch.zeros(len(self.names))
        self.counts = torch.zeros(len(self.names))

    def add(self, values: Tensor, tasks: Tensor) -> None:
        """Count the losses of a batch."""
        self.sums.index_add_(0, tasks, values.detach().cpu())
        self.counts.index_add_(0, tasks, torch.ones(len(tasks)))

    def means(self) -> dict[str, float]:
        """Return the mean loss of every task seen."""
        seen = zip(self.names, self.sums.tolist(), self.counts.tolist(), strict=True)
        return {name: round(total / count, 4) for name, total, count in seen if count}


class Run:
    """A training run: everything that is saved together and advances together."""

    def __init__(self, recipe: Recipe, options: Options) -> None:
        self.recipe, self.options = recipe, options
        settings = recipe.training
        torch.manual_seed(settings.seed)
        cuda = options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available())
        device = "cuda" if cuda else "cpu"
        self.workers = workers(device)
        self.model = Qwen3(recipe.model.shape).to(device)
        self.optimiser = Optimiser(self.model, settings)
        self.model.to(getattr(torch, recipe.model.compute))
        corpus = load_corpus(recipe, options.data, options.out)
        self.sampler = Sampler(corpus, recipe.mix, settings.seed, settings.tokens_a_batch)
        total = float(options.tokens or options.minutes * 60)
        self.budget = Budget(total, settings.warmup * total, settings.decay * total)
        self.step = self.tokens = 0
        self.seconds = 0.0

    def go_on_from(self, base: Path) -> None:
        """Take the weights of a finished base, and count on from what its log says it cost."""
        self.optimiser.load(read_weights(base_file(base)))
        last = last_record(self.options.out)
        self.step, self.tokens, self.seconds = last["step"], last["tokens"], last["seconds"]

    def state(self) -> dict[str, Any]:
        """Return everything needed to continue after a kill.

        Raises:
            VerificationError: a weight is no finite number, and nobody could go on from it.
        """
        if not all_finite(self.model.parameters()):
            raise diverged("a weight", self.step)
        return {
            "optimiser": self.optimiser.state(),
            "sampler": self.sampler.state(),
            "budget": self.budget.state(),
            "counters": (self.step, self.tokens, self.seconds),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.optimiser.restore(state["optimiser"])
        self.sampler.restore(state["sampler"])
        self.budget = Budget(**state["budget"])
        self.step, self.tokens, self.seconds = state["counters"]

    def advance(self, seen: TaskLosses) -> None:
        """Take one step.

        Raises:
            VerificationError: a loss or a gradient is no finite number; the weights are as before.
        """
        started = time.monotonic()
        tokens = 0
        batches = [
            self.sampler.next_batch(self.budget.progress)
            for _ in range(self.recipe.training.batches_a_step)
        ]
        results = list(self.workers.map(partial(gradient, self.model), batches))
        for values, gradients in results:
            if not all_finite((values, *gradients)):
                raise diverged("the loss", self.step + 1)
        for batch, (values, _) in zip(batches, results, strict=True):
            seen.add(values, batch.tasks)
            tokens += batch.size
        self.optimiser.step([grads for _, grads in results], self.budget.rate, self.workers)
        elapsed = min(time.monotonic() - started, LONGEST_STEP)
        self.step, self.tokens, self.seconds = (
            self.step + 1,
            self.tokens + tokens,
            self.seconds + elapsed,
        )
        self.budget.spent += tokens if self.options.tokens else elapsed


def check_finish(run: Run) -> None:
    """Begin the decay when someone asked for it."""
    file = run.options.out / "finish"
    if file.exists():
        minutes = file.read_text(encoding="utf-8").strip()
        run.budget.finish(float(minutes) * 60 if minutes and not run.options.tokens else None)


def train(run: Run) -> Iterator[dict[str, Any]]:
    """Train until the budget is spent, saving as it goes, and yield a record every few steps."""
    settings = run.recipe.training
    seen = TaskLosses(run.sampler.names)
    logged, saved = (run.seconds, run.tokens), run.seconds
    while not run.budget.over:
        check_finish(run)
        run.advance(seen)
        if run.step % settings.log_steps == 0 or run.budget.over:
            pace = (run.tokens - logged[1]) / max(run.seconds - logged[0], 1e-9)
            yield {
                "step": run.step,
                "tokens": run.tokens,
                "seconds": round(run.seconds, 1),
                "progress": round(run.budget.progress, 4),
                "rate": round(run.budget.rate, 4),
                "tokens_a_second": round(pace),
                "loss": seen.means(),
            }
            logged = (run.seconds, run.tokens)
            seen.clear()
        if run.seconds - saved > settings.save_seconds or run.budget.over:
            save_state(run.options.out, run.state())
            saved = run.seconds


def pretrain(options: Options) -> Path:
    """Run a recipe from data to checkpoint and return the checkpoint's folder."""
    options.out.mkdir(parents=True, exist_ok=True)
    recipe = read_recipe(options.recipe)
    if options.start and not options.resume:
        start_from(options.start, options.out)
    run = Run(recipe, options)
    if options.resume:
        run.restore(load_state(options.out))
    elif options.start:
        run.go_on_from(options.start)
    with (options.out / LOG).open("a", encoding="utf-8") as log:
        for record in train(run):
            print(json.dumps(record), file=log, flush=True)
    tokenizer = load_tokenizer(recipe, options.data, options.out)
    folder = export(recipe, run.optimiser.weights(), tokenizer, options.out / "checkpoint")
    if options.rows:
        write_report(recipe, options.data, options.out, options.rows)
    if options.into:
        publish(options.out, options.into)
    return folder


def parse(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="expert.train.pretrain", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the folder of task data")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=60.0)
    length.add_argument("--tokens", type=int)
    parser.add_argument("--resume", action="store_true", help="continue a run that was stopped")
    parser.add_argument("--start", type=Path, help="the folder of a finished base to go on from")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--rows", type=int, default=200, help="evaluated rows a task, or 0")
    parser.add_argument("--into", type=Path, help="replace the base in this folder when done")
    return Options(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    pretrain(parse())
