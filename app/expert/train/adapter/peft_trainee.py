"""Adapters through transformers and PEFT: for larger bases, and for kinds the lean model has not.

Batches stay flat outside; here each group of equally long sequences becomes a rectangle. Padding
is on the right, where a causal model never sees it, so no attention mask is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from expert.errors import UsageError, WrongBaseError
from expert.train.adapter import fast
from expert.train.adapter.base import Base
from expert.train.adapter.recipe import Adapter
from expert.train.adapter.trainee import TARGETS
from expert.train.batches import Batch
from expert.train.start import read_weights


class PeftTrainee:
    """A transformers Qwen3 with an adapter of PEFT."""

    def __init__(self, base: Base, adapter: Adapter, device: str) -> None:
        self.whole = fast.usable(base, adapter, device)
        """Whether the model computes the logits of every position."""
        self.left_out: tuple[str, ...] = ()
        if self.whole:
            model = fast.load(base, adapter)
        else:
            plain = load_model(base, device)
            self.left_out = empty_layers(plain, base) if adapter.kind == "dora" else ()
            model = adapted(plain, base, adapter, self.left_out)
        self.model: Any = model.to(device)
        self.device = device
        self.prefix = adapter.rank if adapter.kind == "soft-prompt" else 0
        for weight in self.model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()

    def weights(self) -> dict[str, nn.Parameter]:
        """Return what PEFT learns."""
        return {name: w for name, w in self.model.named_parameters() if w.requires_grad}

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits (L, V), float32, from which each learnt token is predicted."""
        parts, start = [], 0
        for group in batch.groups:
            size = group.count * group.length
            inside = (batch.where >= start) & (batch.where < start + size)
            where = (batch.where[inside] - start).to(self.device)
            tokens = batch.tokens[start : start + size].view(group.count, group.length)
            start += size
            if len(where):
                parts.append(self._logits(tokens.to(self.device), where))
        return torch.cat(parts).float()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Let the base answer without the adapter inside the block."""
        prefix, self.prefix = self.prefix, 0
        try:
            with self.model.disable_adapter():
                yield
        finally:
            self.prefix = prefix

    def _logits(self, tokens: Tensor, where: Tensor) -> Tensor:
        """Return the logits of some positions (L,) of a rectangle of sequences, (L, V)."""
        rows, columns = where // tokens.shape[1], where % tokens.shape[1]
        asked: dict[str, Any] = {"input_ids": tokens, "use_cache": False}
        if not self.whole:
            needed, columns = torch.unique(columns, return_inverse=True)
            asked["logits_to_keep"] = needed + self.prefix
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            chosen: Tensor = self.model(**asked).logits[rows, columns]
        return chosen

    def save(self, folder: Path) -> None:
        """Write the adapter in PEFT's form."""
        self.model.save_pretrained(str(folder))


def empty_layers(model: nn.Module, base: Base) -> tuple[str, ...]:
    """Return the linear layers of which a row is all zero: DoRA divides by the lengths of rows.

    Raises:
        UsageError: every layer has such rows.
    """
    layers = {
        name: module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.endswith(TARGETS)
    }
    empty = tuple(name for name, weight in layers.items() if not weight.norm(dim=1).all())
    if len(empty) == len(layers):
        raise UsageError(
            f"DoRA cannot be trained on {base.file}.",
            f"It divides by the lengths of rows, and rows are all zero in every layer: "
            f"{', '.join(empty)}.",
            'Set kind = "lora" in the recipe.',
        )
    return empty


def adapted(model: nn.Module, base: Base, adapter: Adapter, left_out: tuple[str, ...]) -> Any:
    """Return the base, frozen, with an adapter of PEFT, except on the layers that are left out."""
    from peft import get_peft_model

    invocation = list(base.invocation) if adapter.activation == "answer" else None
    model.requires_grad_(False)
    settings = config(adapter, base, invocation)
    if left_out:
        settings.exclude_modules = set(left_out)
    return get_peft_model(model, settings)


def config(adapter: Adapter, base: Base, invocation: list[int] | None) -> Any:
    """Return PEFT's configuration of an adapter."""
    from peft import IA3Config, LoraConfig, PromptTuningConfig

    if adapter.kind == "ia3":
        return IA3Config(
            task_type="CAUSAL_LM",
            target_modules=["k_proj", "v_proj", "down_proj"],
            feedforward_modules=["down_proj"],
        )
    if adapter.kind == "soft-prompt":
        return PromptTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=adapter.rank,
            token_dim=base.shape.hidden_size,
            num_layers=base.shape.num_hidden_layers,
            num_attention_heads=base.shape.num_attention_heads,
        )
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        use_rslora=adapter.rslora,
        use_dora=adapter.kind == "dora",
        lora_dropout=0.0,
        target_modules=list(TARGETS),
        alora_invocation_tokens=invocation,
    )


def load_model(base: Base, device: str) -> Any:
    """Return the base as a transformers model, bfloat16, from its checkpoint or its GGUF.

    Raises:
        WrongBaseError: transformers cannot load it.
    """
    from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

    kind = torch.float32 if device == "cpu" else torch.bfloat16
    if base.folder is not None:
        try:
            return AutoModelForCausalLM.from_pretrained(str(base.folder), dtype=kind)
        except (OSError, ValueError) as error:
            raise WrongBaseError(
                f"transformers cannot load {base.folder}.", f"{error}", "Check the checkpoint."
            ) from error
    shape = base.shape
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=shape.vocab_size,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.num_hidden_layers,
            num_attention_heads=shape.num_attention_heads,
            num_key_value_heads=shape.num_key_value_heads,
            head_dim=shape.head_dim,
            max_position_embeddings=shape.max_position_embeddings,
            rope_theta=shape.rope_theta,
            rms_norm_eps=shape.rms_norm_eps,
            tie_word_embeddings=base.tied,
        )
    )
    missing, unexpected = model.load_state_dict(read_weights(base.file), strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise WrongBaseError(f"{base.file} is not a whole Qwen3.", f"{missing or unexpected}")
    model.tie_weights()
    return model.to(kind)
