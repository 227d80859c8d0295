"""The memory estimate, beside what llama.cpp says it allocates."""

import logging
import re
from pathlib import Path

import pytest

from expert.engine import memory
from expert.engine.context import Context
from expert.engine.memory import check_memory, estimate, kv_bytes
from expert.engine.model import Model
from expert.engine.options import ContextOptions
from expert.errors import ResourceError
from expert.types import KVType
from expert_converters.model import ModelJob, convert_model
from support.checkpoints import Qwen3Shape, qwen3_checkpoint

KV = re.compile(r"KV buffer size\s*=\s*([\d.]+) MiB")
COMPUTE = re.compile(r"compute buffer size\s*=\s*([\d.]+) MiB")


@pytest.fixture(scope="module")
def wide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model large enough for its buffers to be measurable."""
    shape = Qwen3Shape(
        hidden_size=512, intermediate_size=1536, num_hidden_layers=4, num_attention_heads=8,
        num_key_value_heads=4, head_dim=64, max_position_embeddings=8192,
    )  # fmt: skip
    folder = qwen3_checkpoint(tmp_path_factory.mktemp("wide"), shape)
    return convert_model(ModelJob(folder, folder / "wide.gguf", "q8_0"))


def allocated(pattern: re.Pattern[str], caplog: pytest.LogCaptureFixture) -> float:
    """Return the bytes llama.cpp reported for one kind of buffer."""
    found = [float(size) for line in caplog.messages for size in pattern.findall(line)]
    return sum(found) * 1024 * 1024


@pytest.mark.parametrize("kv_type", ["f32", "f16", "q8_0", "q4_0"])
@pytest.mark.parametrize("size", [1024, 5000])
def test_the_kv_cache_is_known_exactly(
    wide_path: Path, kv_type: KVType, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The estimate equals llama.cpp's own figure for every type."""
    options = ContextOptions(size=size, kv_type=kv_type)
    with Model(wide_path) as model, caplog.at_level(logging.DEBUG, "expert.llama"):
        with Context(model, options):
            pass
        expected = kv_bytes(model.header, options)
    assert allocated(KV, caplog) == pytest.approx(expected, abs=0.01 * 1024 * 1024)


@pytest.mark.parametrize("size", [1024, 8192])
def test_the_compute_buffers_are_covered(
    wide_path: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The estimate is at least what is allocated, and not wildly more."""
    options = ContextOptions(size=size)
    with Model(wide_path) as model, caplog.at_level(logging.DEBUG, "expert.llama"):
        with Context(model, options):
            pass
        needed = estimate(model.header, options).compute
    actual = allocated(COMPUTE, caplog)
    assert actual <= needed < 4 * actual


def test_what_does_not_fit_is_refused_before_allocating(
    wide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names what is needed, what is free, and the parts."""
    monkeypatch.setattr(memory, "available_memory", lambda: 10_000_000)
    with Model(wide_path) as model, pytest.raises(ResourceError) as caught:
        check_memory(model.header, ContextOptions(size=8192))
    assert caught.value.code == 9
    assert "KV cache" in str(caught.value)


def test_an_unknown_amount_of_free_memory_forbids_nothing(
    wide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system does not tell, the estimate is returned and the attempt is made."""
    monkeypatch.setattr(memory, "available_memory", lambda: 0)
    with Model(wide_path) as model:
        assert check_memory(model.header, ContextOptions()).total > 0
