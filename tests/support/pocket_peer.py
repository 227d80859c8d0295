"""The embedded base in transformers, from its GGUF alone: the same numbers in f32."""

from pathlib import Path
from typing import Any

import gguf
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from expert_converters.gguf_file import inspect

_NAMES = {
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


def pocket_in_transformers(path: Path) -> Any:
    """Return the model of a GGUF file, dequantised, as transformers computes it."""
    model = Qwen3ForCausalLM(_config(path)).eval()
    weights = {}
    for tensor in gguf.GGUFReader(path).tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        weights[_hugging_face_name(tensor.name)] = torch.from_numpy(values.copy())
    missing, surplus = model.load_state_dict(weights, strict=False)
    assert missing == ["lm_head.weight"] and not surplus  # the output is tied to the embedding
    return model


def _config(path: Path) -> Qwen3Config:
    header = inspect(path)
    meta = {key.removeprefix("qwen3."): value for key, value in header.metadata.items()}
    return Qwen3Config(
        vocab_size=header.tensors["token_embd.weight"].shape[1],
        hidden_size=meta["embedding_length"],
        intermediate_size=meta["feed_forward_length"],
        num_hidden_layers=meta["block_count"],
        num_attention_heads=meta["attention.head_count"],
        num_key_value_heads=meta["attention.head_count_kv"],
        head_dim=meta["attention.key_length"],
        max_position_embeddings=meta["context_length"],
        rms_norm_eps=meta["attention.layer_norm_rms_epsilon"],
        rope_theta=meta["rope.freq_base"],
        tie_word_embeddings=True,
    )


def _hugging_face_name(name: str) -> str:
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{_NAMES[part]}.weight"
