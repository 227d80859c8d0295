"""What the verbs about training share: progress, the engine that answers, and packing."""

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from expert.cli import options
from expert.cli.adapters import compared
from expert.errors import ContractError, UsageError

if TYPE_CHECKING:
    from expert.package.keys import PrivateKey
    from expert.train.adapter.feed import Method
    from expert.train.adapter.package import Source
    from expert.train.adapter.recipe import Evaluation
    from expert.train.adapter.task_data import TaskData
    from expert.train.adapter.train import Listener, Options, Trained
    from expert.train.evaluation.conditions import Answerer, Asking, Score

BAR = 24
PLAIN_SECONDS = 15.0
"""Between two lines where progress goes into a file."""


def check_extra() -> None:
    """Refuse early where the packages for training are not installed.

    Raises:
        UsageError: it says how to install them.
    """
    lacking = [name for name in required("train") if not installed(name)]
    if lacking:
        raise UsageError(
            "Training and measuring need packages that are not installed.",
            f"There is no {', '.join(lacking)}.",
            "Install them: pip install 'expert[train]'",
        )


def required(extra: str) -> list[str]:
    """Return the packages of an extra, as the metadata of the installed program lists them.

    Source: https://packaging.python.org/en/latest/specifications/dependency-specifiers/
    """
    try:
        listed = requires("expert") or []
    except PackageNotFoundError:  # it runs from a folder: nothing is known
        return []
    marked = re.compile(rf"""^([\w.-]+).*;.*extra *== *['"]{extra}['"]""")
    return [found[1] for text in listed if (found := marked.match(text))]


def installed(name: str) -> bool:
    """Tell whether a package is there, without importing it."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what every way to train an expert takes."""
    parser.add_argument(
        "recipe", metavar="RECIPE", type=Path, help="such as experts/sql/train.toml"
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="folder of data (default: the recipe's own)"
    )
    parser.add_argument(
        "--out", metavar="RUN", type=Path, help="the run's folder (default: run-NAME)"
    )
    parser.add_argument(
        "--base", metavar="BASE", help="a model's name, a GGUF file or a checkpoint folder"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=minutes, metavar="M", help="default: the recipe's")
    length.add_argument(
        "--tokens", type=options.positive, metavar="N", help="stop by tokens instead"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--sweep", nargs="?", const=(), type=rates, metavar="RATES",
        help="try learning rates first, such as 5e-4,1e-3 (default: the recipe's)",
    )  # fmt: skip
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--rows", type=count, metavar="N", help="held-out rows measured a task; 0 measures nothing"
    )
    parser.add_argument(
        "--other", metavar="EXPERT", type=Path, help="another expert's package, or its adapter"
    )
    parser.add_argument(
        "-k", "--sign", metavar="KEY", type=Path, help="sign the package with this key"
    )
    parser.add_argument(
        "--into", metavar="DIR", type=Path, help="put card, curve, figures and package there too"
    )
    options.add_json(parser)


def minutes(text: str) -> float:
    """Parse a time above zero that ends."""
    found = float(text)
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError("must be above zero, and end")
    return found


def count(text: str) -> int:
    """Parse a whole number that is not below zero."""
    found = int(text)
    if found < 0:
        raise argparse.ArgumentTypeError("must not be below zero")
    return found


def rates(text: str) -> tuple[float, ...]:
    """Parse learning rates with commas between them."""
    found = tuple(float(part) for part in text.split(","))
    if not all(0 < rate < 1 for rate in found):
        raise argparse.ArgumentTypeError("learning rates lie between 0 and 1")
    return found


def wanted(args: argparse.Namespace, method: "Method") -> "Options":
    """Return what a command line asks for.

    Raises:
        NotFoundError: there is no such base.
    """
    from expert.models import find_model
    from expert.train.adapter.train import Options

    base = Path(args.base) if args.base and Path(args.base).exists() else None
    return Options(
        recipe=args.recipe,
        data=args.data or args.recipe.parent,
        out=args.out or Path(f"run-{args.recipe.resolve().parent.name}"),
        base=base or find_model(args.base or options.config(args).model).path,
        minutes=args.minutes,
        tokens=args.tokens,
        resume=args.resume,
        sweep=args.sweep,
        device=args.device,
        method=method,
    )


def train(args: argparse.Namespace, method: "Method") -> int:
    """Train by a method, measure, pack, and print what came out."""
    signing = key(args.sign)
    from expert.train.adapter.train import train_expert

    asked = wanted(args, method)
    with compared(args.other, asked.base) as other:
        trained = train_expert(asked, listener(sys.stderr))
        if trained is None:
            return 0
        rows = trained.recipe.evaluation.rows if args.rows is None else args.rows
        scores = measured(trained, rows, other)
    package = packed(trained, scores, signing, args.into)
    report = {"package": str(package), "run": str(trained.run), "record": trained.record}
    if args.json:
        print(json.dumps({**report, "scores": [asdict(score) for score in scores]}))
    else:
        print("\n".join(lines(report, scores)))
    return 0


def lines(report: dict[str, Any], scores: "list[Score]") -> list[str]:
    """Return what was made, for people."""
    from expert.train.evaluation.report import table, verdict

    record = report["record"]
    said = [
        f"{record['steps']} steps, {record['tokens']} tokens, {record['minutes']:g} minutes, "
        f"validation loss {record['validation_loss']:g}",
    ]
    if scores:
        said += [table(scores), verdict(scores)]
    return [*said, f"{report['package']}: the expert's package"]


def key(path: Path | None) -> "PrivateKey | None":
    """Read the private key, before the training, so that a wrong one costs nothing."""
    if path is None:
        return None
    from expert.package.keys import read_private_key

    return read_private_key(path)


class Shown:
    """One line of progress: redrawn on a terminal, now and then a new one in a file."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.terminal = stream, stream.isatty()
        self.last = 0.0

    def show(self, text: str, *, end: bool = False) -> None:
        """Draw a line; `end` says that it is the last of its kind."""
        now = time.monotonic()
        if self.terminal:
            self.stream.write(f"\r{text}\x1b[K" + ("\n" if end else ""))
        elif end or now - self.last >= PLAIN_SECONDS:
            self.stream.write(f"{text}\n")
            self.last = now
        self.stream.flush()


def bar(share: float) -> str:
    """Return a bar for a share, 0 to 1."""
    filled = int(BAR * min(1.0, share))
    return "█" * filled + "·" * (BAR - filled)


def clock(seconds: float) -> str:
    """Return minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def listener(stream: TextIO) -> "Listener":
    """Return what draws loss, tokens a second and time left while an expert trains."""
    from expert.train.adapter.train import VALIDATION, Listener

    shown = Shown(stream)
    known: dict[str, float] = {}

    def placed(device: str) -> None:
        shown.show(f"training on {device}", end=True)

    def noticing(text: str) -> None:
        shown.show(text, end=True)

    def preparing(done: int, total: int) -> None:
        shown.show(f"reading tasks {done} of {total}", end=done == total)

    def training(record: dict[str, Any], left: float) -> None:
        known.update(record["loss"])
        losses = " ".join(f"{name} {loss:.3f}" for name, loss in known.items())
        share = record["progress"]
        shown.show(
            f"training {bar(share)} {share:4.0%}  {losses}  "
            f"{record['tokens_a_second']:,} tokens/s  {clock(left)} left",
            end=VALIDATION in record["loss"] and (share >= 1 or not shown.terminal),
        )

    def trying(rate: float, loss: float) -> None:
        shown.show(f"rate {rate:g}: validation loss {loss:.4f}", end=True)

    return Listener(placed, noticing, preparing, training, trying)


@contextmanager
def answering(base: Path) -> Iterator["Answerer"]:
    """Yield what answers with the real engine: greedy, thinking off, nothing truncated."""
    from expert.assistant import Assistant
    from expert.types import ExpertChoice, Request

    def answer(asking: "Asking") -> str:
        request = Request(
            asking.messages,
            experts=tuple(ExpertChoice(adapter) for adapter in asking.adapters),
            max_tokens=asking.max_tokens,
            temperature=0.0,
            record=False,
        )
        if asking.form is not None:
            option, file = asking.form
            held: dict[str, Any] = {option: file, "verbatim": asking.verbatim}
            request = replace(request, **held)
        try:
            return assistant.ask(request).text
        except ContractError as error:
            return str(getattr(error, "partial", ""))

    with Assistant(base) as assistant:
        yield answer


def measured(trained: "Trained", rows: int, other: Path | None) -> "list[Score]":
    """Score a trained expert by its recipe; nothing if no rows or tasks are wanted."""
    settings = trained.recipe.evaluation
    if not rows or not settings.tasks or trained.report.form != "lora":
        return []
    return measure(
        settings, trained.base.file, trained.data, rows,
        expert=trained.report.path, other=other, source=trained.source,
    )  # fmt: skip


def measure(
    settings: "Evaluation",
    base: Path,
    data: "TaskData",
    rows: int,
    *,
    expert: Path | None,
    other: Path | None = None,
    source: "Source",
) -> "list[Score]":
    """Score the base alone, with examples, with the expert, under its grammar, and with another."""
    from expert.train.evaluation.conditions import Settings, conditions, evaluate

    who = conditions(expert, other, settings.shots)
    asked = Settings(
        data, rows, settings.shots, settings.max_tokens, source.grammar, source.verbatim
    )
    with answering(base) as answer:
        return evaluate(settings.tasks, who, asked, answer, progress("measuring"))


def progress(verb: str) -> Callable[[int, int], None]:
    """Return what draws how much of a count is done."""
    shown = Shown(sys.stderr)

    def draw(done: int, total: int) -> None:
        shown.show(f"{verb} {bar(done / max(total, 1))} {done} of {total}", end=done >= total)

    return draw


def packed(
    trained: "Trained", scores: "list[Score]", key: "PrivateKey | None", into: Path | None
) -> Path:
    """Write card, figures and package of a trained expert; return the package."""
    from expert.train.adapter.publish import publish

    return publish(trained, scores, key, into)
