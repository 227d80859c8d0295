"""Finding an expert's adapter by what people type for it; a packed one comes expanded."""

import math
from pathlib import Path

from expert.engine.expansion import attachable
from expert.errors import NotFoundError, UsageError
from expert.paths import expanded
from expert.types import ExpertChoice


def find_expert(text: str) -> ExpertChoice:
    """Return the expert that `FILE` or `FILE:SCALE` names.

    Raises:
        UsageError: the scale is not a finite number, or it is a package, not yet installed.
        NotFoundError: there is no such file.
        VerificationError: it is a packed adapter, and damaged.
    """
    whole = expanded(text)
    name, separator, number = text.rpartition(":")
    if whole.is_file() or not separator:
        return ExpertChoice(_existing(whole), 1.0)
    scale = scale_of(name, number, "FILE")
    return ExpertChoice(_existing(expanded(name)), scale)


def scale_of(name: str, number: str, form: str) -> float:
    """Return what `NAME:NUMBER` multiplies an expert by; *form* is what stands for the name.

    Raises:
        UsageError: it is not a finite number.
    """
    try:
        scale = float(number)
    except ValueError:
        scale = math.nan
    if not math.isfinite(scale):
        raise UsageError(
            f"The scale {number!r} of the expert {name} is not a number.",
            f"An expert is written {form} or {form}:SCALE.",
            f"Write for example {name}:0.5.",
        )
    return scale


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotFoundError(
            f"There is no expert {str(path)!r}.",
            "No adapter file of that name exists.",
            "Give the path of a GGUF adapter, or the name of an installed expert: `expert list`.",
        )
    if path.suffix == ".expert":
        raise UsageError(
            f"{path} is a package, not an adapter.",
            "An expert answers once it is installed, for its signature is checked then.",
            f"Run `expert install {path}`, then give its name.",
        )
    return attachable(path.absolute())
