"""Quantising with llama.cpp: right types, checked input, no half-written file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from expert_converters.errors import ModelError, NotGGUF, QuantiseError
from expert_converters.gguf_file import inspect
from expert_converters.gguf_types import GGMLType
from expert_converters.model import ModelJob, convert_model
from expert_converters.quantise import FILE_TYPES, QuantiseJob, quantise
from support.checkpoints import Qwen3Shape, qwen3_checkpoint
from support.converter_peers import llama_logits, low_level
from support.hostile_models import Contents


@pytest.fixture(scope="module")
def wide_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose rows hold whole K-quant blocks of 256."""
    folder = tmp_path_factory.mktemp("wide")
    shape = Qwen3Shape(hidden_size=256, intermediate_size=512, head_dim=64)
    source = qwen3_checkpoint(folder / "wide-qwen3", shape)
    return convert_model(ModelJob(source, folder / "wide.gguf", "f32"))


def test_file_types_equal_llama_cpp() -> None:
    """The numbers are those of llama.h."""
    from importlib import import_module

    lib = import_module("llama_cpp.llama_cpp")
    for name, number in FILE_TYPES.items():
        constant = "ALL_F32" if name == "f32" else f"MOSTLY_{name.upper()}"
        constants = {key.upper(): value for key, value in vars(lib).items()}
        assert constants[f"LLAMA_FTYPE_{constant}"] == number


@pytest.mark.parametrize(
    ("name", "kind", "error"),
    [
        ("q8_0", GGMLType.Q8_0, 0.05),
        ("q6_k", GGMLType.Q6_K, 0.1),
        ("q5_k_m", GGMLType.Q5_K, 0.2),
        ("q4_k_m", GGMLType.Q4_K, 0.4),
        ("f16", GGMLType.F16, 0.005),
    ],
)
def test_types_and_loss(
    name: str, kind: GGMLType, error: float, wide_gguf: Path, tmp_path: Path
) -> None:
    """Matrices have the type asked for, norms stay f32, and the logits stay near."""
    target = quantise(QuantiseJob(wide_gguf, tmp_path / "out.gguf", name, threads=1))
    found = inspect(target)
    assert found.tensors["blk.0.attn_q.weight"].type is kind
    assert found.tensors["blk.0.attn_q_norm.weight"].type is GGMLType.F32
    assert found.metadata["general.file_type"] == FILE_TYPES[name]
    tokens = [5, 17, 300]
    exact, rounded = llama_logits(wide_gguf, tokens), llama_logits(target, tokens)
    assert np.abs(rounded - exact).mean() < error * np.abs(exact).mean()


def test_unusable_sources(wide_gguf: Path, tmp_path: Path) -> None:
    """Unknown types, broken files and quantised sources are refused, and no file is left."""
    target = tmp_path / "out" / "out.gguf"
    with pytest.raises(QuantiseError, match="unknown type"):
        quantise(QuantiseJob(wide_gguf, target, "q9_k"))
    with pytest.raises(NotGGUF):
        quantise(QuantiseJob(tmp_path / "missing.gguf", target))
    contents = Contents(wide_gguf)
    contents.values["tokenizer.ggml.tokens"][0][3] = "a"
    contents.write(tmp_path / "broken.gguf")
    with pytest.raises(ModelError):
        quantise(QuantiseJob(tmp_path / "broken.gguf", target))
    assert not target.parent.exists()
    small = quantise(QuantiseJob(wide_gguf, tmp_path / "small.gguf", "q4_k_m"))
    with pytest.raises(QuantiseError, match="requantizing"):
        quantise(QuantiseJob(small, target, "q8_0"))
    assert not list(target.parent.iterdir())
    assert quantise(QuantiseJob(small, target, "q8_0", requantise=True)) == target


def test_nothing_is_printed(
    wide_gguf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """llama.cpp's log does not reach the terminal, and the caller's log handler is restored."""
    import ctypes

    seen: list[int] = []
    with low_level() as lib:
        mine = lib.llama_log_callback(lambda level, _text, _user: seen.append(level))
        lib.llama_log_set(mine, None)
        quantise(QuantiseJob(wide_gguf, tmp_path / "out.gguf", "q4_0"))
        assert seen == []
        restored, user = lib.llama_log_callback(), ctypes.c_void_p()
        lib.llama_log_get(ctypes.byref(restored), ctypes.byref(user))
        address = ctypes.c_void_p
        assert ctypes.cast(restored, address).value == ctypes.cast(mine, address).value
    assert capfd.readouterr() == ("", "")
