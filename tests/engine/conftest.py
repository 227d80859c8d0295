"""Adapters for the tiny model, as files and as PEFT folders."""

from pathlib import Path

import pytest

from expert_converters.lora import LoraJob, convert_lora
from support.adapters import MadeAdapter
from support.checkpoints import AdapterShape, Qwen3Shape, peft_adapter


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory, tiny_path: Path) -> list[MadeAdapter]:
    """Return ten random `prompt` adapters of rank 32, stored in f32."""
    return [_make(tmp_path_factory, tiny_path, f"prompt{seed}", seed, None) for seed in range(10)]


@pytest.fixture(scope="session")
def answerers(tmp_path_factory: pytest.TempPathFactory, tiny_path: Path) -> list[MadeAdapter]:
    """Return three random `answer` adapters, invoked by the tokens 5, 6."""
    return [_make(tmp_path_factory, tiny_path, f"answer{i}", 50 + i, (5, 6)) for i in range(3)]


def _make(
    factory: pytest.TempPathFactory,
    base: Path,
    name: str,
    seed: int,
    invocation: tuple[int, ...] | None,
) -> MadeAdapter:
    shape = AdapterShape(rank=32, alpha=32, seed=seed, alora_invocation_tokens=invocation)
    folder = peft_adapter(factory.mktemp(name), Qwen3Shape(), shape)
    path = convert_lora(LoraJob(folder, base, folder / f"{name}.gguf", "f32"))
    return MadeAdapter(folder, path)
