"""Decides whether a GGUF LoRA adapter is safe to attach to a base model in llama.cpp.

llama.cpp aborts on metadata of the wrong type, on three-dimensional factors and on an embedding
adapter for a base with tied embeddings; it ignores other mistakes silently. Layout:
`A` is (inputs, rank) and `B` is (rank, outputs) in ggml order (`llama-adapter.cpp`).
"""

from __future__ import annotations

import math
from typing import NoReturn

from .errors import AdapterError
from .gguf_file import ArrayValue, GGUFFile, TensorInfo
from .gguf_types import GGMLType, ValueType

ALPHA = "adapter.lora.alpha"
INVOCATION = "adapter.alora.invocation_tokens"
EMBEDDING = "token_embd.weight"
OUTPUT = "output.weight"
MAX_RANK = 1 << 13
FACTOR_TYPES = (GGMLType.F32, GGMLType.F16, GGMLType.BF16, GGMLType.Q8_0, GGMLType.Q4_0)
ADAPTER_KEYS = {
    "adapter.type": ValueType.STRING,
    ALPHA: ValueType.FLOAT32,
    INVOCATION: ValueType.ARRAY,
    "adapter.lora.task_name": ValueType.STRING,
    "adapter.lora.prompt_prefix": ValueType.STRING,
    "general.architecture": ValueType.STRING,
    "general.type": ValueType.STRING,
}
FREE_PREFIXES = ("general.", "expert.")


def check_adapter(adapter: GGUFFile, base: GGUFFile, *, values: bool = True) -> None:
    """Check that llama.cpp can attach *adapter* to *base* without aborting or going wrong silently.

    Args:
        adapter: the adapter's header.
        base: the header of a model that `check_model` accepts.
        values: also read every number and refuse NaN and infinity (needs numpy).

    Raises:
        AdapterError: it names the key or tensor, what was expected, and what was found.
    """
    _check_metadata(adapter, base)
    pairs = _pair_factors(adapter)
    for target, (a, b) in pairs.items():
        _check_pair(adapter, base, target, a, b)
    if values:
        _check_values(adapter)


def _check_metadata(adapter: GGUFFile, base: GGUFFile) -> None:
    for key, found in adapter.types.items():
        wanted = ADAPTER_KEYS.get(key)
        if wanted is None and not key.startswith(FREE_PREFIXES):
            _refuse(adapter, f"the key {key} is not one an adapter has")
        if wanted is not None and found is not wanted:
            _refuse(adapter, f"{key} is of type {found.name}, expected {wanted.name}")
    expected = {
        "general.architecture": base.metadata.get("general.architecture"),
        "general.type": "adapter",
        "adapter.type": "lora",
    }
    for key, value in expected.items():
        if adapter.metadata.get(key) != value:
            _refuse(adapter, f"{key} is {adapter.metadata.get(key)!r}, expected {value!r}")
    alpha = adapter.metadata.get(ALPHA)
    if not isinstance(alpha, float) or not math.isfinite(alpha) or alpha <= 0:
        _refuse(adapter, f"{ALPHA} is {alpha!r}, expected a positive number")
    _check_invocation(adapter, base)


def _check_invocation(adapter: GGUFFile, base: GGUFFile) -> None:
    value = adapter.metadata.get(INVOCATION)
    if value is None:
        return
    tokens = base.metadata.get("tokenizer.ggml.tokens")
    count = tokens.count if isinstance(tokens, ArrayValue) else 0
    if not isinstance(value, ArrayValue) or value.type is not ValueType.UINT32 or not value.count:
        _refuse(adapter, f"{INVOCATION} is not a list of UINT32 numbers")
    if any(int(token) >= count for token in adapter.array(INVOCATION)):
        _refuse(adapter, f"{INVOCATION} holds a token the base does not have ({count} tokens)")


def _pair_factors(adapter: GGUFFile) -> dict[str, tuple[TensorInfo, TensorInfo]]:
    """Return the factors of each adapted weight, by the weight's name."""
    targets: dict[str, None] = {}
    for name in adapter.tensors:
        target, _, factor = name.rpartition(".")
        if factor not in ("lora_a", "lora_b"):
            _refuse(adapter, f"the tensor {name} is not a LoRA factor, so it would have no effect")
        targets[target] = None
    if not targets:
        _refuse(adapter, "it holds no tensors")
    pairs = {}
    for target in targets:
        try:
            a, b = (adapter.tensors[f"{target}.{factor}"] for factor in ("lora_a", "lora_b"))
        except KeyError as error:
            _refuse(adapter, f"the tensor {error.args[0]} is missing")
        pairs[target] = (a, b)
    return pairs


def _check_pair(
    adapter: GGUFFile, base: GGUFFile, target: str, a: TensorInfo, b: TensorInfo
) -> None:
    weight = base.tensors.get(target)
    tied = OUTPUT not in base.tensors
    if tied and target in (EMBEDDING, OUTPUT):
        _refuse(adapter, f"it adapts {target}, which this base shares between input and output")
    if weight is None or len(weight.shape) != 2:
        _refuse(adapter, f"the base has no matrix {target}")
    for factor in (a, b):
        if factor.type not in FACTOR_TYPES:
            names = ", ".join(kind.name for kind in FACTOR_TYPES)
            _refuse(adapter, f"{factor.name} is of type {factor.type.name}, expected {names}")
        if len(factor.shape) != 2:
            _refuse(adapter, f"{factor.name} has {len(factor.shape)} dimensions, expected 2")
    rank = b.shape[0]
    inputs, outputs = weight.shape
    # An embedding's A is stored transposed, because its rows are gathered by token.
    flipped = target == EMBEDDING
    wanted_a = (rank, outputs) if flipped else (inputs, rank)
    wanted_b = (rank, inputs) if flipped else (rank, outputs)
    for factor, wanted in ((a, wanted_a), (b, wanted_b)):
        if factor.shape != wanted:
            _refuse(adapter, f"{factor.name} has the shape {factor.shape}, expected {wanted}")
    if rank > MAX_RANK:
        _refuse(adapter, f"{target} has the rank {rank}, expected at most {MAX_RANK}")


def _check_values(adapter: GGUFFile) -> None:
    import numpy as np

    for name, tensor in adapter.tensors.items():
        raw = np.frombuffer(adapter.tensor_bytes(name), np.uint8)
        if tensor.type is GGMLType.F32:
            finite = np.isfinite(raw.view("<f4")).all()
        elif tensor.type is GGMLType.F16:
            finite = np.isfinite(raw.view("<f2")).all()
        elif tensor.type is GGMLType.BF16:
            finite = ((raw.view("<u2") & 0x7F80) != 0x7F80).all()
        else:
            # Q8_0 and Q4_0: integers behind one half-precision scale a block.
            scales = raw.reshape(-1, tensor.type.type_size)[:, :2]
            finite = np.isfinite(np.ascontiguousarray(scales).view("<f2")).all()
        if not finite:
            _refuse(adapter, f"{name} holds NaN or infinity")


def _refuse(adapter: GGUFFile, why: str) -> NoReturn:
    raise AdapterError(
        f"{adapter.path} cannot be attached to this base", why, "Use an adapter made for this base."
    )
