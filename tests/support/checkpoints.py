"""Builds tiny random checkpoints and adapters in the layout Hugging Face publishes.

Weights come from seeded numpy, so that a checkpoint takes milliseconds and is the same everywhere;
the files are what `transformers` and `peft` read, which the converter tests prove by loading them.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CORPUS = (
    "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore.",
    'SELECT name, age FROM people WHERE age > 30 ORDER BY name; {"name": "Ada", "age": 36}',
    "def main(argument: int) -> None: print(argument + 1)  # it's a test, isn't it?",
    "What is the capital of France? The capital of France is Paris. user assistant system",
)


@dataclass(frozen=True)
class Qwen3Shape:
    """Sizes and options of a tiny Qwen3; rows are multiples of 32 so that Q8_0 holds them."""

    hidden_size: int = 64
    num_hidden_layers: int = 2
    intermediate_size: int = 96
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 32
    vocab_size: int = 448
    """More than the tokenizer has: the rest is padding, as in the published models."""
    max_position_embeddings: int = 512
    tie_word_embeddings: bool = True
    dtype: str = "float32"
    shards: int = 1
    rope_scaling: dict[str, Any] | None = None
    seed: int = 0


@dataclass(frozen=True)
class AdapterShape:
    """Options of a random PEFT LoRA adapter; the patterns are as PEFT has them."""

    rank: int = 8
    alpha: float = 16
    use_rslora: bool = False
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    alora_invocation_tokens: tuple[int, ...] | None = None
    dtype: str = "float32"
    scale: float = 0.2
    seed: int = 1


def qwen3_checkpoint(folder: Path, shape: Qwen3Shape | None = None) -> Path:
    """Write a random Qwen3 checkpoint with tokenizer, template and generation config."""
    shape = shape or Qwen3Shape()
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", _qwen3_config(shape))
    write_tokenizer(folder)
    write_weights(folder, _qwen3_weights(shape), shape.dtype, shape.shards)
    return folder


def peft_adapter(
    folder: Path, base: Qwen3Shape | None = None, shape: AdapterShape | None = None
) -> Path:
    """Write a random PEFT LoRA adapter for the tiny Qwen3 *base*."""
    base, shape = base or Qwen3Shape(), shape or AdapterShape()
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "adapter_config.json", _adapter_config(shape))
    write_safetensors(
        folder / "adapter_model.safetensors", _adapter_weights(base, shape), shape.dtype
    )
    return folder


def qwen3_tensor_shapes(shape: Qwen3Shape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a Qwen3 checkpoint's tensors, in the order transformers has them."""
    hidden, ffn, head = shape.hidden_size, shape.intermediate_size, shape.head_dim
    queries, keys = shape.num_attention_heads * head, shape.num_key_value_heads * head
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocab_size, hidden)}
    for layer in range(shape.num_hidden_layers):
        prefix = f"model.layers.{layer}."
        shapes |= {
            prefix + "self_attn.q_proj.weight": (queries, hidden),
            prefix + "self_attn.k_proj.weight": (keys, hidden),
            prefix + "self_attn.v_proj.weight": (keys, hidden),
            prefix + "self_attn.o_proj.weight": (hidden, queries),
            prefix + "self_attn.q_norm.weight": (head,),
            prefix + "self_attn.k_norm.weight": (head,),
            prefix + "mlp.gate_proj.weight": (ffn, hidden),
            prefix + "mlp.up_proj.weight": (ffn, hidden),
            prefix + "mlp.down_proj.weight": (hidden, ffn),
            prefix + "input_layernorm.weight": (hidden,),
            prefix + "post_attention_layernorm.weight": (hidden,),
        }
    shapes["model.norm.weight"] = (hidden,)
    if not shape.tie_word_embeddings:
        shapes["lm_head.weight"] = (shape.vocab_size, hidden)
    return shapes


def write_weights(
    folder: Path, tensors: dict[str, NDArray[np.float32]], dtype: str, shards: int
) -> None:
    """Write one safetensors file, or several with the index transformers expects."""
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors, dtype)
        return
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: tensors[name] for name in names[shard::shards]}
        write_safetensors(folder / file, part, dtype)
        weight_map |= dict.fromkeys(part, file)
    _write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def write_safetensors(path: Path, tensors: dict[str, NDArray[np.float32]], dtype: str) -> None:
    """Write *tensors* as float32, float16 or bfloat16 in the safetensors format."""
    codes = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blobs, offset = [], 0
    for name, tensor in tensors.items():
        blob = _encode(tensor, dtype)
        header[name] = {
            "dtype": codes[dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def write_tokenizer(folder: Path) -> None:
    """Write a byte-level BPE with Qwen2's pattern, a ChatML template and sampling defaults."""
    (folder / "tokenizer.json").write_text(_tokenizer_json(), encoding="utf-8")
    _write_json(
        folder / "tokenizer_config.json",
        {
            "add_bos_token": False,
            "bos_token": None,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "unk_token": None,
            "chat_template": CHAT_TEMPLATE,
            "model_max_length": 512,
            "tokenizer_class": "Qwen2Tokenizer",
        },
    )
    _write_json(
        folder / "generation_config.json",
        {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95},
    )


@cache
def _tokenizer_json() -> str:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import ByteLevel as ByteLevelProcessor

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = ByteLevelProcessor(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.add_tokens(["<think>", "</think>"])
    text: str = tokenizer.to_str()
    return text


def _qwen3_config(shape: Qwen3Shape) -> dict[str, Any]:
    sizes = asdict(shape)
    for ours in ("shards", "seed", "dtype"):
        del sizes[ours]
    return sizes | {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": None,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "model_type": "qwen3",
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000,
        "torch_dtype": shape.dtype,
        "use_cache": True,
        "use_sliding_window": False,
    }


def _qwen3_weights(shape: Qwen3Shape) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(shape.seed)
    weights: dict[str, NDArray[np.float32]] = {}
    for name, size in qwen3_tensor_shapes(shape).items():
        values = random.standard_normal(size, dtype=np.float32)
        weights[name] = 1 + 0.1 * values if len(size) == 1 else values / math.sqrt(size[-1])
    return weights


def _adapter_config(shape: AdapterShape) -> dict[str, Any]:
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": shape.rank,
        "lora_alpha": shape.alpha,
        "lora_dropout": 0.0,
        "use_rslora": shape.use_rslora,
        "use_dora": False,
        "bias": "none",
        "fan_in_fan_out": False,
        "modules_to_save": None,
        "rank_pattern": shape.rank_pattern,
        "alpha_pattern": shape.alpha_pattern,
        "target_modules": list(shape.targets),
    }
    if shape.alora_invocation_tokens is not None:
        config["alora_invocation_tokens"] = list(shape.alora_invocation_tokens)
    return config


def _adapter_weights(base: Qwen3Shape, shape: AdapterShape) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(shape.seed)
    weights: dict[str, NDArray[np.float32]] = {}
    for name, size in qwen3_tensor_shapes(base).items():
        module = name.removesuffix(".weight")
        if module.rsplit(".", 1)[-1] not in shape.targets:
            continue
        rank = pattern_value(shape.rank_pattern, module, shape.rank)
        outputs, inputs = size
        prefix = f"base_model.model.{module}.lora_"
        factor = random.standard_normal((rank, inputs), dtype=np.float32) / math.sqrt(inputs)
        weights[prefix + "A.weight"] = factor
        factor = random.standard_normal((outputs, rank), dtype=np.float32) / math.sqrt(rank)
        weights[prefix + "B.weight"] = shape.scale * factor
    return weights


def pattern_value(pattern: dict[str, Any], module: str, default: Any) -> Any:
    """Look *module* up the way PEFT does: by a regular expression that ends a dotted name."""
    import re

    for key, value in pattern.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return default


def _encode(tensor: NDArray[np.float32], dtype: str) -> bytes:
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(tensor, dtype="<f4").view("<u4")
        rounded = bits + 0x7FFF + ((bits >> 16) & 1)
        stored: NDArray[Any] = (rounded >> 16).astype("<u2")
    else:
        stored = tensor.astype({"float32": "<f4", "float16": "<f2"}[dtype])
    return stored.tobytes()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
