"""Turns a GGUF LoRA back into a PEFT folder, so that adapters can be trained on or merged.

PEFT scales by lora_alpha / rank of the module, which is llama.cpp's rule with one alpha, so the
factors are stored as they are.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from .architectures import load_architecture
from .check import check_adapter, check_model
from .check_adapter import ALPHA, EMBEDDING, INVOCATION
from .errors import AdapterError
from .gguf_file import GGUFFile, inspect

Floats = NDArray[np.float32]


def export_lora(adapter: Path, base: Path, folder: Path) -> Path:
    """Write the GGUF adapter *adapter* for the GGUF model *base* as the PEFT folder *folder*.

    Raises:
        AdapterError: it is damaged or does not fit the base, or *folder* exists.
        GGUFError, ModelError: the base is broken.
    """
    header, base_header = inspect(adapter), inspect(base)
    check_model(base_header)
    check_adapter(header, base_header)
    if folder.exists():
        raise AdapterError(f"{folder} exists", "it would be overwritten", "Name a new folder.")
    tensors, ranks = _peft_tensors(header)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        _save(part, tensors, _config(header, ranks))
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _peft_tensors(header: GGUFFile) -> tuple[dict[str, Floats], dict[str, int]]:
    """Return the factors under PEFT's names, and the rank of each module."""
    architecture = load_architecture(str(header.metadata["general.architecture"]))
    tensors: dict[str, Floats] = {}
    ranks: dict[str, int] = {}
    for name in header.tensors:
        target, _, factor = name.rpartition(".")
        module = architecture.module_name(target.removesuffix(".weight"))
        if module is None:
            raise AdapterError(
                f"{header.path} cannot be exported", f"{target} has no PEFT module", "Keep it."
            )
        values = _float_values(header, name)
        letter = factor[-1].upper()
        if target == EMBEDDING:
            values = np.ascontiguousarray(values.T) if letter == "A" else values
            tensors[f"base_model.model.{module}.lora_embedding_{letter}"] = values
        else:
            tensors[f"base_model.model.{module}.lora_{letter}.weight"] = values
        if letter == "A":
            ranks[module] = values.shape[0]
    return tensors, ranks


def _float_values(header: GGUFFile, name: str) -> Floats:
    tensor = header.tensors[name]
    raw = np.frombuffer(header.tensor_bytes(name), np.uint8)
    rows = raw.reshape(tensor.shape[1], -1)
    values: Floats = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType(tensor.type))
    return values.reshape(tensor.shape[::-1])


def _config(header: GGUFFile, ranks: dict[str, int]) -> dict[str, Any]:
    rank = Counter(ranks.values()).most_common(1)[0][0]
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": header.metadata[ALPHA],
        "lora_dropout": 0.0,
        "bias": "none",
        "rank_pattern": {module: own for module, own in ranks.items() if own != rank},
        "alpha_pattern": {},
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "target_modules": sorted(ranks),
    }
    if INVOCATION in header.metadata:
        config["alora_invocation_tokens"] = header.array(INVOCATION)
    return config


def _save(folder: Path, tensors: dict[str, Floats], config: dict[str, Any]) -> None:
    from safetensors.numpy import save_file

    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    text = json.dumps(config, indent=2)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
