"""Unsloth, where it is installed: the same LoRA on the same base, with quicker kernels on a GPU.

It is used for a LoRA on a checkpoint folder on CUDA; everything else is PEFT's own.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import torch

from expert.train.adapter.base import Base
from expert.train.adapter.recipe import Adapter
from expert.train.adapter.trainee import TARGETS


def usable(base: Base, adapter: Adapter, device: str) -> bool:
    """Tell whether Unsloth is here and can train this adapter."""
    return (
        torch.device(device).type == "cuda"
        and base.folder is not None
        and adapter.kind == "lora"
        and adapter.activation == "prompt"
        and find_spec("unsloth") is not None
    )


def load(base: Base, adapter: Adapter) -> Any:
    """Return the base with the LoRA as a model of PEFT, its kernels those of Unsloth.

    It computes the logits of every position: its forward pass takes no list of positions.
    """
    os.environ["UNSLOTH_RETURN_LOGITS"] = "1"
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        model_name=str(base.folder),
        max_seq_length=base.shape.max_position_embeddings,
        dtype=torch.bfloat16,
        load_in_4bit=False,
    )
    return FastLanguageModel.get_peft_model(
        model,
        r=adapter.rank,
        target_modules=list(TARGETS),
        lora_alpha=adapter.alpha,
        lora_dropout=0.0,
        bias="none",
        use_gradient_checkpointing="unsloth",
        random_state=torch.initial_seed() % 2**31,
        use_rslora=adapter.rslora,
    )
