"""Facts in the few words that fit on a line."""

from collections.abc import Mapping, Sequence

from expert.screen import one_line
from expert.types import Answer, ExpertChoice

_ENDS = {"length": "cut at its longest", "cancelled": "stopped", "timeout": "time ran out"}


def took(answer: Answer) -> str:
    """Return who answered, how many tokens went in and out, and how quickly."""
    timings = answer.timings
    parts = [" + ".join(use.name for use in answer.experts) or "base"]
    parts.append(f"↑{timings.prompt_tokens} ↓{timings.answer_tokens}")
    if timings.decode_tokens_per_s:
        parts.append(f"{timings.decode_tokens_per_s:.0f} tok/s")
    if answer.finish in _ENDS:
        parts.append(_ENDS[answer.finish])
    return one_line(" · ".join(parts))


def tokens(count: int) -> str:
    """Return a number of tokens as people read it: 812, 2.1k, 32k."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 10_000 else f"{round(count / 1000)}k"


def size(count: int) -> str:
    """Return a number of bytes as people read it: 812 B, 9.1 MB, 4.2 GB."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def named(experts: Sequence[ExpertChoice], chances: Mapping[str, float] | None = None) -> str:
    """Return experts by name, with scales that are not 1, and how sure the router was of them."""
    chances = chances or {}
    return " + ".join(
        choice.name
        + ("" if choice.scale == 1 else f":{choice.scale:g}")
        + (f" ({chances[choice.name]:.2f})" if choice.name in chances else "")
        for choice in experts
    )
