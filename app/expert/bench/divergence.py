"""How far a changed adapter's predictions are from the original's: the KL divergence of the logits.

Both read the same conversations; compared is every token of the answer, as the row gives it or as
the original adapter itself writes it. Zero means that nothing was lost where it counts; the base
alone, without the adapter, is the yardstick for how much there was to lose.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expert.engine.adapter_file import AdapterFile, read_adapter
from expert.engine.adapter_set import activation_runs, run_end
from expert.engine.context import Context, Slice
from expert.engine.logprobs import view_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.engine.pool import AdapterPool
from expert.engine.template import ChatTemplate
from expert.errors import NotFoundError, UsageError, VerificationError
from expert.types import Message

Doubles = NDArray[np.float64]
Progress = Callable[[int, int], None]

ANSWER = 32
"""Most tokens of an answer that are compared."""
ROLES = ("system", "user", "assistant")
LONGEST = 1024
"""Tokens of a prompt; longer ones are left out."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A conversation up to the answer, and the answer if it is known."""

    messages: tuple[Message, ...]
    answer: str | None = None


def read_passages(path: Path, rows: int) -> list[Passage]:
    """Read the first *rows* conversations of a JSON Lines file.

    A row is a text, `{"prompt": …, "answer": …}` with or without the answer, or
    `{"messages": [{"role": …, "content": …}, …]}`, whose last assistant turn is the answer.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: a row is none of these.
        UsageError: there is no row.
    """
    found: list[Passage] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip() and len(found) < rows:
                    found.append(_passage(path, number, line))
    except OSError as error:
        why = error.strerror or str(error)
        raise NotFoundError(f"Cannot read {path}.", f"{why}.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise VerificationError(f"{path} is not UTF-8 text.", str(error), "Save it so.") from error
    if not found:
        raise UsageError(f"{path} holds no row.", "", "Give a file of conversations.")
    return found


def _passage(path: Path, number: int, line: str) -> Passage:
    try:
        row: Any = json.loads(line)
        if isinstance(row, str):
            return Passage((Message("user", row),))
        if "messages" in row:
            turns = tuple(
                Message(_role(turn["role"]), _text(turn["content"])) for turn in row["messages"]
            )
            if turns[-1].role == "assistant":
                return Passage(turns[:-1], turns[-1].content)
            return Passage(turns)
        answer = row.get("answer")
        prompt = (Message("user", _text(row["prompt"])),)
        return Passage(prompt, None if answer is None else _text(answer))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise VerificationError(
            f"Row {number} of {path} is no conversation.",
            f"{type(error).__name__}: {error}.",
            'Write {"prompt": "…", "answer": "…"} on each line.',
        ) from error


def _role(value: Any) -> Any:
    if value not in ROLES:
        raise ValueError(f"{value!r:.40} is no role")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a text")
    return value


def divergences(
    base: Path,
    original: Path,
    others: Sequence[Path | None],
    passages: Sequence[Passage],
    progress: Progress | None = None,
) -> list[float]:
    """Return the mean KL divergence from *original* to each of *others*, in nats a token.

    Args:
        base: the model.
        original: the adapter whose predictions are the reference.
        others: adapters; None is the base alone.
        passages: what is read.
        progress: is told passages done and in all.

    Raises:
        UsageError: every passage is too long.
        ExpertError: the model or an adapter cannot be loaded.
    """
    with Model(base) as model:
        reference = read_adapter(original, model.header)
        files = [None if path is None else read_adapter(path, model.header) for path in others]
        with Context(model, ContextOptions(size=LONGEST + 256, outputs=ANSWER + 1)) as context:
            reader = _Reader(context)
            sums, count = np.zeros(len(files)), 0
            for done, passage in enumerate(passages, 1):
                prompt = reader.template.tokens(passage.messages)
                if len(prompt) <= LONGEST:
                    answer = reader.answer(prompt, passage.answer, reference)
                    expected = reader.logprobs(prompt, answer, reference)
                    found = [reader.logprobs(prompt, answer, file) for file in files]
                    sums += [_divergence(expected, one) for one in found]
                    count += len(expected)
                if progress is not None:
                    progress(done, len(passages))
            reader.close()
    if not count:
        raise UsageError(
            "No conversation is short enough.",
            f"Those of more than {LONGEST} tokens are left out.",
            "Give shorter ones.",
        )
    return [float(total / count) for total in sums]


def _divergence(expected: Doubles, found: Doubles) -> float:
    """Return the sum over positions of KL(expected || found)."""
    return float(np.sum(np.exp(expected) * (expected - found)))


class _Reader:
    """Predictions of one context under changing adapters."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pool = AdapterPool(context.model)
        self.template = ChatTemplate(context.model)

    def answer(self, prompt: list[int], given: str | None, file: AdapterFile) -> list[int]:
        """Return the answer's tokens: those given, else what an adapter writes greedily."""
        model = self._context.model
        if given is not None:
            return model.vocabulary.encode(given)[:ANSWER]
        tokens: list[int] = []
        best = int(self.logprobs(prompt, [], file)[-1].argmax())
        while len(tokens) < ANSWER and not model.vocabulary.ends(best):
            (rows,) = self._context.step([Slice(0, len(prompt) + len(tokens), [best], 1)])
            tokens.append(best)
            best = int(view_logits(self._context, rows[0]).argmax())
        return tokens

    def logprobs(self, prompt: list[int], answer: list[int], file: AdapterFile | None) -> Doubles:
        """Return log-probabilities for each token of the answer and the one after it."""
        tokens, context = [*prompt, *answer], self._context
        experts = () if file is None else ((file, 1.0),)
        runs = activation_runs(prompt, experts)
        context.forget(0, 0)
        found: list[Doubles] = []
        for run in runs:
            end = run_end(runs, run.start)
            part = tokens[run.start : end]
            if not part:
                continue
            wanted = min(len(part), max(0, run.start + len(part) - (len(prompt) - 1)))
            context.attach(self._pool.attached(run.adapters))
            (rows,) = context.step([Slice(0, run.start, part, wanted)])
            found += [_normalised(view_logits(context, row)) for row in rows]
        return np.array(found)

    def close(self) -> None:
        """Free the adapters."""
        self._context.attach(self._pool.attached(activation_runs([0], ())[0].adapters))
        self._pool.close()


def _normalised(logits: NDArray[np.float32]) -> Doubles:
    values: Doubles = logits.astype(np.float64)
    total: np.float64 = np.logaddexp.reduce(values)
    return values - total
