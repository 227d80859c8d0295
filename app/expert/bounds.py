"""Where the numbers of a request lie; beyond, they mean nothing to a sampler or a clock."""

from typing import Any

from expert.errors import UsageError
from expert.types import Request

BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (0.01, 100.0),
    "top_k": (0, 1 << 30),
    "seed": (0, (1 << 32) - 1),
    "timeout": (0.0, 1e9),
    "logprobs": (0, 1000),
}
_STORED = (1, (1 << 63) - 1)  # what SQLite numbers its rows with
_REQUEST = {**BOUNDS, "max_tokens": (1, (1 << 31) - 1), "conversation": _STORED, "parent": _STORED}


def check_request(request: Request) -> None:
    """Refuse a request that nothing could answer, before anything is computed for it.

    Raises:
        UsageError: it asks nothing, or one of its numbers is out of its bounds.
    """
    if not request.messages:
        raise UsageError("Nothing is asked.", "The request has no message.", "Give it one.")
    for name, (low, high) in _REQUEST.items():
        check_bounds(name, getattr(request, name), low, high)


def check_bounds(name: str, value: Any, low: float, high: float) -> None:
    """Refuse a number that is not between *low* and *high*; None is no number, and passes.

    Raises:
        UsageError: *why* says which bounds these are.
    """
    if value is not None and not low <= value <= high:
        raise UsageError(
            f"{name} {value} is out of range.",
            f"It must lie between {low:g} and {high:g}.",
            "Give another value, or leave it out.",
        )
