"""What the training loop needs of a model with an adapter, whoever computes it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from expert.train.batches import Batch

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Every linear layer: adapting attention alone loses, even with as many parameters."""


class Trainee(Protocol):
    """A frozen base with an adapter whose weights, float32, are learnt."""

    left_out: tuple[str, ...]
    """Linear layers that this kind of adapter cannot act on in this base."""

    def weights(self) -> dict[str, nn.Parameter]:
        """Return what is learnt, by name."""

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits (L, V), float32, from which each learnt token is predicted."""

    def resting(self) -> AbstractContextManager[None]:
        """Let the base answer without the adapter inside the block."""

    def save(self, folder: Path) -> None:
        """Write the adapter in PEFT's form."""


def token_losses(trainee: Trainee, batch: Batch) -> Tensor:
    """Return the cross-entropy of every learnt token of a batch, (L,)."""
    logits = trainee.logits(batch)
    return F.cross_entropy(logits, batch.targets.to(logits.device), reduction="none")
