"""Writing a trained model as an ordinary Hugging Face checkpoint folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from expert.train.recipe import Recipe
from expert.train.tokenizer import END, STOP, save_tokenizer, token_id


def config(recipe: Recipe, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return `config.json`."""
    shape = recipe.model.shape
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.num_hidden_layers,
        "num_attention_heads": shape.num_attention_heads,
        "num_key_value_heads": shape.num_key_value_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.max_position_embeddings,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": shape.rms_norm_eps,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "use_cache": True,
        "use_sliding_window": False,
        "bos_token_id": token_id(tokenizer, END),
        "eos_token_id": token_id(tokenizer, STOP),
        "torch_dtype": "bfloat16",
    }


def generation(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return `generation_config.json`; a model this small is best greedy."""
    return {
        "bos_token_id": token_id(tokenizer, END),
        "pad_token_id": token_id(tokenizer, END),
        "eos_token_id": [token_id(tokenizer, STOP), token_id(tokenizer, END)],
        "do_sample": False,
    }


def export(recipe: Recipe, weights: dict[str, Tensor], tokenizer: Tokenizer, folder: Path) -> Path:
    """Write weights (bfloat16), configuration and tokenizer; the weights come last, and whole."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, folder, recipe.model.context)
    for name, values in (
        ("config.json", config(recipe, tokenizer)),
        ("generation_config.json", generation(tokenizer)),
    ):
        (folder / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    partial = folder / "model.safetensors.part"
    halves = {
        name: weight.to(torch.bfloat16).contiguous().cpu() for name, weight in weights.items()
    }
    save_file(halves, str(partial), metadata={"format": "pt"})
    os.replace(partial, folder / "model.safetensors")
    return folder
