"""Saving and loading the state of a run; a kill at any moment leaves the last whole state."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

NAME = "state.pt"


def save_state(run: Path, state: dict[str, Any]) -> None:
    """Write the state beside the old one, then replace it."""
    partial = run / (NAME + ".part")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, run / NAME)


def load_state(run: Path) -> dict[str, Any]:
    """Read the last saved state.

    Raises:
        FileNotFoundError: when the run never saved one.
    """
    state: dict[str, Any] = torch.load(run / NAME, map_location="cpu", weights_only=True)
    return state
