"""Several processes take the same steps as one; the device is checked before anything is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from expert.errors import ResourceError, UsageError
from expert.train.adapter import processes
from expert.train.adapter.processes import One, described, join
from expert.train.adapter.train import Options, train_expert
from support.tiny_training import tiny_options

TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")


def together(options: Options, *more: str) -> subprocess.CompletedProcess[str]:
    """Train with two processes on the CPU."""
    command = [
        sys.executable, *TWO, "expert", "train", str(options.recipe), "--data", str(options.data),
        "--out", str(options.out), "--base", str(options.base), "--tokens", str(options.tokens),
        "--device", "cpu", "--rows", "0", *more,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)


def log(run: Path) -> list[dict[str, Any]]:
    """Return the records of a run."""
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tiny_path: Path, tmp_path: Path) -> None:
    """The same losses and weights as one process with all batches; one of them writes."""
    pytest.importorskip("accelerate")
    alone = tiny_options(tmp_path, tiny_path)
    two = tiny_options(tmp_path, tiny_path, out=tmp_path / "two")
    assert train_expert(alone) is not None
    done = together(two)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 processes" in done.stderr and done.stdout.count("the expert's package") == 1
    ours, theirs = log(two.out), log(alone.out)
    assert [r["tokens"] for r in ours] == [r["tokens"] for r in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for name, loss in other["loss"].items():
            assert one["loss"][name] == pytest.approx(loss, abs=2e-3)
    expected = load_file(alone.out / "adapter" / "adapter_model.safetensors")
    found = load_file(two.out / "adapter" / "adapter_model.safetensors")
    for name, weight in expected.items():
        assert torch.allclose(found[name], weight, atol=1e-3)
    record = json.loads((two.out / "run.json").read_text(encoding="utf-8"))
    assert "2 processes" in record["device"]


def test_batches_that_cannot_be_shared_are_told(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process computes as many as the others, which is known before rows are read."""
    monkeypatch.setattr(One, "count", 3)
    options = tiny_options(tmp_path, tiny_path)
    with pytest.raises(UsageError, match="3 processes cannot share 2 batches"):
        train_expert(options)
    assert not (options.out / "sequences").exists()


def test_one_process_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It adds nothing, and agrees with itself."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    one = join("cpu")
    assert isinstance(one, One) and (one.rank, one.count, one.device) == (0, 1, "cpu")
    tensor = torch.arange(3.0)
    assert torch.equal(one.add(tensor), tensor) and one.agree(1.5) == 1.5
    with one.first_alone():
        pass
    assert "CPU" in described(one)


def test_cuda_that_is_not_there_is_no_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--device cuda` never falls back silently; `auto` takes what there is."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ResourceError, match="no CUDA"):
        join("cuda")
    assert join("auto").device == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert join("auto").device == "cuda" and join("cpu").device == "cpu"


def test_a_gpu_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its number, as several are."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Quick One")
    assert described(One("cuda:1")) == "cuda:1 (Quick One)"


def test_several_processes_need_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to install it."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(processes, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="accelerate") as caught:
        join("cpu")
    assert "expert[train]" in caught.value.fix
