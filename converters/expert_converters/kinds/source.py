"""Reads the tensors of a PEFT folder, by the module of the base that they adapt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ..adapter_base import AdapterBase
from ..check_adapter import EMBEDDING
from ..errors import AdapterError
from ..safetensors_file import StoredTensor, read_safetensors

Floats = NDArray[np.float32]
WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class AdaptedModule:
    """One adapted matrix of the base and the tensors stored for it."""

    folder: Path
    name: str
    """Hugging Face's name, such as `model.layers.0.self_attn.q_proj`."""
    target: str
    """Name of the matrix in GGUF files."""
    shape: tuple[int, int]
    """Outputs and inputs."""
    tensors: dict[str, StoredTensor]
    """By the end of their names."""

    def load(self, suffix: str, shape: tuple[int, ...]) -> Floats:
        """Read the tensor whose name ends in *suffix*.

        Raises:
            AdapterError: it does not have *shape*.
            CheckpointError: it holds NaN or infinity.
        """
        tensor = self.tensors[suffix]
        if tensor.shape != shape:
            refuse(self.folder, f"{tensor.name} is {tensor.shape}, expected {shape}")
        return np.asarray(tensor.load(), np.float32)


def read_modules(folder: Path, base: AdapterBase, suffixes: Sequence[str]) -> list[AdaptedModule]:
    """Return the adapted modules, each of which has a tensor for every one of *suffixes*.

    Raises:
        AdapterError: a tensor is surplus, missing, or of a module the base does not have.
        CheckpointError: the file is missing or damaged.
    """
    return group(folder, base, read_safetensors(folder / WEIGHTS_FILE), suffixes)


def group(
    folder: Path, base: AdapterBase, stored: dict[str, StoredTensor], suffixes: Sequence[str]
) -> list[AdaptedModule]:
    """Do what `read_modules` does for tensors that are open already."""
    found: dict[str, dict[str, StoredTensor]] = {}
    for name, tensor in stored.items():
        suffix = next((suffix for suffix in suffixes if name.endswith(suffix)), None)
        if suffix is None or not name.startswith(PREFIX):
            refuse(folder, f"{name} is not a tensor of this kind of adapter, so it would be lost")
        module = name.removeprefix(PREFIX).removesuffix(suffix)
        found.setdefault(module, {})[suffix] = tensor
    if not found:
        refuse(folder, "it adapts nothing")
    return [_module(folder, base, name, tensors, suffixes) for name, tensors in found.items()]


def _module(
    folder: Path,
    base: AdapterBase,
    name: str,
    tensors: dict[str, StoredTensor],
    suffixes: Sequence[str],
) -> AdaptedModule:
    target = base.names.get(name)
    if target is None or target == EMBEDDING:
        refuse(folder, f"the base has no matrix {name} that this kind of adapter can change")
    missing = [suffix for suffix in suffixes if suffix not in tensors]
    if missing:
        refuse(folder, f"{name}{missing[0]} is missing")
    return AdaptedModule(folder, name, target, base.shapes[target], tensors)


def refuse(folder: Path, why: str) -> NoReturn:
    """Raise the error about *folder* that every kind raises."""
    raise AdapterError(
        f"{folder} cannot be converted", why, "Convert an adapter made for this base, saved whole."
    )
