"""Reads `adapter_config.json` of a PEFT LoRA: ranks, scales, and what cannot be converted.

PEFT scales each module by alpha / rank, or alpha / sqrt(rank) with rank-stabilised LoRA
(arXiv 2312.03732), and both numbers may differ per module by pattern (`peft/tuners/lora`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from .check_metadata import HUGE
from .checkpoint import read_json
from .errors import AdapterError

REFUSED_OPTIONS = {
    "use_dora": "DoRA rescales the whole weight, which llama.cpp cannot do at run time",
    "modules_to_save": "it carries whole layers of its own",
    "lora_bias": "it trains biases",
    "fan_in_fan_out": "its weights are transposed",
    "trainable_token_indices": "it trains single token embeddings",
    "target_parameters": "it adapts bare parameters",
    "layer_replication": "it repeats layers of the base",
    "use_qalora": "its factors are grouped (QA-LoRA)",
    "use_bdlora": "its factors are block-diagonal",
    "arrow_config": "it routes between adapters",
    "velora_config": "its factors are compressed (VeLoRA)",
    "kasa_config": "it changes the base (KaSA)",
    "monteclora_config": "its factors are random (MonteCLoRA)",
}
MOVED_BASES = ("pissa", "olora", "corda", "lora_ga", "loftq")
"""Initialisations that subtract the first adapter from the base, or quantise the base."""
MAX_PATTERN_LENGTH = 512


@dataclass(frozen=True, slots=True)
class PeftConfig:
    """The part of a LoRA configuration that decides what the adapter computes."""

    folder: Path
    rank: int
    alpha: float
    rank_pattern: dict[str, int]
    alpha_pattern: dict[str, float]
    rank_stabilised: bool
    invocation_tokens: tuple[int, ...]
    """An aLoRA is active from these tokens on; empty for an ordinary LoRA."""

    def rank_of(self, module: str) -> int:
        """Return the rank PEFT gives *module*."""
        return int(_match(self.rank_pattern, module, self.rank))

    def scale_of(self, module: str) -> float:
        """Return the factor PEFT puts before B A of *module*."""
        rank, alpha = self.rank_of(module), float(_match(self.alpha_pattern, module, self.alpha))
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)


def read_peft_config(folder: Path, *, dora: bool = False) -> PeftConfig:
    """Read and check the adapter configuration in *folder*.

    Args:
        folder: where `adapter_config.json` is.
        dora: accept DoRA, whose factors alone are not the whole adapter.

    Raises:
        CheckpointError: it is missing or not JSON.
        AdapterError: it is no LoRA, uses something that cannot be converted, or is damaged.
    """
    config = read_json(folder / "adapter_config.json")
    if config.get("peft_type") != "LORA":
        _refuse(folder, f"it is of the type {config.get('peft_type')!r}, not LORA")
    check_options(folder, {**config, "use_dora": False} if dora else config)
    tokens = config.get("alora_invocation_tokens") or []
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        _refuse(folder, "alora_invocation_tokens is not a list of token ids")
    return PeftConfig(
        folder,
        whole(folder, "r", config.get("r")),
        positive(folder, "lora_alpha", config.get("lora_alpha")),
        {
            key: whole(folder, "rank_pattern", value)
            for key, value in read_pattern(folder, config, "rank_pattern").items()
        },
        read_pattern(folder, config, "alpha_pattern"),
        bool(config.get("use_rslora")),
        tuple(tokens),
    )


def check_options(folder: Path, config: dict[str, Any]) -> None:
    """Refuse what no conversion can carry over, whatever the kind of adapter.

    Raises:
        AdapterError: it names the option.
    """
    for option, reason in REFUSED_OPTIONS.items():
        if config.get(option):
            _refuse(folder, f"{reason} ({option})")
    if config.get("bias", "none") != "none":
        _refuse(folder, f"it trains biases (bias={config['bias']!r})")
    start = str(config.get("init_lora_weights")).lower()
    if start.startswith(MOVED_BASES):
        raise AdapterError(
            f"{folder} cannot be converted",
            f"it belongs to a base that its initialisation changed (init_lora_weights={start!r})",
            "Save it with path_initial_model_for_weight_conversion, or merge it into its base.",
        )


def read_pattern(folder: Path, config: dict[str, Any], key: str) -> dict[str, float]:
    """Return the positive numbers that *key* gives to modules, by regular expression.

    Raises:
        AdapterError: it is damaged.
    """
    pattern = config.get(key) or {}
    if not isinstance(pattern, dict):
        _refuse(folder, f"{key} is not an object")
    for expression in pattern:
        try:
            re.compile(expression)
        except (re.error, RecursionError, OverflowError) as error:
            _refuse(folder, f"{key} holds {expression!r}, which is no regular expression ({error})")
        if len(expression) > MAX_PATTERN_LENGTH:
            _refuse(folder, f"{key} holds an expression of {len(expression)} characters")
    return {name: positive(folder, key, value) for name, value in pattern.items()}


def positive(folder: Path, key: str, value: Any) -> float:
    """Return *value*, found under *key*, as a positive number.

    Raises:
        AdapterError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(folder, f"{key} is {value!r}, not a number")
    if not 0 < value < HUGE:
        _refuse(folder, f"{key} is {value!r}, expected a positive number")
    return value


def whole(folder: Path, key: str, value: Any) -> int:
    """Return *value*, found under *key*, as a positive whole number.

    Raises:
        AdapterError: it is something else.
    """
    number = positive(folder, key, value)
    if number != int(number):
        _refuse(folder, f"{key} is {value!r}, expected a whole number")
    return int(number)


def _match(pattern: dict[str, Any], module: str, default: float) -> float:
    for expression, value in pattern.items():
        if re.match(rf"(.*\.)?({expression})$", module):
            return float(value)
    return default


def _refuse(folder: Path, why: str) -> NoReturn:
    raise AdapterError(
        f"{folder} cannot be converted",
        why,
        "Train a plain LoRA, or merge the adapter into the model and convert that.",
    )
