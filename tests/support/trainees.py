"""Adapters that do something without having been trained."""

from __future__ import annotations

import torch

from expert.train.adapter.trainee import Trainee


def disturbed(trainee: Trainee, spread: float = 0.05) -> Trainee:
    """Give every learnt weight some value, the same each time."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in trainee.weights().values():
            weight.copy_(torch.randn(weight.shape, generator=generator) * spread)
    return trainee
