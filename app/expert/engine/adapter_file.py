"""An adapter file: checked against its base before C sees it, and known by its content.

Hashing and reading every number of a 20 MB adapter takes longer than loading it, so the verdict is
kept in the cache folder under the identity of both files.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from expert.engine.header import file_identity, recall, remember
from expert.errors import NotFoundError, VerificationError, WrongBaseError
from expert_converters.check import check_adapter
from expert_converters.check_adapter import INVOCATION
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import GGUFFile, inspect
from expert_converters.identity import base_identity, declared_identity


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """A LoRA adapter that fits its base: where it is, and what the engine must know of it."""

    path: Path
    digest: str
    """SHA-256 of the whole file: two files with equal content are one adapter."""
    bytes: int
    """Memory of its tensors once loaded."""
    rank: int
    """The largest rank of any of its pairs."""
    invocation: tuple[int, ...]
    """Tokens from whose last occurrence on it acts (`answer`); empty: from the start (`prompt`)."""

    @property
    def name(self) -> str:
        return self.path.stem


def read_adapter(path: Path, base: GGUFFile) -> AdapterFile:
    """Return a checked adapter.

    Raises:
        NotFoundError: there is no such file.
        VerificationError: it is damaged, hostile, or does not fit *base*.
        WrongBaseError: it names other weights as its base.
    """
    try:
        key = file_identity(path, file_identity(base.path))
    except OSError as error:
        raise NotFoundError(
            f"The adapter {path} cannot be opened.",
            error.strerror or str(error),
            "Check the path.",
        ) from error
    known = recall(key, AdapterFile)
    if known is None:
        known = _check(path, base)
        remember(key, known)
    return known


def _check(path: Path, base: GGUFFile) -> AdapterFile:
    try:
        header = inspect(path)
        _check_identity(header, base)
        check_adapter(header, base)
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    tensors = header.tensors
    return AdapterFile(
        path.absolute(),
        digest,
        sum(tensor.nbytes for tensor in tensors.values()),
        max(tensor.shape[0] for name, tensor in tensors.items() if name.endswith("lora_b")),
        tuple(msgspec.convert(header.array(INVOCATION), list[int]))
        if INVOCATION in header.metadata
        else (),
    )


def _check_identity(adapter: GGUFFile, base: GGUFFile) -> None:
    declared, present = declared_identity(adapter), base_identity(base)
    if declared is None or declared == present:
        return
    reasons = {
        "architecture": "that base is of another architecture",
        "shapes": "that base has other sizes",
        "tokenizer": "that base has another vocabulary",
        "norms": "that base has the same shape but other weights",
    }
    why = [
        text for part, text in reasons.items() if getattr(declared, part) != getattr(present, part)
    ]
    raise WrongBaseError(
        f"{adapter.path.name} was made for another base ({declared.short}, not {present.short}).",
        f"{why}.".capitalize(),
        "Use the base it was made for, or an expert made for this one.",
    )
