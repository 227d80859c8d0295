"""The model architectures that can be converted, one module each, imported on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import gguf

from ..checkpoint import Checkpoint
from ..errors import CheckpointError

ARCHITECTURES = {
    "BertForMaskedLM": "bert",
    "BertModel": "bert",
    "Qwen3ForCausalLM": "qwen3",
}
"""Hugging Face class name to the module of this package that describes it."""


@dataclass(frozen=True, slots=True)
class ExpectedTensor:
    """What a tensor of the checkpoint becomes; `shape` is in Hugging Face order."""

    name: str
    shape: tuple[int, ...]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Architecture:
    """How one architecture is converted; every part takes the checkpoint's own configuration."""

    name: str
    """Architecture name in GGUF keys."""
    plain_name: Callable[[str], str | None]
    """Maps a stored tensor name to its usual form, or to None where the tensor is not needed."""
    tensors: Callable[[Checkpoint], dict[str, ExpectedTensor]]
    write_parameters: Callable[[Checkpoint, gguf.GGUFWriter, int], None]
    """Adds the hyperparameters; the number is the GGUF file type."""
    write_vocabulary: Callable[[gguf.GGUFWriter, Path, dict[str, Any], int], None]
    module_name: Callable[[str], str | None]
    """Maps a GGUF weight to Hugging Face's module, for adapters; None where there is none."""


def find_architecture(checkpoint: Checkpoint) -> Architecture:
    """Return the description of the architecture *checkpoint* names.

    Raises:
        CheckpointError: it is none of `ARCHITECTURES`.
    """
    module = ARCHITECTURES.get(checkpoint.architecture)
    if module is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise CheckpointError(
            f"{checkpoint.folder} cannot be converted",
            f"its architecture {checkpoint.architecture} is not supported",
            f"Supported are {known}.",
        )
    return load_architecture(module)


def load_architecture(module: str) -> Architecture:
    """Import the description *module*, which is named as in GGUF files."""
    found: Architecture = import_module(f".{module}", __name__).ARCHITECTURE
    return found
