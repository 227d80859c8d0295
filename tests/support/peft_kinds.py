"""Makes PEFT adapters of every kind with PEFT itself, their trained numbers drawn at random."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from support.adapter_peers import load_base

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def peft_folder(base: Path, folder: Path, config: Any, spread: float = 0.2) -> Path:
    """Save an adapter of the kind *config* names, as after training."""
    from peft import get_peft_model

    model = get_peft_model(load_base(base), config)
    randomise(model, spread)
    model.save_pretrained(folder)
    return folder


def randomise(model: Any, spread: float, seed: int = 0) -> None:
    """Add normal noise to everything that is trained."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += spread * torch.randn(parameter.shape, generator=generator)


def prune_adalora(base: Path, folder: Path, config: Any) -> Path:
    """Save an AdaLoRA whose modules have kept different ranks, one of them none."""
    from peft import get_peft_model

    model = get_peft_model(load_base(base), config)
    randomise(model, 0.3)
    rank = config.init_r
    kept: dict[str, list[bool]] = {}
    names = [name for name, _ in model.base_model.model.named_parameters() if "lora_E" in name]
    for index, name in enumerate(names):
        kept[name] = [(index + position) % 3 > 0 and index > 0 for position in range(rank)]
    model.peft_config["default"].rank_pattern = kept
    with warnings.catch_warnings():
        # PEFT takes a rank of 0 for a sign of an incomplete model.
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
    return folder


def moved_base(base: Path, folder: Path, start: str, *, convert: bool, rank: int = 8) -> Any:
    """Save a LoRA whose initialisation *start* changes the base, and return PEFT's model.

    With *convert* it is saved as an ordinary LoRA for the unchanged base.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank, lora_alpha=12, target_modules=list(TARGETS), init_lora_weights=start
    )
    model = get_peft_model(load_base(base), config)
    if not convert:
        model.save_pretrained(folder)
        return model
    first = folder.parent / f"{folder.name}-first"
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(first)
    model.peft_config["default"].init_lora_weights = start
    randomise(model, 0.05)
    with warnings.catch_warnings():
        # Loading the first adapter beside the trained one is the conversion.
        warnings.simplefilter("ignore")
        model.save_pretrained(folder, path_initial_model_for_weight_conversion=str(first))
    return model
