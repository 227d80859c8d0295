"""Control vectors: one direction a layer, added to the residual stream (arXiv 2310.01405).

The file is the one llama.cpp's `cvector-generator` writes and its `--control-vector` reads
(`common_control_vector_load`): F32 tensors `direction.N` of the embeddings' width, where N counts
layers from 0 and 0 itself cannot have one. The direction is added to what layer N puts out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ..check_adapter import EMBEDDING
from ..errors import AdapterError
from ..files import replacing
from ..gguf_file import GGUFFile, inspect
from ..gguf_types import GGMLType
from ..gguf_writer import NewTensor, write_gguf
from ..identity import BaseIdentity, identity_keys

Floats = NDArray[np.float32]
MAX_LAYERS = 1 << 12
ARCHITECTURE = "controlvector"
HINT = "controlvector.model_hint"


def write_control_vector(
    directions: Mapping[int, Floats],
    architecture: str,
    target: Path,
    identity: BaseIdentity | None = None,
) -> Path:
    """Write *directions*, by layer, for models of *architecture* as the GGUF file *target*.

    With *identity* the file names its base, and others of the same shape are refused.

    Raises:
        AdapterError: there is none, one is for layer 0, or they are no finite vectors.
    """
    layers = sorted(directions)
    rows = [np.ascontiguousarray(directions[layer], np.float32) for layer in layers]
    if not layers or not 0 < layers[0] <= layers[-1] < MAX_LAYERS:
        _refuse(target, f"its layers are {layers}, expected numbers from 1 on")
    if len({row.shape for row in rows}) != 1 or rows[0].ndim != 1:
        _refuse(target, "its directions are not vectors of one width")
    if not all(np.isfinite(row).all() for row in rows):
        _refuse(target, "it holds NaN or infinity")
    with replacing(target) as path:
        with path.open("wb") as file:
            write_gguf(
                file,
                {
                    "general.architecture": ARCHITECTURE,
                    HINT: architecture,
                    "controlvector.layer_count": len(layers),
                    **(identity_keys(identity) if identity else {}),
                },
                [NewTensor(f"direction.{n}", rows[0].shape, GGMLType.F32) for n in layers],
                rows,
            )
        inspect(path)
    return target


def read_control_vector(path: Path) -> Floats:
    """Return the directions at *path*, one row for each layer from 1 on; missing ones are zero.

    The array (layers, width) is what `llama_set_adapter_cvec` takes.

    Raises:
        GGUFError: it is not a readable GGUF file.
        AdapterError: llama.cpp would refuse it as a control vector, or it is not finite.
    """
    header = inspect(path)
    found: dict[int, NDArray[np.float32]] = {}
    for name, tensor in header.tensors.items():
        match = re.fullmatch(r"direction\.([1-9][0-9]{0,3})", name)
        if match is None or int(match[1]) >= MAX_LAYERS:
            _refuse(path, f"{name} is not a direction of a layer")
        if tensor.type is not GGMLType.F32 or len(tensor.shape) != 1:
            _refuse(path, f"{name} is {tensor.type.name} {tensor.shape}, expected an F32 vector")
        found[int(match[1])] = np.frombuffer(header.tensor_bytes(name), "<f4")
    if len({row.size for row in found.values()}) != 1:
        _refuse(path, "its directions are none, or of several widths")
    rows = np.zeros((max(found), next(iter(found.values())).size), np.float32)
    for layer, row in found.items():
        rows[layer - 1] = row
    if not np.isfinite(rows).all():
        _refuse(path, "it holds NaN or infinity")
    return rows


def check_control_vector(vector: GGUFFile, base: GGUFFile) -> None:
    """Check that *vector* can be added to the layers of *base*.

    Raises:
        AdapterError: it is no control vector, it is not finite, or it is for another base.
    """
    for key in vector.types:
        if not key.startswith(("general.", "expert.", "controlvector.")):
            _refuse(vector.path, f"the key {key} is not one a control vector has")
    rows = read_control_vector(vector.path)
    architecture = base.metadata["general.architecture"]
    hint = vector.metadata.get(HINT, architecture)
    if vector.metadata.get("general.architecture") != ARCHITECTURE or hint != architecture:
        _refuse(vector.path, f"it is for {hint!r}, this base is {architecture!r}")
    layers = base.metadata[f"{architecture}.block_count"]
    width = base.tensors[EMBEDDING].shape[0]
    if rows.shape[1] != width or not isinstance(layers, int) or len(rows) >= layers:
        _refuse(
            vector.path,
            f"it is {rows.shape}, expected directions of {width} numbers for layers below {layers}",
        )


def _refuse(path: Path, why: str) -> NoReturn:
    raise AdapterError(f"{path} is not a control vector", why, "Make it again for this base.")
