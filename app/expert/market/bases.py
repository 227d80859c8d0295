"""Which base model a GGUF file is, as manifests name it."""

from dataclasses import asdict
from pathlib import Path

from expert.models import identity
from expert.package.manifest import BaseIdentity


def identify(path: Path) -> BaseIdentity:
    """Return the identity of the base model in a GGUF file.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: it is not a model file.
    """
    return BaseIdentity(**asdict(identity.identify(path)))
