"""What the verbs about training share: progress, the engine that answers, and packing."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from expert.errors import ContractError, UsageError

if TYPE_CHECKING:
    from expert.package.keys import PrivateKey
    from expert.train.adapter.recipe import Evaluation
    from expert.train.adapter.train import Listener, Trained
    from expert.train.evaluation.conditions import Answerer, Asking, Score

BAR = 24
SMALL = 100 << 20
"""Bytes of a base below which a second thread waits more than it computes."""
PLAIN_SECONDS = 15.0
"""Between two lines where progress goes into a file."""


def check_extra() -> None:
    """Refuse early where the packages for training are not installed.

    Raises:
        UsageError: it says how to install them.
    """
    missing = [name for name in ("torch", "tokenizers", "safetensors") if find_spec(name) is None]
    if missing:
        raise UsageError(
            "Training needs packages that are not installed.",
            f"There is no {', '.join(missing)}.",
            "Install them: pip install 'expert[train]'",
        )


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

    return Listener(preparing, training, trying)


@contextmanager
def answering(base: Path) -> Iterator["Answerer"]:
    """Yield what answers with the real engine: greedy, thinking off, nothing truncated."""
    from expert.assistant import Assistant
    from expert.types import ExpertChoice, Request

    def answer(asking: "Asking") -> str:
        request = Request(
            asking.messages,
            experts=() if asking.adapter is None else (ExpertChoice(asking.adapter),),
            max_tokens=asking.max_tokens,
            temperature=0.0,
            record=False,
        )
        if asking.form is not None:
            option, file = asking.form
            held: dict[str, Any] = {option: file}
            request = replace(request, **held)
        try:
            return assistant.ask(request).text
        except ContractError as error:
            return str(getattr(error, "partial", ""))

    threads = 1 if base.stat().st_size < SMALL else None
    with Assistant(base, threads=threads) as assistant:
        yield answer


def measure(
    settings: "Evaluation",
    base: Path,
    data: Path,
    rows: int,
    *,
    expert: Path | None,
    other: Path | None = None,
    grammar: Path | None = None,
) -> "list[Score]":
    """Score the base alone, with examples, with the expert, under its grammar, and with another."""
    from expert.train.evaluation.conditions import Settings, conditions, evaluate

    constrained = grammar is not None or "spider" in settings.tasks
    who = conditions(expert, other, settings.shots, constrained=constrained)
    asked = Settings(data, rows, settings.shots, settings.max_tokens, grammar)
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
