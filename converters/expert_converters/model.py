"""Converts a Hugging Face checkpoint to GGUF, a few rows in memory at a time, without torch.

Keys, tensor names, order, types and bytes are those of llama.cpp's `convert_hf_to_gguf.py`; tests
compare the two files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from numpy.typing import NDArray

from .architectures import Architecture, ExpectedTensor, find_architecture
from .check import check_model
from .checkpoint import Checkpoint, damaged_files_named, open_checkpoint, read_json
from .errors import CheckpointError
from .files import replacing
from .gguf_file import inspect
from .safetensors_file import StoredTensor

Progress = Callable[[int, int], None]

FILE_TYPES = {
    "f32": (gguf.LlamaFileType.ALL_F32, Type.F32),
    "f16": (gguf.LlamaFileType.MOSTLY_F16, Type.F16),
    "bf16": (gguf.LlamaFileType.MOSTLY_BF16, Type.BF16),
    "q8_0": (gguf.LlamaFileType.MOSTLY_Q8_0, Type.Q8_0),
}
ALWAYS_F32 = ("position_embd.weight", "token_types.weight")


@dataclass(frozen=True, slots=True)
class ModelJob:
    """What to convert, where to, and how."""

    source: Path
    """Folder of the checkpoint."""
    target: Path
    type: str = "f16"
    """f32, f16, bf16 or q8_0; norms and biases stay f32."""
    name: str | None = None
    """`general.name`; by default llama.cpp's guess from the model card or the folder."""


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor of the output file and where its values come from."""

    name: str
    type: Type
    source: StoredTensor


def convert_model(job: ModelJob, progress: Progress | None = None) -> Path:
    """Convert the checkpoint *job.source* and return the path of the GGUF file.

    Args:
        job: what to convert and how.
        progress: called with the number of tensors done and in all.

    Raises:
        CheckpointError: the checkpoint is broken, incomplete or of an unknown kind.
        ModelError: the result would not be safe to load.
    """
    if job.type not in FILE_TYPES:
        raise CheckpointError(
            f"{job.type} cannot be written",
            "it is an unknown type",
            f"Use {', '.join(FILE_TYPES)}.",
        )
    checkpoint = open_checkpoint(job.source)
    architecture = find_architecture(checkpoint)
    plan = _plan_tensors(checkpoint, architecture, job.type)
    with replacing(job.target) as part:
        writer = gguf.GGUFWriter(None, architecture.name)
        for tensor in plan:
            _announce(writer, tensor)
        with damaged_files_named(checkpoint.folder):
            _write_metadata(writer, checkpoint, architecture, job)
            _write_head(writer, part)
        _write_file(writer, plan, progress)
        check_model(inspect(part))
    return job.target


def _plan_tensors(
    checkpoint: Checkpoint, architecture: Architecture, kind: str
) -> list[PlannedTensor]:
    expected = architecture.tensors(checkpoint)
    plan = []
    for stored_name, tensor in checkpoint.tensors.items():
        name = architecture.plain_name(stored_name)
        if name is None:
            continue
        wanted = expected.pop(name, None)
        if wanted is None:
            checkpoint.broken(f"{stored_name} is not a tensor of {checkpoint.architecture}")
        plan.append(_plan_tensor(checkpoint, wanted, tensor, FILE_TYPES[kind][1]))
    missing = sorted(name for name, wanted in expected.items() if wanted.required)
    if missing:
        checkpoint.broken(f"{len(missing)} tensors are missing, among them {missing[0]}")
    return plan


def _plan_tensor(
    checkpoint: Checkpoint, wanted: ExpectedTensor, tensor: StoredTensor, matrix_type: Type
) -> PlannedTensor:
    if tensor.shape != wanted.shape:
        checkpoint.broken(f"{tensor.name} has the shape {tensor.shape}, expected {wanted.shape}")
    name = wanted.name
    if len(wanted.shape) == 1 or name in ALWAYS_F32:
        return PlannedTensor(name, Type.F32, tensor)
    if matrix_type is Type.Q8_0 and wanted.shape[-1] % 32:
        return PlannedTensor(name, Type.F16, tensor)
    return PlannedTensor(name, matrix_type, tensor)


def _announce(writer: gguf.GGUFWriter, tensor: PlannedTensor) -> None:
    shape = tensor.source.shape
    block, size = gguf.GGML_QUANT_SIZES[tensor.type]
    nbytes = int(np.prod(shape)) // block * size
    writer.add_tensor_info(tensor.name, shape, np.dtype("f4"), nbytes, raw_dtype=tensor.type)


def _write_metadata(
    writer: gguf.GGUFWriter, checkpoint: Checkpoint, architecture: Architecture, job: ModelJob
) -> None:
    counts = writer.get_total_parameter_count()
    metadata: Any = gguf.Metadata.load(None, checkpoint.folder, job.name, counts[0])
    metadata.name = metadata.name or checkpoint.folder.name
    metadata.size_label = metadata.size_label or gguf.size_label(*counts)
    generation = read_json(checkpoint.folder / "generation_config.json", {})
    metadata.sampling_penalty_repeat = generation.get("repetition_penalty")
    writer.add_type(gguf.GGUFType.MODEL)
    metadata.set_gguf_meta_model(writer)
    architecture.write_parameters(checkpoint, writer, FILE_TYPES[job.type][0])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    vocab_size = checkpoint.number("vocab_size")
    architecture.write_vocabulary(writer, checkpoint.folder, checkpoint.config, vocab_size)


def _write_head(writer: gguf.GGUFWriter, path: Path) -> None:
    try:
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    except BaseException:
        writer.close()
        raise


def _write_file(
    writer: gguf.GGUFWriter, plan: list[PlannedTensor], progress: Progress | None
) -> None:
    try:
        file = writer.fout[0]
        writer.write_padding(file, file.tell())
        for done, tensor in enumerate(plan, 1):
            start = file.tell()
            for values in tensor.source.chunks():
                file.write(_encode(tensor, values).data)
            writer.write_padding(file, file.tell() - start)
            if progress is not None:
                progress(done, len(plan))
    finally:
        writer.close()


def _encode(tensor: PlannedTensor, values: NDArray[Any]) -> NDArray[Any]:
    """Bring rows of a tensor into the type they are stored in."""
    if tensor.type is Type.F16 and values.dtype != np.float16:
        with np.errstate(over="ignore"):
            encoded: NDArray[Any] = values.astype(np.float16)
        if not np.isfinite(encoded).all():
            raise CheckpointError(
                f"{tensor.source.name} does not fit f16",
                "it holds values beyond 65504",
                "Convert to bf16 or q8_0.",
            )
        return encoded
    encoded = gguf.quants.quantize(values, tensor.type)
    return encoded
