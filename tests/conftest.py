"""What every test shares: a home of its own, and tiny models built once a run."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from expert import resources
from expert.engine.model import Model
from expert_converters.model import ModelJob, convert_model
from support.checkpoints import Qwen3Shape, qwen3_checkpoint

# Nothing in a test may reach a network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test an empty EXPERT_HOME, and none of the caller's settings."""
    for name in list(os.environ):
        if name.startswith("EXPERT_") and name not in ("EXPERT_DATA", "EXPERT_LLAMA_CPP_SOURCE"):
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("EXPERT_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a random Qwen3 checkpoint of 0.1 M parameters, context 512."""
    return qwen3_checkpoint(tmp_path_factory.mktemp("tiny"), Qwen3Shape())


@pytest.fixture(scope="session")
def tiny_path(tiny_checkpoint: Path) -> Path:
    """Return that checkpoint as an f32 GGUF."""
    return convert_model(ModelJob(tiny_checkpoint, tiny_checkpoint / "tiny.gguf", "f32"))


@pytest.fixture
def tiny(tiny_path: Path) -> Iterator[Model]:
    """Return the tiny model, loaded."""
    with Model(tiny_path) as model:
        yield model


@pytest.fixture(scope="session")
def pocket() -> Path:
    """Return the embedded base model."""
    path = resources.pocket()
    if not path.is_file():
        pytest.skip("the embedded base has not been trained yet: see experts/pocket")
    return path


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model large enough that an answer takes seconds, so that it can be interrupted."""
    shape = Qwen3Shape(
        hidden_size=512,
        intermediate_size=2048,
        num_hidden_layers=12,
        max_position_embeddings=8192,
    )
    folder = qwen3_checkpoint(tmp_path_factory.mktemp("slow"), shape)
    return convert_model(ModelJob(folder, folder / "slow.gguf", "f32"))


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
