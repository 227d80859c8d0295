"""Converts a PEFT LoRA to a GGUF adapter that computes the same in llama.cpp.

llama.cpp scales every pair of factors by alpha / rank, where alpha is one number for the file and
the rank is that of the pair (`llama-adapter.h`). The scale PEFT uses can differ per module, so the
difference is folded into B. Ranks are padded with zeros to whole Q8_0 blocks, which keeps B
quantisable and llama.cpp's inner loops out of their scalar tail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from numpy.typing import NDArray

from .adapter_base import AdapterBase, read_base
from .check_adapter import EMBEDDING
from .checkpoint import damaged_files_named
from .errors import AdapterError
from .files import replacing
from .gguf_file import inspect
from .identity import identity_keys
from .peft_config import PeftConfig, read_peft_config
from .safetensors_file import StoredTensor, read_safetensors

Progress = Callable[[int, int], None]
Floats = NDArray[np.float32]

RANK_MULTIPLE = 32
TYPES = {"f32": Type.F32, "f16": Type.F16, "bf16": Type.BF16, "q8_0": Type.Q8_0}
FACTORS = {
    ".lora_A.weight": "A",
    ".lora_B.weight": "B",
    ".lora_embedding_A": "A",
    ".lora_embedding_B": "B",
}


@dataclass(frozen=True, slots=True)
class LoraJob:
    """What to convert, for which base, where to, and how."""

    source: Path
    """Folder with `adapter_config.json` and `adapter_model.safetensors`."""
    base: Path
    """The base model: a GGUF file or a checkpoint folder."""
    target: Path
    type: str = "q8_0"
    """f32, f16, bf16 or q8_0, for both factors."""
    name: str | None = None
    """`general.name`; by default gguf's guess from the folder."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The stored factors of one adapted matrix and the scale PEFT applies to their product."""

    target: str
    """Name of the matrix in the base GGUF."""
    a: StoredTensor
    b: StoredTensor
    rank: int
    scale: float

    @property
    def padded_rank(self) -> int:
        """The rank in the output file."""
        return -(-self.rank // RANK_MULTIPLE) * RANK_MULTIPLE

    @property
    def embedding(self) -> bool:
        """Whether A is stored transposed, because llama.cpp gathers its rows by token."""
        return self.target == EMBEDDING


def convert_lora(job: LoraJob, progress: Progress | None = None) -> Path:
    """Convert the PEFT LoRA *job.source* and return the path of the GGUF adapter.

    Args:
        job: what to convert and how.
        progress: called with the number of matrices done and in all.

    Raises:
        AdapterError: it cannot be represented, is damaged, or does not fit the base.
        CheckpointError: a file is missing or damaged.
    """
    if job.type not in TYPES:
        _refuse(job.source, f"{job.type} is an unknown type", f"Use {', '.join(TYPES)}.")
    config = read_peft_config(job.source)
    base = read_base(job.base)
    pairs = _pair_factors(config, base)
    _check_invocation(config, base)
    alpha = _common_alpha(pairs, job.type)
    with replacing(job.target) as part:
        writer = gguf.GGUFWriter(None, base.architecture)
        for pair in pairs:
            _announce(writer, pair, TYPES[job.type])
        with damaged_files_named(job.source):
            _write_metadata(writer, config, job, alpha)
        _write_identity(writer, base)
        _write_file(writer, part, pairs, alpha, progress)
        inspect(part)
    return job.target


def _pair_factors(config: PeftConfig, base: AdapterBase) -> list[Pair]:
    """Match the stored factors with each other, with the configuration and with the base."""
    folder = config.folder
    factors: dict[str, dict[str, StoredTensor]] = {}
    for name, tensor in read_safetensors(folder / "adapter_model.safetensors").items():
        suffix = next((suffix for suffix in FACTORS if name.endswith(suffix)), None)
        if suffix is None:
            _check_unconverted(folder, name, tensor, base)
            continue
        module = name.removeprefix("base_model.model.").removesuffix(suffix)
        found = factors.setdefault(module, {})
        if FACTORS[suffix] in found:
            _refuse(folder, f"it holds factor {FACTORS[suffix]} of {module} twice")
        found[FACTORS[suffix]] = tensor
    if not factors:
        _refuse(folder, "it holds no LoRA factors")
    return [_pair(config, base, module, found) for module, found in factors.items()]


def _check_unconverted(folder: Path, name: str, tensor: StoredTensor, base: AdapterBase) -> None:
    """Allow the unchanged base embedding that PEFT stores beside an embedding adapter."""
    module = name.removeprefix("base_model.model.").removesuffix(".base_layer.weight")
    weight = base.names.get(module)
    if name.endswith(".base_layer.weight") and weight and base.shapes[weight] == tensor.shape:
        return
    if "lora_magnitude_vector" in name:
        _refuse(folder, f"{name} belongs to DoRA, which llama.cpp cannot do at run time")
    _refuse(folder, f"{name} is not a LoRA factor, so it would be lost")


def _pair(
    config: PeftConfig, base: AdapterBase, module: str, found: dict[str, StoredTensor]
) -> Pair:
    folder, target = config.folder, base.names.get(module)
    if base.tied and (target == EMBEDDING or module == "lm_head"):
        _refuse(folder, f"it adapts {module}, which this base shares between input and output")
    if target is None:
        _refuse(folder, f"the base has no matrix {module}")
    if len(found) != 2:
        _refuse(folder, f"{module} has only one of its two factors")
    rank, (outputs, inputs) = config.rank_of(module), base.shapes[target]
    if target == EMBEDDING:
        outputs, inputs = inputs, outputs
    for factor, wanted in (("A", (rank, inputs)), ("B", (outputs, rank))):
        shape = found[factor].shape
        if shape != wanted:
            _refuse(folder, f"factor {factor} of {module} is {shape}, expected {wanted}")
    return Pair(target, found["A"], found["B"], rank, config.scale_of(module))


def _check_invocation(config: PeftConfig, base: AdapterBase) -> None:
    for token in config.invocation_tokens:
        if not 0 <= token < base.vocab_size:
            _refuse(config.folder, f"its invocation token {token} is not one of the base")


def _common_alpha(pairs: list[Pair], kind: str) -> float:
    """Choose the file's alpha.

    For quantised files it is the highest rank, so that fused adapters scale by 1. Float files keep
    PEFT's own alpha where one number expresses every scale, so that the factors stay untouched.
    """
    alphas = {pair.scale * pair.padded_rank for pair in pairs}
    if kind != "q8_0" and len(alphas) == 1:
        return alphas.pop()
    return float(max(pair.padded_rank for pair in pairs))


def _announce(writer: gguf.GGUFWriter, pair: Pair, kind: Type) -> None:
    a_shape, b_shape = (pair.padded_rank, pair.a.shape[1]), (pair.b.shape[0], pair.padded_rank)
    if pair.embedding:
        a_shape = a_shape[::-1]
    for factor, shape in (("lora_a", a_shape), ("lora_b", b_shape)):
        stored = _stored_type(kind, shape)
        block, size = gguf.GGML_QUANT_SIZES[stored]
        nbytes = shape[0] * shape[1] // block * size
        writer.add_tensor_info(
            f"{pair.target}.{factor}", shape, np.dtype("f4"), nbytes, raw_dtype=stored
        )


def _stored_type(kind: Type, shape: tuple[int, ...]) -> Type:
    return Type.F16 if kind is Type.Q8_0 and shape[-1] % 32 else kind


def _write_metadata(
    writer: gguf.GGUFWriter, config: PeftConfig, job: LoraJob, alpha: float
) -> None:
    parameters = writer.get_total_parameter_count()[0]
    metadata: Any = gguf.Metadata.load(None, job.source, job.name, parameters)
    metadata.name = metadata.name or job.base.name
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    metadata.set_gguf_meta_model(writer)
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    if config.invocation_tokens:
        writer.add_key_value(
            "adapter.alora.invocation_tokens",
            list(config.invocation_tokens),
            gguf.GGUFValueType.ARRAY,
            gguf.GGUFValueType.UINT32,
        )
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _write_identity(writer: gguf.GGUFWriter, base: AdapterBase) -> None:
    """Name the weights the adapter is for, so that another base of the same shape is refused."""
    if base.identity is not None:
        for part, value in identity_keys(base.identity).items():
            writer.add_string(part, value)


def _write_file(
    writer: gguf.GGUFWriter, path: Path, pairs: list[Pair], alpha: float, progress: Progress | None
) -> None:
    kinds = {name: info.dtype for name, info in writer.tensors[0].items()}
    try:
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for done, pair in enumerate(pairs, 1):
            for factor, values in zip(("lora_a", "lora_b"), _scaled(pair, alpha), strict=True):
                kind = kinds[f"{pair.target}.{factor}"]
                writer.write_tensor_data(gguf.quants.quantize(values, kind))
            if progress is not None:
                progress(done, len(pairs))
    finally:
        writer.close()


def _scaled(pair: Pair, alpha: float) -> tuple[Floats, Floats]:
    """Return both factors, padded, with B scaled so that alpha / rank gives PEFT's scale."""
    a = np.asarray(pair.a.load(), np.float32)
    b = np.asarray(pair.b.load(), np.float32)
    correction = pair.scale * pair.padded_rank / alpha
    if correction != 1:
        b = b * np.float32(correction)
    padding = pair.padded_rank - pair.rank
    a, b = np.pad(a, ((0, padding), (0, 0))), np.pad(b, ((0, 0), (0, padding)))
    return (np.ascontiguousarray(a.T) if pair.embedding else a), b


def _refuse(
    folder: Path, why: str, fix: str = "Convert an adapter made for this base."
) -> NoReturn:
    raise AdapterError(f"{folder} cannot be converted", why, fix)
