"""Tiny checkpoints and their conversions, shared by the converter tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from expert_converters.model import ModelJob, convert_model
from support.checkpoints import Qwen3Shape, qwen3_checkpoint


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tied random Qwen3 in f32."""
    return qwen3_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny-qwen3")


@pytest.fixture(scope="session")
def tiny_gguf(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as GGUF."""
    target = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return convert_model(ModelJob(tiny_checkpoint, target, "f32"))


@pytest.fixture(scope="session")
def untied_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen3 with an output matrix of its own."""
    folder = tmp_path_factory.mktemp("checkpoint") / "untied-qwen3"
    return qwen3_checkpoint(folder, Qwen3Shape(tie_word_embeddings=False, seed=5))


@pytest.fixture(scope="session")
def untied_gguf(untied_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as GGUF."""
    target = tmp_path_factory.mktemp("gguf") / "untied.gguf"
    return convert_model(ModelJob(untied_checkpoint, target, "f32"))
