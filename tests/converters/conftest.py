"""Sources of llama.cpp, tiny checkpoints and their conversions, shared by the converter tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

from expert_converters.model import ModelJob, convert_model
from support.checkpoints import Qwen3Shape, qwen3_checkpoint


@pytest.fixture(scope="session")
def llama_cpp_source(request: pytest.FixtureRequest) -> Path:
    """Folder of llama.cpp's sources, from EXPERT_LLAMA_CPP_SOURCE or the package index."""
    named = os.environ.get("EXPERT_LLAMA_CPP_SOURCE")
    if named:
        return Path(named)
    package = f"llama-cpp-python=={version('llama-cpp-python')}"
    store = getattr(request.config, "cache", None)
    if store is None:
        pytest.skip("llama.cpp's sources are not here: set EXPERT_LLAMA_CPP_SOURCE")
    cache = Path(store.mkdir("llama-cpp-source"))
    archives = list(cache.glob("llama_cpp_python-*.tar.gz"))
    if not archives:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", "llama-cpp-python", "--dest", str(cache), package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(cache.glob("llama_cpp_python-*.tar.gz"))
        if done.returncode or not archives:
            pytest.skip(
                "llama.cpp's sources are not here: set EXPERT_LLAMA_CPP_SOURCE, or allow "
                f"`pip download {package}`"
            )
    return _extract(archives[0], cache)


def _extract(archive: Path, cache: Path) -> Path:
    root = cache / archive.name.removesuffix(".tar.gz") / "vendor" / "llama.cpp"
    if not (root / "convert_hf_to_gguf.py").is_file():
        with tarfile.open(archive) as tar:
            tar.extractall(cache, filter="data")
    return root


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
