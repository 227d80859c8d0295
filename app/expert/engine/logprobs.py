"""Log-probabilities of tokens, from the raw logits before any sampling filter."""

from typing import TYPE_CHECKING

from expert.engine.context import Context
from expert.types import TokenLogprob

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_logits(context: Context, row: int) -> "NDArray[np.float32]":
    """Return a copy of the logits of *row* of the last step; shape (vocabulary,)."""
    return view_logits(context, row).copy()


def view_logits(context: Context, row: int) -> "NDArray[np.float32]":
    """Return the logits of *row* in llama.cpp's own memory, until the next step."""
    return context.logits(row)


def token_logprob(context: Context, row: int, token: int, alternatives: int) -> TokenLogprob:
    """Return the log-probability of *token* and of the likeliest *alternatives* at *row*."""
    import numpy as np

    logits = read_logits(context, row).astype(np.float64)
    logprobs = logits - np.logaddexp.reduce(logits)
    count = min(alternatives, len(logprobs))
    best = np.argpartition(-logprobs, count - 1)[:count] if count else np.empty(0, dtype=int)
    best = best[np.argsort(-logprobs[best], kind="stable")]
    name = context.model.vocabulary.name
    return TokenLogprob(
        token,
        name(token),
        float(logprobs[token]),
        tuple(TokenLogprob(int(i), name(int(i)), float(logprobs[i])) for i in best),
    )
