"""Qwen3: dense decoder with grouped-query attention and a norm on queries and keys.

The tensors need no permutation; keys and names are those of llama.cpp's `conversion/qwen.py`.
"""

from __future__ import annotations

from typing import Any

import gguf

from ..check_metadata import HUGE
from ..checkpoint import Checkpoint
from ..pooling import write_pooling
from ..vocabulary import write_bpe
from . import Architecture, ExpectedTensor

LAYER_MODULES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
MODULES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
UNREPRESENTABLE = ("attention_factor", "attn_factor", "extrapolation_factor")
YARN_DEFAULTS = {"beta_fast": 32, "beta_slow": 1}


def _plain_name(name: str) -> str | None:
    """Drop the rotary buffers of old checkpoints and add the prefix that encoders leave out."""
    if name.endswith(".rotary_emb.inv_freq"):
        return None
    return "model." + name if name.startswith(("layers.", "embed_tokens.", "norm.")) else name


def _tensors(checkpoint: Checkpoint) -> dict[str, ExpectedTensor]:
    hidden, ffn = checkpoint.number("hidden_size"), checkpoint.number("intermediate_size")
    head, vocab = checkpoint.number("head_dim"), checkpoint.number("vocab_size")
    queries = checkpoint.number("num_attention_heads") * head
    keys = checkpoint.number("num_key_value_heads") * head
    tied = bool(checkpoint.config.get("tie_word_embeddings"))
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd": (vocab, hidden),
        "output_norm": (hidden,),
        "output": (vocab, hidden),
    }
    layer_shapes: dict[str, tuple[int, ...]] = {
        "attn_norm": (hidden,),
        "attn_q": (queries, hidden),
        "attn_k": (keys, hidden),
        "attn_v": (keys, hidden),
        "attn_output": (hidden, queries),
        "attn_q_norm": (head,),
        "attn_k_norm": (head,),
        "ffn_norm": (hidden,),
        "ffn_gate": (ffn, hidden),
        "ffn_up": (ffn, hidden),
        "ffn_down": (hidden, ffn),
    }
    for layer in range(checkpoint.number("num_hidden_layers")):
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in layer_shapes.items()}
    return {
        f"{_module_name(name)}.weight": ExpectedTensor(
            f"{name}.weight", shape, required=name != "output" or not tied
        )
        for name, shape in shapes.items()
    }


def _module_name(name: str) -> str | None:
    """Map `blk.3.attn_q` to `model.layers.3.self_attn.q_proj`."""
    if name in MODULES:
        return MODULES[name]
    block, _, rest = name.partition(".")
    layer, _, part = rest.partition(".")
    if block != "blk" or not layer.isdecimal() or part not in LAYER_MODULES:
        return None
    return f"model.layers.{layer}.{LAYER_MODULES[part]}"


def _write_parameters(checkpoint: Checkpoint, writer: gguf.GGUFWriter, file_type: int) -> None:
    _refuse_options(checkpoint)
    writer.add_block_count(checkpoint.number("num_hidden_layers"))
    writer.add_context_length(checkpoint.number("max_position_embeddings"))
    writer.add_embedding_length(checkpoint.number("hidden_size"))
    writer.add_feed_forward_length(checkpoint.number("intermediate_size"))
    writer.add_head_count(checkpoint.number("num_attention_heads"))
    writer.add_head_count_kv(checkpoint.number("num_key_value_heads"))
    _write_rope(checkpoint, writer)
    writer.add_layer_norm_rms_eps(checkpoint.real("rms_norm_eps"))
    writer.add_key_length(checkpoint.number("head_dim"))
    writer.add_value_length(checkpoint.number("head_dim"))
    writer.add_file_type(file_type)
    write_pooling(checkpoint, writer)


def _refuse_options(checkpoint: Checkpoint) -> None:
    config = checkpoint.config
    if config.get("use_sliding_window"):
        checkpoint.broken("sliding-window attention is not supported for Qwen3")
    if config.get("hidden_act", "silu") != "silu":
        checkpoint.broken(f"the activation {config['hidden_act']} is not supported for Qwen3")
    if config.get("quantization_config"):
        checkpoint.broken("it is quantised already")


def _write_rope(checkpoint: Checkpoint, writer: gguf.GGUFWriter) -> None:
    """Add the rotary settings, from `rope_parameters` (transformers 5) or `rope_scaling` (4)."""
    config = checkpoint.config
    rope: dict[str, Any] = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "linear", "yarn"):
        checkpoint.broken(f"the rope type {kind} is not supported for Qwen3")
    if kind != "default":
        factor = rope.get("factor")
        if not _is_positive(factor):
            checkpoint.broken(f"the rope scaling factor is {factor!r:.40}, not a positive number")
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(factor)
    if kind == "yarn":
        _write_yarn(checkpoint, writer, rope)
    theta = rope.get("rope_theta", config.get("rope_theta", 10_000.0))
    if not _is_positive(theta):
        checkpoint.broken(f"rope_theta is {theta!r:.40}, not a positive number")
    writer.add_rope_freq_base(theta)


def _is_positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < HUGE


def _write_yarn(checkpoint: Checkpoint, writer: gguf.GGUFWriter, rope: dict[str, Any]) -> None:
    original = rope.get("original_max_position_embeddings")
    if original is None:
        original = checkpoint.config.get("original_max_position_embeddings")
    if type(original) is not int or original < 1:
        checkpoint.broken("YaRN scaling needs original_max_position_embeddings")
    writer.add_rope_scaling_orig_ctx_len(original)
    for option in UNREPRESENTABLE:
        if rope.get(option) is not None:
            checkpoint.broken(f"llama.cpp ignores YaRN's {option}, so the model would be wrong")
    for option, default in YARN_DEFAULTS.items():
        value = rope.get(option)
        if value is not None and value != default:
            checkpoint.broken(f"llama.cpp ignores YaRN's {option}, so the model would be wrong")
        if value is not None:
            getattr(writer, f"add_rope_scaling_yarn_{option}")(value)


ARCHITECTURE = Architecture(
    "qwen3", _plain_name, _tensors, _write_parameters, write_bpe, _module_name
)
