"""Which base model a GGUF file is, as manifests name it."""

from dataclasses import asdict
from pathlib import Path

from expert.errors import VerificationError
from expert.package.manifest import BaseIdentity
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import inspect
from expert_converters.identity import base_identity


def identify(path: Path) -> BaseIdentity:
    """Return the identity of the base model in a GGUF file.

    Raises:
        VerificationError: it is not a model file.
    """
    try:
        return BaseIdentity(**asdict(base_identity(inspect(path))))
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    except KeyError as error:
        raise VerificationError(
            f"{path} is not a base model.", f"It has no {error}.", "Give a model's GGUF file."
        ) from error
