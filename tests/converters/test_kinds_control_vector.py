"""Control vectors: llama.cpp adds them where a hook on transformers does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from expert_converters.errors import AdapterError, GGUFError
from expert_converters.gguf_file import inspect
from expert_converters.kinds.control_vector import read_control_vector, write_control_vector
from expert_converters.model import ModelJob, convert_model
from support.adapter_peers import adapted_logits, load_base, model_logits
from support.checkpoints import Qwen3Shape, qwen3_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of four layers."""
    shape = Qwen3Shape(num_hidden_layers=4)
    return qwen3_checkpoint(tmp_path_factory.mktemp("base"), shape)


def directions() -> dict[int, Any]:
    """Random directions for layers 1 and 3; layer 2 has none."""
    random = np.random.default_rng(0)
    return {layer: random.standard_normal(64).astype(np.float32) for layer in (3, 1)}


def test_logits_equal_hooks_on_transformers(checkpoint: Path, tmp_path: Path) -> None:
    """Direction N is added to the output of layer N, counted from 0."""
    base = convert_model(ModelJob(checkpoint, tmp_path / "base.gguf", "f32"))
    path = write_control_vector(directions(), "qwen3", tmp_path / "vector.gguf")
    found = adapted_logits(base, control_vector=read_control_vector(path))

    import torch

    model = load_base(checkpoint)

    def adding(direction: Any) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> Any:
            if isinstance(output, tuple):
                return (output[0] + direction, *output[1:])
            return output + direction

        return hook

    for layer, direction in directions().items():
        model.model.layers[layer].register_forward_hook(adding(torch.from_numpy(direction)))
    expected = model_logits(model)
    assert np.abs(expected - adapted_logits(base)).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=5e-5)


def test_the_layout_is_that_of_llama_cpps_tools(tmp_path: Path) -> None:
    """F32 vectors direction.N, the names and keys cvector-generator writes."""
    path = write_control_vector(directions(), "qwen3", tmp_path / "vector.gguf")
    header = inspect(path)
    assert list(header.tensors) == ["direction.1", "direction.3"]
    assert {tensor.shape for tensor in header.tensors.values()} == {(64,)}
    assert header.metadata == {
        "general.architecture": "controlvector",
        "controlvector.model_hint": "qwen3",
        "controlvector.layer_count": 2,
    }


def test_rows_count_from_layer_one(tmp_path: Path) -> None:
    """Layers without a direction get zeros, as in llama.cpp's own loader."""
    path = write_control_vector(directions(), "qwen3", tmp_path / "vector.gguf")
    rows = read_control_vector(path)
    assert rows.shape == (3, 64)
    np.testing.assert_array_equal(rows[0], directions()[1])
    np.testing.assert_array_equal(rows[1], 0)
    np.testing.assert_array_equal(rows[2], directions()[3])


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({}, "numbers from 1"),
        ({0: np.ones(4)}, "numbers from 1"),
        ({1: np.ones(4), 2: np.ones(5)}, "one width"),
        ({1: np.ones((4, 4))}, "one width"),
        ({1: np.array([1, np.nan])}, "NaN"),
        ({5000: np.ones(4)}, "numbers from 1"),
    ],
)
def test_directions_that_cannot_be_written(
    made: dict[int, Any], reason: str, tmp_path: Path
) -> None:
    """Each is refused with its reason, and no file is left."""
    with pytest.raises(AdapterError, match=reason):
        write_control_vector(made, "qwen3", tmp_path / "vector.gguf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({}, "none"),
        ({"direction.0": np.ones(4, np.float32)}, "not a direction"),
        ({"direction.x": np.ones(4, np.float32)}, "not a direction"),
        ({"direction.99999": np.ones(4, np.float32)}, "not a direction"),
        ({"direction.1": np.ones(4, np.float16)}, "F32 vector"),
        ({"direction.1": np.ones((4, 4), np.float32)}, "F32 vector"),
        ({"direction.1": np.full(4, np.inf, np.float32)}, "infinity"),
        (
            {"direction.1": np.ones(4, np.float32), "direction.2": np.ones(5, np.float32)},
            "several widths",
        ),
    ],
)
def test_files_that_are_no_control_vectors(
    tensors: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    """What llama.cpp's loader refuses, or would spread as NaN, is refused."""
    path = tmp_path / "vector.gguf"
    writer = gguf.GGUFWriter(path, "controlvector")
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(AdapterError, match=reason):
        read_control_vector(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A file that is no GGUF is named as such."""
    (tmp_path / "vector.gguf").write_bytes(b"not one")
    with pytest.raises(GGUFError):
        read_control_vector(tmp_path / "vector.gguf")
