"""Which base model a GGUF file is; computed once for each file, then remembered."""

from pathlib import Path

from expert.engine.header import file_identity, recall, remember
from expert.errors import NotFoundError, VerificationError
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import inspect
from expert_converters.identity import BaseIdentity, base_identity


def identify(path: Path) -> BaseIdentity:
    """Return the identity of the base model in a GGUF file.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: it is not a model file.
    """
    try:
        key = file_identity(path, "identity")
    except OSError as error:
        why = error.strerror or str(error)
        raise NotFoundError(f"Cannot open {path}.", f"{why}.", "Check the path.") from error
    known = recall(key, BaseIdentity)
    if known is None:
        known = _compute(path)
        remember(key, known)
    return known


def _compute(path: Path) -> BaseIdentity:
    try:
        return base_identity(inspect(path))
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    except KeyError as error:
        raise VerificationError(
            f"{path} is not a base model.", f"It has no {error}.", "Give a model's GGUF file."
        ) from error
