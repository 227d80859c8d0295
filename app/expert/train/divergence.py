"""Training that has diverged is told at the step where it happens, before it spoils the weights."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from expert.errors import VerificationError


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Tell whether every value is a number, and none is infinite."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def diverged(what: str, step: int) -> VerificationError:
    """Return the error of a step at which *what* is no finite number any more."""
    return VerificationError(
        f"The training diverged: {what} is no finite number any more.",
        f"It happened at step {step}; a checkpoint that was saved is from before.",
        "Lower the rate in the recipe (`expert train --sweep` finds one); where none helps, look "
        "for rows that are unlike the others.",
    )
