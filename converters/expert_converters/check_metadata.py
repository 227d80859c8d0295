"""Which metadata a model may carry, of which type and within which bounds.

llama.cpp throws on a key of the wrong type and aborts on some values, so keys it might read are an
allow-list per architecture (`llama-model.cpp`, `llama-arch.cpp` and `models/*.cpp` say which).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NoReturn

from .errors import ModelError
from .gguf_file import GGUFFile, Scalar
from .gguf_types import ValueType

MAX_LAYERS = 512
TENSOR_ALIGNMENT = 32
FREE_PREFIXES = ("general.", "quantize.", "expert.")
"""Keys llama.cpp only prints, apart from those in `GENERAL` and `FORBIDDEN`."""
FORBIDDEN = ("general.tensor_extra.", "split.")


@dataclass(frozen=True, slots=True)
class Rule:
    """Type and bounds of one key."""

    type: ValueType
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Scalar, ...] = ()
    required: bool = False


def _number(low: int, high: int, required: bool = True) -> Rule:
    return Rule(ValueType.UINT32, low, high, required=required)


def _real(low: float, high: float, required: bool = False) -> Rule:
    return Rule(ValueType.FLOAT32, low, high, required=required)


TINY, HUGE = 1e-30, 1e30
GENERAL = {
    "general.architecture": Rule(ValueType.STRING, required=True),
    "general.type": Rule(ValueType.STRING, choices=("model",)),
    "general.name": Rule(ValueType.STRING),
    "general.alignment": _number(TENSOR_ALIGNMENT, 1 << 16, required=False),
    "general.file_type": _number(0, 1 << 16, required=False),
    "general.quantization_version": _number(0, 16, required=False),
}
SIZES = {
    "context_length": _number(1, 1 << 24),
    "embedding_length": _number(1, 1 << 16),
    "block_count": _number(1, MAX_LAYERS),
    "feed_forward_length": _number(1, 1 << 20),
    "attention.head_count": _number(1, 1 << 10),
    "vocab_size": _number(1, 1 << 22, required=False),
    "pooling_type": _number(0, 3, required=False),
}
ARCHITECTURE_KEYS = {
    "qwen3": SIZES
    | {
        "attention.head_count_kv": _number(1, 1 << 10, required=False),
        "attention.key_length": _number(2, 1 << 10, required=False),
        "attention.value_length": _number(2, 1 << 10, required=False),
        "attention.layer_norm_rms_epsilon": _real(0, 1, required=True),
        "rope.dimension_count": _number(2, 1 << 10, required=False),
        "rope.freq_base": _real(TINY, HUGE),
        "rope.scaling.type": Rule(ValueType.STRING, choices=("none", "linear", "yarn")),
        "rope.scaling.factor": _real(TINY, HUGE),
        "rope.scaling.attn_factor": _real(TINY, HUGE),
        "rope.scaling.original_context_length": _number(1, 1 << 24, required=False),
        "rope.scaling.finetuned": Rule(ValueType.BOOL),
        "rope.scaling.yarn_attn_factor": _real(TINY, HUGE),
        "rope.scaling.yarn_ext_factor": _real(-1, HUGE),
        "rope.scaling.yarn_beta_fast": _real(TINY, HUGE),
        "rope.scaling.yarn_beta_slow": _real(TINY, HUGE),
    },
    "bert": SIZES
    | {
        "attention.layer_norm_epsilon": _real(0, 1, required=True),
        "attention.causal": Rule(ValueType.BOOL, choices=(False,), required=True),
    },
}


def check_metadata(gguf: GGUFFile) -> str:
    """Check every key of a model outside its tokenizer and return its architecture.

    Raises:
        ModelError: a key is missing, unknown, of the wrong type or out of bounds.
    """
    _check_rules(gguf, GENERAL)
    architecture = str(gguf.metadata["general.architecture"])
    if architecture not in ARCHITECTURE_KEYS:
        known = ", ".join(ARCHITECTURE_KEYS)
        refuse(gguf, f"its architecture {architecture} is not one of: {known}")
    rules = {f"{architecture}.{key}": rule for key, rule in ARCHITECTURE_KEYS[architecture].items()}
    _check_rules(gguf, rules)
    for key in gguf.metadata:
        free = key.startswith(FREE_PREFIXES) and not key.startswith(FORBIDDEN)
        if key not in rules and not free and not key.startswith("tokenizer."):
            refuse(gguf, f"the key {key} is not one a {architecture} model has")
    return architecture


def number(gguf: GGUFFile, key: str, default: int | None = None) -> int:
    """Return a whole number that `check_metadata` has checked, or *default* where it is absent."""
    value = gguf.metadata.get(key, default)
    assert isinstance(value, int)
    return value


def check_rule(gguf: GGUFFile, key: str, rule: Rule) -> None:
    """Check the type and bounds of *key*, if it is there or required.

    Raises:
        ModelError: it breaks *rule*.
    """
    if key not in gguf.metadata:
        if rule.required:
            refuse(gguf, f"the key {key} is missing")
        return
    found = gguf.types[key]
    if found is not rule.type:
        refuse(gguf, f"{key} is of type {found.name}, expected {rule.type.name}")
    value = gguf.metadata[key]
    if rule.choices and value not in rule.choices:
        allowed = ", ".join(str(choice) for choice in rule.choices)
        refuse(gguf, f"{key} is {value!r}, expected one of: {allowed}")
    if isinstance(value, int | float) and not rule.low <= value <= rule.high:
        refuse(gguf, f"{key} is {value}, expected {rule.low} to {rule.high}")


def refuse(gguf: GGUFFile, why: str) -> NoReturn:
    """Raise a ModelError about the file *gguf*."""
    raise ModelError(
        f"{gguf.path} is not a model that can be loaded safely",
        why,
        "Fetch or convert the model again.",
    )


def _check_rules(gguf: GGUFFile, rules: dict[str, Rule]) -> None:
    for key, rule in rules.items():
        check_rule(gguf, key, rule)
