"""A base's identity: shared by its quantisations, and by nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from expert_converters.gguf_file import inspect
from expert_converters.identity import BaseIdentity, base_identity
from expert_converters.model import ModelJob, convert_model
from expert_converters.quantise import QuantiseJob, quantise
from support.checkpoints import Qwen3Shape, qwen3_checkpoint


def identity(
    folder: Path, shape: Qwen3Shape, kind: str = "f32", name: str | None = None
) -> BaseIdentity:
    """Convert a tiny checkpoint and return the identity of the file."""
    checkpoint = qwen3_checkpoint(folder / "checkpoint", shape)
    path = convert_model(ModelJob(checkpoint, folder / "model.gguf", kind, name))
    return base_identity(inspect(path))


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8_0"])
def test_every_quantisation_shares_it(tmp_path: Path, kind: str) -> None:
    """Types and names in the metadata make no difference."""
    expected = identity(tmp_path / "a", Qwen3Shape())
    assert identity(tmp_path / "b", Qwen3Shape(), kind, "Another name") == expected


def test_llama_cpps_quantiser_keeps_it(tmp_path: Path) -> None:
    """So do K-quants and the like."""
    expected = identity(tmp_path / "a", Qwen3Shape())
    quantised = quantise(QuantiseJob(tmp_path / "a" / "model.gguf", tmp_path / "q.gguf", "q4_0"))
    assert base_identity(inspect(quantised)) == expected


def test_other_weights_of_the_same_shape_differ_in_their_norms(tmp_path: Path) -> None:
    """A retrained base is another base, which an adapter does not fit."""
    one = identity(tmp_path / "a", Qwen3Shape(seed=0))
    other = identity(tmp_path / "b", Qwen3Shape(seed=1))
    assert one.norms != other.norms
    assert replace(other, norms=one.norms) == one
    assert one.short != other.short


def test_another_shape_differs_in_its_shapes(tmp_path: Path) -> None:
    """One more layer is another architecture to an adapter."""
    one = identity(tmp_path / "a", Qwen3Shape())
    other = identity(tmp_path / "b", Qwen3Shape(num_hidden_layers=3))
    assert one.shapes != other.shapes
    assert one.tokenizer == other.tokenizer
