"""What an adapter must know of its base model: module names, shapes, and whether it is tied.

The base may be a GGUF file or a Hugging Face folder, of which only `config.json` is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .architectures import find_architecture, load_architecture
from .check import check_model
from .checkpoint import Checkpoint, read_json
from .errors import AdapterError
from .gguf_file import inspect
from .identity import BaseIdentity, base_identity


@dataclass(frozen=True, slots=True)
class AdapterBase:
    """The matrices of a base model that an adapter may change."""

    architecture: str
    tied: bool
    """Input and output share one embedding, which then cannot be adapted."""
    names: dict[str, str]
    """Hugging Face module to GGUF weight."""
    shapes: dict[str, tuple[int, int]]
    """GGUF weight to (outputs, inputs)."""
    identity: BaseIdentity | None = None
    """Which weights these are; unknown for a checkpoint folder, of which only shapes are read."""

    @property
    def vocab_size(self) -> int:
        """Number of tokens, padding included."""
        return self.shapes["token_embd.weight"][0]


def read_base(path: Path) -> AdapterBase:
    """Describe the base model at *path*, a GGUF file or a checkpoint folder.

    Raises:
        AdapterError: adapters for its architecture are not supported.
        GGUFError, ModelError: it is a broken GGUF file.
        CheckpointError: it is a broken checkpoint.
    """
    base = _from_checkpoint(path) if path.is_dir() else _from_gguf(path)
    if not base.names:
        raise AdapterError(
            f"{path} cannot take an adapter",
            f"adapters for {base.architecture} are not supported",
            "Use a Qwen3 base.",
        )
    return base


def _from_gguf(path: Path) -> AdapterBase:
    gguf = inspect(path)
    check_model(gguf)
    architecture = load_architecture(str(gguf.metadata["general.architecture"]))
    names, shapes = {}, {}
    for name, tensor in gguf.tensors.items():
        module = architecture.module_name(name.removesuffix(".weight"))
        if module is not None and len(tensor.shape) == 2:
            names[module] = name
            shapes[name] = (tensor.shape[1], tensor.shape[0])
    tied = "output.weight" not in gguf.tensors
    return AdapterBase(architecture.name, tied, names, shapes, base_identity(gguf))


def _from_checkpoint(path: Path) -> AdapterBase:
    checkpoint = Checkpoint(path, read_json(path / "config.json"), {})
    architecture = find_architecture(checkpoint)
    names, shapes = {}, {}
    for wanted in architecture.tensors(checkpoint).values():
        module = architecture.module_name(wanted.name.removesuffix(".weight"))
        if module is not None and len(wanted.shape) == 2 and wanted.required:
            names[module] = wanted.name
            shapes[wanted.name] = (wanted.shape[0], wanted.shape[1])
    return AdapterBase(architecture.name, "output.weight" not in shapes, names, shapes)
