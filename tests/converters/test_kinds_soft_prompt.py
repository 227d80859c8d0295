"""Soft prompts: rows decoded before the tokens compute what PEFT does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from expert_converters.errors import AdapterError
from expert_converters.gguf_file import inspect
from expert_converters.kinds import AdapterJob, convert_adapter
from expert_converters.kinds.soft_prompt import TENSOR, read_soft_prompt
from support.adapter_peers import adapted_logits, peft_logits
from support.checkpoints import write_safetensors
from support.peft_kinds import peft_folder

# PEFT reads an attribute that transformers has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ROWS = 6


@pytest.fixture(scope="module")
def folders(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A prompt tuning, and a p-tuning whose encoder PEFT applies at saving."""
    from peft import PromptEncoderConfig, PromptTuningConfig

    folder = tmp_path_factory.mktemp("prompts")
    configs = {
        "prompt": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=ROWS),
        "p": PromptEncoderConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=ROWS, encoder_hidden_size=32
        ),
    }
    return {
        name: peft_folder(tiny_checkpoint, folder / name, config, spread=0.5)
        for name, config in configs.items()
    }


@pytest.mark.parametrize("kind", ["prompt", "p"])
def test_logits_equal_peft(
    kind: str, folders: dict[str, Path], tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """The rows at positions 0 to 5 and the tokens behind them give PEFT's logits."""
    job = AdapterJob(folders[kind], tiny_gguf, tmp_path / "prompt.gguf")
    report = convert_adapter(job)
    assert (report.kind, report.form, report.exact) == ("soft-prompt", "soft-prompt", True)
    rows = read_soft_prompt(report.path)
    assert rows.shape == (ROWS, 64)
    expected = peft_logits(tiny_checkpoint, folders[kind])[-8:]
    found = adapted_logits(tiny_gguf, soft_prompt=rows)
    assert np.abs(expected - adapted_logits(tiny_gguf)).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=5e-5)


def test_the_order_of_the_rows_matters(
    folders: dict[str, Path], tiny_checkpoint: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    """A planted fault, rows reversed, does not pass for the prompt."""
    report = convert_adapter(AdapterJob(folders["prompt"], tiny_gguf, tmp_path / "prompt.gguf"))
    rows = read_soft_prompt(report.path)[::-1]
    expected = peft_logits(tiny_checkpoint, folders["prompt"])[-8:]
    found = adapted_logits(tiny_gguf, soft_prompt=rows)
    assert np.abs(found - expected).max() > 1e-2


def test_the_file_says_what_it_is(
    folders: dict[str, Path], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Architecture, type and name; the base may be a checkpoint folder."""
    job = AdapterJob(folders["prompt"], tiny_checkpoint, tmp_path / "prompt.gguf", name="tone")
    header = inspect(convert_adapter(job).path)
    assert header.metadata == {
        "general.architecture": "qwen3",
        "general.type": "soft-prompt",
        "general.name": "tone",
    }
    assert list(header.tensors) == [TENSOR]


@pytest.mark.parametrize(
    ("config", "tensors", "reason"),
    [
        ({"num_virtual_tokens": 5}, None, "expected"),
        ({"num_virtual_tokens": None}, None, "expected"),
        ({"num_transformer_submodules": 2}, None, "decoder of its own"),
        ({"peft_type": "PREFIX_TUNING"}, None, "PREFIX_TUNING"),
        ({}, {"prompt_embeddings": (ROWS, 32)}, "expected"),
        ({}, {"prompt_embeddings": (ROWS, 64), "other": (1,)}, "instead of"),
        ({}, {}, "nothing"),
    ],
)
def test_damaged_prompts_are_refused(
    config: dict[str, Any],
    tensors: dict[str, tuple[int, ...]] | None,
    reason: str,
    folders: dict[str, Path],
    tiny_gguf: Path,
    tmp_path: Path,
) -> None:
    """Each with its reason, and no file is left."""
    source = tmp_path / "source"
    source.mkdir()
    own = json.loads((folders["prompt"] / "adapter_config.json").read_text())
    (source / "adapter_config.json").write_text(json.dumps(own | config))
    shapes = {"prompt_embeddings": (ROWS, 64)} if tensors is None else tensors
    values = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    write_safetensors(source / "adapter_model.safetensors", values, "float32")
    with pytest.raises(AdapterError, match=reason):
        convert_adapter(AdapterJob(source, tiny_gguf, tmp_path / "out" / "prompt.gguf"))
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("kind", "name", "values", "reason"),
    [
        ("adapter", TENSOR, np.zeros((2, 64), np.float32), "something else"),
        ("soft-prompt", "other", np.zeros((2, 64), np.float32), "something else"),
        ("soft-prompt", TENSOR, np.zeros((2, 64), np.float16), "F16"),
        ("soft-prompt", TENSOR, np.zeros(64, np.float32), "expected F32 rows"),
        ("soft-prompt", TENSOR, np.full((2, 64), np.nan, np.float32), "NaN"),
        ("soft-prompt", TENSOR, np.zeros((16385, 1), np.float32), "rows"),
    ],
)
def test_files_that_are_no_soft_prompts(
    kind: str, name: str, values: Any, reason: str, tmp_path: Path
) -> None:
    """The loader refuses them with the reason."""
    writer = gguf.GGUFWriter(tmp_path / "prompt.gguf", "qwen3")
    writer.add_type(kind)
    writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(AdapterError, match=reason):
        read_soft_prompt(tmp_path / "prompt.gguf")
