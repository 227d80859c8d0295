"""Soft prompts: prompt tuning (arXiv 2104.08691) and p-tuning (arXiv 2103.10385).

What is trained amounts to rows that stand where token embeddings would, before the first token.
The file is a GGUF with

    general.architecture  string  of the base
    general.type          string  "soft-prompt"
    general.name          string
    soft_prompt.embeddings  F32   (width of the embeddings, rows) in ggml order

and, where the base is a GGUF file, the keys of `identity` that name it.

A runtime decodes the rows first, at positions 0, 1, ... as `llama_batch.embd`, and the prompt's
tokens, BOS included, at the positions that follow; nothing else changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..adapter_base import AdapterBase, read_base
from ..check_adapter import EMBEDDING
from ..errors import AdapterError
from ..files import replacing
from ..gguf_file import GGUFFile, inspect
from ..gguf_types import GGMLType
from ..gguf_writer import NewTensor, write_gguf
from ..identity import identity_keys
from ..lora_file import Floats
from ..safetensors_file import read_safetensors
from .job import AdapterJob, AdapterReport, Progress
from .source import WEIGHTS_FILE, refuse

TYPE = "soft-prompt"
TENSOR = "soft_prompt.embeddings"
STORED = "prompt_embeddings"
MAX_ROWS = 1 << 14


def convert(job: AdapterJob, config: dict[str, Any], progress: Progress | None) -> AdapterReport:
    """Write the rows that PEFT saved, p-tuning's encoder applied already."""
    base = read_base(job.base)
    rows = _read_rows(job, config, base)
    with replacing(job.target) as path:
        with path.open("wb") as file:
            write_gguf(
                file,
                {
                    "general.architecture": base.architecture,
                    "general.type": TYPE,
                    "general.name": job.name or job.source.name,
                    **(identity_keys(base.identity) if base.identity else {}),
                },
                [NewTensor(TENSOR, (rows.shape[1], rows.shape[0]), GGMLType.F32)],
                [rows],
            )
        read_soft_prompt(path)
    if progress is not None:
        progress(1, 1)
    return AdapterReport(job.target, TYPE, TYPE)


def read_soft_prompt(path: Path) -> Floats:
    """Return the rows of the soft prompt at *path*; shape (rows, width).

    Raises:
        GGUFError: it is not a readable GGUF file.
        AdapterError: it is no soft prompt, or holds NaN or infinity.
    """
    header = inspect(path)
    tensor = header.tensors.get(TENSOR)
    if header.metadata.get("general.type") != TYPE or tensor is None or len(header.tensors) != 1:
        _refuse_file(path, "it is something else")
    if tensor.type is not GGMLType.F32 or len(tensor.shape) != 2:
        _refuse_file(path, f"{TENSOR} is {tensor.type.name} {tensor.shape}, expected F32 rows")
    if tensor.shape[1] > MAX_ROWS:
        _refuse_file(path, f"it has {tensor.shape[1]} rows, above {MAX_ROWS}")
    rows = np.frombuffer(header.tensor_bytes(TENSOR), "<f4").reshape(tensor.shape[::-1])
    if not np.isfinite(rows).all():
        _refuse_file(path, "it holds NaN or infinity")
    return rows.astype(np.float32)


def check_soft_prompt(prompt: GGUFFile, base: GGUFFile) -> None:
    """Check that *prompt* can stand before the tokens of *base*.

    Raises:
        AdapterError: it is no soft prompt, it holds NaN or infinity, or it is for another base.
    """
    for key in prompt.types:
        if not key.startswith(("general.", "expert.")):
            _refuse_file(prompt.path, f"the key {key} is not one a soft prompt has")
    rows = read_soft_prompt(prompt.path)
    architecture = base.metadata["general.architecture"]
    width = base.tensors[EMBEDDING].shape[0]
    found = prompt.metadata.get("general.architecture")
    if found != architecture:
        _refuse_file(prompt.path, f"it is for {found!r}, this base is {architecture!r}")
    if not len(rows) or rows.shape[1] != width:
        _refuse_file(prompt.path, f"it is {rows.shape}, expected rows of {width} numbers")


def _read_rows(job: AdapterJob, config: dict[str, Any], base: AdapterBase) -> Floats:
    stored = read_safetensors(job.source / WEIGHTS_FILE)
    if list(stored) != [STORED]:
        refuse(job.source, f"it holds {', '.join(stored) or 'nothing'} instead of {STORED}")
    if config.get("num_transformer_submodules") not in (None, 1):
        refuse(job.source, "it has a prompt for a decoder of its own")
    expected = (config.get("num_virtual_tokens"), base.shapes[EMBEDDING][1])
    if stored[STORED].shape != expected or stored[STORED].shape[0] > MAX_ROWS:
        refuse(job.source, f"its prompt is {stored[STORED].shape}, expected {expected}")
    return np.ascontiguousarray(stored[STORED].load(), np.float32)


def _refuse_file(path: Path, why: str) -> NoReturn:
    raise AdapterError(f"{path} is not a soft prompt", why, "Convert it from PEFT's folder again.")
