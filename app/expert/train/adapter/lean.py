"""LoRA on the repository's lean Qwen3: the quick way on a CPU, for bases as small as pocket.

The file it writes is PEFT's own, so that PEFT, the converter and llama.cpp read the same adapter.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from expert.train.adapter.base import Base
from expert.train.adapter.recipe import Adapter
from expert.train.adapter.trainee import TARGETS
from expert.train.batches import Batch
from expert.train.qwen3 import Group, Qwen3
from expert.train.start import read_weights


class Activation(threading.local):
    """Where the adapter acts on the batch a thread computes: masks by their length; none: all.

    The last layer finishes only the learnt positions, so it needs a shorter mask than the others.
    """

    def __init__(self) -> None:
        self._masks: dict[int, Tensor] = {}
        self.resting = False

    @contextmanager
    def on(self, mask: Tensor | None, where: Tensor) -> Iterator[None]:
        """Let the adapter act only where *mask* (N, 1) is one, inside the block."""
        if mask is not None:
            self._masks = {len(where): mask[where], len(mask): mask}
        try:
            yield
        finally:
            self._masks = {}

    @contextmanager
    def nowhere(self) -> Iterator[None]:
        """Let the adapter act on nothing inside the block."""
        self.resting = True
        try:
            yield
        finally:
            self.resting = False

    def applied(self, inner: Tensor) -> Tensor:
        """Return what the adapter adds (N, R), zero where it does not act."""
        return inner * self._masks[len(inner)].to(inner.dtype) if self._masks else inner


class LowRank(nn.Module):
    """A frozen linear layer plus `scale` B A x. Source: Hu et al. 2021, arXiv:2106.09685."""

    def __init__(self, base: nn.Linear, rank: int, scale: float, activation: Activation) -> None:
        super().__init__()
        self.base, self.scale, self.activation = base, scale, activation
        self.A = nn.Parameter(torch.empty(rank, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.base(x)
        if self.activation.resting:
            return output
        inner = self.activation.applied(F.linear(x, self.A.to(x.dtype)))
        return output + F.linear(inner, (self.B * self.scale).to(x.dtype))


class LeanTrainee:
    """A lean Qwen3 whose linear layers all carry a LoRA."""

    left_out: tuple[str, ...] = ()

    def __init__(
        self,
        base: Base,
        adapter: Adapter,
        device: str,
        compute: torch.dtype = torch.bfloat16,
    ) -> None:
        self.adapter, self.base = adapter, base
        self.activation = Activation()
        model = Qwen3(base.shape)
        model.load_state_dict(read_weights(base.file))
        model.requires_grad_(False)
        self.model = model.to(compute)
        self.invocation = base.invocation if adapter.activation == "answer" else ()
        root = adapter.rank**0.5 if adapter.rslora else adapter.rank
        self.layers = dict(self._adapt(adapter.alpha / root))
        self.model.to(device)

    def _adapt(self, scale: float) -> Iterator[tuple[str, LowRank]]:
        for path, module in list(self.model.named_modules()):
            if isinstance(module, nn.Linear) and path.rpartition(".")[2] in TARGETS:
                parent, _, name = path.rpartition(".")
                layer = LowRank(module, self.adapter.rank, scale, self.activation)
                setattr(self.model.get_submodule(parent), name, layer)
                yield path, layer

    def weights(self) -> dict[str, nn.Parameter]:
        """Return both factors of every layer under the names PEFT stores them by."""
        found = {}
        for path, layer in self.layers.items():
            found[f"base_model.model.{path}.lora_A.weight"] = layer.A
            found[f"base_model.model.{path}.lora_B.weight"] = layer.B
        return found

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits (L, V), float32, from which each learnt token is predicted."""
        device = self.model.model.embed_tokens.weight.device
        tokens = batch.tokens.to(device)
        mask = acting(tokens, batch.groups, self.invocation) if self.invocation else None
        where = batch.where.to(device)
        with self.activation.on(mask, where):
            hidden = self.model(tokens, batch.groups, where)
        return self.model.logits(hidden).float()

    def resting(self) -> AbstractContextManager[None]:
        """Let the base answer without the adapter inside the block, in this thread alone."""
        return self.activation.nowhere()

    def save(self, folder: Path) -> None:
        """Write `adapter_config.json` and `adapter_model.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        config = lora_config(self.adapter, self.base.name, self.invocation)
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
        weights = {name: w.detach().cpu().contiguous() for name, w in self.weights().items()}
        save_file(weights, str(folder / "adapter_model.safetensors"))


def lora_config(adapter: Adapter, base: str, invocation: tuple[int, ...]) -> dict[str, Any]:
    """Return PEFT's `adapter_config.json` for a LoRA on every linear layer."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "use_rslora": adapter.rslora,
        "lora_dropout": 0.0,
        "target_modules": list(TARGETS),
        "bias": "none",
        "inference_mode": True,
        "alora_invocation_tokens": list(invocation) or None,
    }


def acting(tokens: Tensor, groups: tuple[Group, ...], invocation: tuple[int, ...]) -> Tensor:
    """Return (N, 1), one from the last invocation tokens of each sequence on, as PEFT trains it."""
    wanted = torch.tensor(invocation, device=tokens.device)
    parts = []
    for part, group in zip(
        torch.split(tokens, [g.count * g.length for g in groups]), groups, strict=True
    ):
        rows = part.view(group.count, group.length)
        found = (rows.unfold(1, len(invocation), 1) == wanted).all(-1)
        places = torch.arange(found.shape[1], device=tokens.device)
        start = torch.where(found, places, -1).amax(1, keepdim=True)
        at = torch.arange(group.length, device=tokens.device)
        parts.append(((at >= start) & (start >= 0)).flatten())
    return torch.cat(parts)[:, None].float()
