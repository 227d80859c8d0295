"""An adapter file: checked against its base before C sees it, and known by its content.

It is a LoRA, a soft prompt (input embeddings before the first token) or a control vector (a
direction added after each layer).

Hashing and reading every number of a 20 MB adapter takes longer than loading it, so the verdict is
kept in the cache folder under the identity of both files.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from expert.engine.header import file_identity, recall, remember
from expert.errors import NotFoundError, VerificationError, WrongBaseError
from expert_converters.check import check_adapter
from expert_converters.check_adapter import INVOCATION
from expert_converters.errors import ConversionError
from expert_converters.gguf_file import GGUFFile, inspect
from expert_converters.identity import base_identity, declared_identity

AdapterKind: TypeAlias = Literal["lora", "soft-prompt", "control-vector"]


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """An adapter that fits its base: where it is, and what the engine must know of it."""

    path: Path
    digest: str
    """SHA-256 of the whole file: two files with equal content are one adapter."""
    bytes: int
    """Memory of its tensors once loaded."""
    rank: int
    """The largest rank of any of its pairs; 0 for what is no LoRA."""
    invocation: tuple[int, ...]
    """Tokens from whose last occurrence on it acts (`answer`); empty: from the start (`prompt`)."""
    kind: AdapterKind = "lora"
    positions: int = 0
    """Positions that a soft prompt takes up before the first token."""

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
        kind = _kind(header)
        _checker(kind)(header, base)
    except ConversionError as error:
        raise VerificationError(error.what, error.why, error.fix) from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    tensors = header.tensors
    ranks = [tensor.shape[0] for name, tensor in tensors.items() if name.endswith("lora_b")]
    rows = [tensor.shape[1] for tensor in tensors.values() if kind == "soft-prompt"]
    return AdapterFile(
        path.absolute(),
        digest,
        sum(tensor.nbytes for tensor in tensors.values()),
        max(ranks, default=0),
        tuple(msgspec.convert(header.array(INVOCATION), list[int]))
        if INVOCATION in header.metadata
        else (),
        kind,
        sum(rows),
    )


def _kind(header: GGUFFile) -> AdapterKind:
    """Return what a file claims to be; its check then tells whether it is."""
    if header.metadata.get("general.architecture") == "controlvector":
        return "control-vector"
    if header.metadata.get("general.type") == "soft-prompt":
        return "soft-prompt"
    return "lora"


def _checker(kind: AdapterKind) -> Callable[[GGUFFile, GGUFFile], None]:
    """Return the check of a kind; those of the rare kinds import numpy."""
    if kind == "lora":
        return check_adapter
    if kind == "soft-prompt":
        from expert_converters.kinds.soft_prompt import check_soft_prompt

        return check_soft_prompt
    from expert_converters.kinds.control_vector import check_control_vector

    return check_control_vector


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
