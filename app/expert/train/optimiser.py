"""Muon for matrices, Adam for the rest, on float32 masters of a model that computes in another
type.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import torch
from torch import Tensor, nn

from expert.train.recipe import Training


def _muon(matrices: list[nn.Parameter], settings: Training) -> torch.optim.Muon:
    return torch.optim.Muon(
        matrices,
        lr=settings.muon_rate,
        weight_decay=settings.weight_decay,
        ns_steps=settings.newton_schulz_steps,
    )


class Optimiser:
    """Two optimisers that step as one; their learning rates scale together.

    Source: Jordan et al. 2024 (Muon), as implemented by `torch.optim.Muon`.
    """

    def __init__(self, model: nn.Module, settings: Training) -> None:
        self.names = [name for name, _ in model.named_parameters()]
        self.working = [weight for _, weight in model.named_parameters()]
        self.masters = [nn.Parameter(weight.detach().float().clone()) for weight in self.working]
        kinds: dict[str, list[nn.Parameter]] = {"embedding": [], "matrix": [], "norm": []}
        for name, master in zip(self.names, self.masters, strict=True):
            kind = "embedding" if "embed" in name else "matrix" if master.ndim == 2 else "norm"
            kinds[kind].append(master)
        matrices = kinds["matrix"]
        self.parts: list[torch.optim.Optimizer] = [
            *(_muon(matrices[half::2], settings) for half in (0, 1)),
            torch.optim.Adam(kinds["embedding"], settings.embedding_rate, (0.9, 0.95)),
            torch.optim.Adam(kinds["norm"], settings.norm_rate, (0.9, 0.95)),
        ]
        self.rates = [settings.muon_rate] * 2 + [settings.embedding_rate, settings.norm_rate]

    def step(self, gradients: list[tuple[Tensor, ...]], scale: float, workers: Executor) -> None:
        """Update masters by the mean of several gradients at `scale` times the full rates."""
        for master, parts in zip(self.masters, zip(*gradients, strict=True), strict=True):
            total = parts[0].float()
            for part in parts[1:]:
                total += part
            master.grad = total.div_(len(parts))
        for optimiser, rate in zip(self.parts, self.rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * scale
        list(workers.map(lambda optimiser: optimiser.step(), self.parts))
        self._publish()

    def weights(self) -> dict[str, Tensor]:
        """Return the float32 masters by parameter name."""
        return {name: m.detach() for name, m in zip(self.names, self.masters, strict=True)}

    def state(self) -> dict[str, Any]:
        """Return everything needed to continue."""
        return {"weights": self.weights(), "parts": [part.state_dict() for part in self.parts]}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        self.load(state["weights"])

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take these weights, which must be all of the model's."""
        with torch.no_grad():
            for name, master in zip(self.names, self.masters, strict=True):
                master.copy_(weights[name])
        self._publish()

    def _publish(self) -> None:
        with torch.no_grad():
            for master, weight in zip(self.masters, self.working, strict=True):
                weight.copy_(master)
