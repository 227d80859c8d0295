"""How hard each row is for a base: the perplexity of its answer, and the strata that follow."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from expert.closing import Closing
from expert.dataset.reading import Skipped, Source, read_rows
from expert.dataset.rows import Row
from expert.dataset.writing import row_file
from expert.engine.context import Context, Slice
from expert.engine.logprobs import view_logits
from expert.engine.model import Model
from expert.engine.options import ContextOptions, LoadOptions
from expert.engine.template import ChatTemplate
from expert.types import Message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Progress = Callable[[int, int], None]
LEVELS = ("easy", "medium", "hard")
TOO_LONG = "too long"
SHARES = (0.3, 0.8)
"""Where easy and medium end, as shares of the rows."""
CONTEXT = 4096
BATCH = 512
OUTPUTS = 64
"""Tokens whose logits are held at once: they are the vocabulary's size each."""


class Scores(Protocol):
    """Says how well a model expects an answer."""

    def loss(self, row: Row) -> float | None:
        """Return the mean negative log-likelihood a token, in nats; None: the row is too long."""


class Perplexity(Closing):
    """The answer's loss under a base, by our own engine. Close it, or use it with `with`.

    Raises:
        ExpertError: the model cannot be loaded, or there is no memory for its context.
    """

    def __init__(self, path: Path, options: LoadOptions, threads: int | None = None) -> None:
        self._model = Model(path, options)
        try:
            self._template = ChatTemplate(self._model)
            size = min(CONTEXT, self._model.trained_context)
            self._context = Context(
                self._model,
                ContextOptions(size=size, batch=BATCH, outputs=OUTPUTS, threads=threads),
            )
        except BaseException:
            self._model.close()
            raise

    def loss(self, row: Row) -> float | None:
        """Return the mean loss of the answer's tokens and of its end; of plain text, of all."""
        asked, answer = self._tokens(row)
        tokens = [*asked, *answer]
        if len(tokens) > self._context.size:
            return None
        self._context.forget(0, 0)
        total, position = 0.0, 0
        first = len(asked) - 1  # the logits here foretell the answer's first token
        while position < first:
            part = tokens[position : min(position + BATCH, first)]
            self._context.step([Slice(0, position, part)])
            position += len(part)
        while position < len(tokens) - 1:
            part = tokens[position : min(position + OUTPUTS, len(tokens) - 1)]
            (rows,) = self._context.step([Slice(0, position, part, len(part))])
            for step, at in enumerate(rows):
                total += _loss(view_logits(self._context, at), tokens[position + step + 1])
            position += len(part)
        return total / len(answer)

    def _tokens(self, row: Row) -> tuple[list[int], list[int]]:
        """Return the tokens before the answer, at least one, and the answer's with its end."""
        vocabulary = self._model.vocabulary
        end = [vocabulary.eos] if vocabulary.eos >= 0 else []
        if row.text is not None:
            tokens = [*vocabulary.encode(row.text, bos=True), *end]
            return tokens[:1], tokens[1:] or end
        messages = [Message("system", row.system)] if row.system else []
        for asked, answer in row.history:
            messages += [Message("user", asked), Message("assistant", answer)]
        messages.append(Message("user", row.prompt))
        return self._template.tokens(messages), [*vocabulary.encode(row.answer.strip()), *end]

    def close(self) -> None:
        """Free the model."""
        self._context.close()
        self._model.close()


def _loss(logits: NDArray[np.float32], token: int) -> float:
    import numpy as np

    values = logits.astype(np.float64)
    return float(np.logaddexp.reduce(values) - values[token])


@dataclass
class Difficulty:
    """How many rows are how hard."""

    rows: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    median: float = 0.0
    """Perplexity of the answer, which is e to the loss."""
    cuts: tuple[float, float] = (0.0, 0.0)
    """Perplexities where medium and hard begin."""
    skipped: int = 0


def difficulty(
    source: Source,
    target: Path | None,
    scores: Scores,
    cuts: tuple[float, float] | None = None,
    skipped: Skipped | None = None,
    progress: Progress = lambda done, total: None,
) -> Difficulty:
    """Measure every row; with *target*, write them with `perplexity` and `difficulty`.

    Raises:
        ResourceError: the target cannot be written.
        ExpertError: as `read_rows` does.
    """
    losses = array("d")
    for row in read_rows(source, skipped):
        loss = scores.loss(row)
        losses.append(math.inf if loss is None else loss)
        progress(len(losses), 0)
    known = sorted(loss for loss in losses if math.isfinite(loss))
    ends = tuple(map(math.log, cuts)) if cuts else tuple(_at(known, share) for share in SHARES)
    levels = [level(loss, ends) for loss in losses]
    if target is not None:
        with row_file(target) as write:
            again = read_rows(source, None if skipped is None else Skipped())
            for row, loss, name in zip(again, losses, levels, strict=True):
                measured = round(perplexity(loss), 3) if math.isfinite(loss) else None
                write(row.with_extra(perplexity=measured, difficulty=name))
    easy, medium = map(perplexity, ends)
    median = perplexity(_at(known, 0.5)) if known else 0.0
    dropped = skipped.count if skipped else 0
    return Difficulty(len(losses), Counter(levels), median, (easy, medium), dropped)


def perplexity(loss: float) -> float:
    """Return the perplexity of a mean loss in nats."""
    return math.exp(min(loss, 700.0))


def level(loss: float, ends: Sequence[float]) -> str:
    """Return the stratum of a loss; a loss at an end is of the easier one."""
    if not math.isfinite(loss):
        return TOO_LONG
    return LEVELS[sum(loss > end for end in ends)]


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
