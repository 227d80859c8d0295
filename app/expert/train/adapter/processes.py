"""One process or several: how the parts of a step that others computed come together.

Several are started by `accelerate launch -m expert train ...` or torchrun. Each draws the same
batches, computes its share of them, and the gradients are added up, so that a run of several
processes takes the same steps as a run of one. The first process alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from torch import Tensor

from expert.engine.hardware import cores
from expert.errors import ResourceError, UsageError


class Processes(Protocol):
    """Those that train together."""

    rank: int
    """This one's number, from 0."""
    count: int
    device: str
    """What this one computes on: `cpu`, `cuda` or `cuda:N`."""

    def add(self, tensor: Tensor) -> Tensor:
        """Return the sum of every process's tensor."""

    def agree(self, value: float) -> float:
        """Return the first process's value."""

    def first_alone(self) -> AbstractContextManager[None]:
        """Let the first process run the block before the others."""

    def leave(self) -> None:
        """Part from the others: nothing is shared any more."""


class One:
    """The ordinary case."""

    rank, count = 0, 1

    def __init__(self, device: str) -> None:
        self.device = device

    def add(self, tensor: Tensor) -> Tensor:
        """Return the tensor: there is no other."""
        return tensor

    def agree(self, value: float) -> float:
        """Return the value."""
        return value

    def first_alone(self) -> AbstractContextManager[None]:
        """Run the block."""
        return nullcontext()

    def leave(self) -> None:
        """Stay alone."""


class Several:
    """Processes that `accelerate` connects: NCCL between GPUs, gloo between CPUs."""

    def __init__(self, device: str) -> None:
        from accelerate import PartialState
        from accelerate.utils import broadcast, reduce

        self._state: Any = PartialState(cpu=device == "cpu")
        self._reduce: Callable[..., Any] = reduce
        self._broadcast: Callable[..., Any] = broadcast
        self.rank, self.count = self._state.process_index, self._state.num_processes
        self.device = str(self._state.device)

    def add(self, tensor: Tensor) -> Tensor:
        """Return the sum of every process's tensor, where the tensor was."""
        total: Tensor = self._reduce(tensor.detach().to(self.device), reduction="sum")
        return total.to(tensor.device)

    def agree(self, value: float) -> float:
        """Return the first process's value."""
        told = torch.tensor([value], dtype=torch.float64).view(torch.uint8)
        heard: Tensor = self._broadcast(told.to(self.device), from_process=0)
        return float(heard.cpu().view(torch.float64))

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Let the first process run the block before the others."""
        if self.rank:
            self._state.wait_for_everyone()
        yield
        if not self.rank:
            self._state.wait_for_everyone()

    def leave(self) -> None:
        """Part from the others: nothing is shared any more."""
        self._state.destroy_process_group()


def join(wanted: str) -> Processes:
    """Return who trains together, and on what; *wanted* is `auto`, `cpu` or `cuda`.

    Raises:
        ResourceError: CUDA is wanted, and there is none.
        UsageError: several processes were started without accelerate.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ResourceError(
            "There is no CUDA device here.",
            "This build of torch cannot use one, or its driver sees none.",
            "Leave --device out to train on the CPU.",
        )
    device = "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return One(device)
    if find_spec("accelerate") is None:
        raise UsageError(
            "Training with several processes needs accelerate.",
            f"{os.environ['WORLD_SIZE']} were started, and it is not installed.",
            "Install it: pip install 'expert[train]'",
        )
    return Several(device)


def described(processes: Processes) -> str:
    """Return what is trained on, for people."""
    kind = torch.device(processes.device)
    if kind.type == "cuda":
        name = f"{processes.device} ({torch.cuda.get_device_name(kind)})"
    else:
        name = f"the CPU, {cores()} cores"
    return name if processes.count == 1 else f"{name}, {processes.count} processes"
