"""Control vectors and soft prompts against a base: what fits is let through, all else is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from expert_converters.errors import AdapterError
from expert_converters.gguf_file import GGUFFile, inspect
from expert_converters.gguf_types import GGMLType
from expert_converters.gguf_writer import NewTensor, Value, write_gguf
from expert_converters.kinds.control_vector import (
    check_control_vector,
    read_control_vector,
    write_control_vector,
)
from expert_converters.kinds.soft_prompt import MAX_ROWS, check_soft_prompt, read_soft_prompt

WIDTH = 64
PROMPT: dict[str, Value] = {"general.architecture": "qwen3", "general.type": "soft-prompt"}
VECTOR: dict[str, Value] = {
    "general.architecture": "controlvector",
    "controlvector.model_hint": "qwen3",
}


@pytest.fixture(scope="module")
def base(tiny_gguf: Path) -> GGUFFile:
    """The header of a model of two layers and 64 numbers a token."""
    return inspect(tiny_gguf)


def prompt(
    path: Path,
    rows: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    keys: dict[str, Value] | None = None,
    name: str = "soft_prompt.embeddings",
) -> GGUFFile:
    """Write a soft prompt by hand."""
    with path.open("wb") as file:
        tensor = NewTensor(name, rows.shape[::-1], GGMLType.F32)
        write_gguf(file, PROMPT | (keys or {}), [tensor], [rows])
    return inspect(path)


def vector(path: Path, layers: dict[str, int], keys: dict[str, Value] | None = None) -> GGUFFile:
    """Write a control vector by hand: widths by the names of tensors."""
    with path.open("wb") as file:
        tensors = [NewTensor(name, (width,), GGMLType.F32) for name, width in layers.items()]
        data = [np.ones(width, np.float32) for width in layers.values()]
        write_gguf(file, VECTOR | (keys or {}), tensors, data)
    return inspect(path)


@pytest.mark.parametrize("rows", [1, 5])
def test_a_prompt_of_the_bases_width_fits(rows: int, base: GGUFFile, tmp_path: Path) -> None:
    """However many rows; they come back as they were written, and gguf-py sees the same."""
    values = np.random.default_rng(0).normal(size=(rows, WIDTH)).astype(np.float32)
    header = prompt(tmp_path / "p.gguf", values)
    check_soft_prompt(header, base)
    assert np.array_equal(read_soft_prompt(header.path), values)
    (theirs,) = gguf.GGUFReader(header.path).tensors
    assert np.array_equal(theirs.data, values)


@pytest.mark.parametrize(
    ("keys", "width", "why"),
    [
        ({"general.architecture": "bert"}, WIDTH, "it is for 'bert'"),
        ({"general.type": "adapter"}, WIDTH, "something else"),
        ({"tokenizer.ggml.model": "gpt2"}, WIDTH, "the key tokenizer.ggml.model"),
        ({"qwen3.block_count": 3}, WIDTH, "the key qwen3.block_count"),
        ({}, WIDTH - 1, "rows of 64 numbers"),
        ({}, 1, "rows of 64 numbers"),
    ],
)
def test_prompts_that_do_not_fit(
    keys: dict[str, Value], width: int, why: str, base: GGUFFile, tmp_path: Path
) -> None:
    """Another architecture or width, another kind of file, and keys that belong to models."""
    header = prompt(tmp_path / "p.gguf", np.ones((2, width), np.float32), keys)
    with pytest.raises(AdapterError) as caught:
        check_soft_prompt(header, base)
    assert why in caught.value.why and str(header.path) in caught.value.what and caught.value.fix


def test_prompts_that_cannot_be_read(tmp_path: Path) -> None:
    """Numbers that are none, too many rows, one dimension, another name."""
    nan = np.full((2, WIDTH), np.nan, np.float32)
    with pytest.raises(AdapterError, match="NaN or infinity"):
        read_soft_prompt(prompt(tmp_path / "nan.gguf", nan).path)
    with pytest.raises(AdapterError, match=f"{MAX_ROWS + 1} rows"):
        read_soft_prompt(prompt(tmp_path / "long.gguf", np.ones((MAX_ROWS + 1, 1), "f4")).path)
    with pytest.raises(AdapterError, match="expected F32 rows"):
        read_soft_prompt(prompt(tmp_path / "flat.gguf", np.ones(WIDTH, np.float32)).path)
    with pytest.raises(AdapterError, match="something else"):
        other = prompt(tmp_path / "named.gguf", np.ones((1, WIDTH), "f4"), name="other")
        read_soft_prompt(other.path)


def test_a_vector_for_the_layers_of_the_base_fits(base: GGUFFile, tmp_path: Path) -> None:
    """Written by us, with its hint or by a tool that gives none."""
    path = write_control_vector({1: np.ones(WIDTH, "f4")}, "qwen3", tmp_path / "v.gguf")
    check_control_vector(inspect(path), base)
    check_control_vector(vector(tmp_path / "w.gguf", {"direction.1": WIDTH}), base)


@pytest.mark.parametrize(
    ("layers", "keys", "why"),
    [
        ({"direction.2": WIDTH}, {}, "layers below 2"),
        ({"direction.1": WIDTH, "direction.9": WIDTH}, {}, "layers below 2"),
        ({"direction.1": WIDTH // 2}, {}, "directions of 64 numbers"),
        ({"direction.1": WIDTH}, {"controlvector.model_hint": "llama"}, "it is for 'llama'"),
        ({"direction.1": WIDTH}, {"general.architecture": "qwen3"}, "it is for"),
        ({"direction.1": WIDTH}, {"adapter.type": "lora"}, "the key adapter.type"),
        ({"direction.0": WIDTH}, {}, "not a direction of a layer"),
        ({"direction.01": WIDTH}, {}, "not a direction of a layer"),
        ({"direction.1.x": WIDTH}, {}, "not a direction of a layer"),
        ({"direction.4096": WIDTH}, {}, "not a direction of a layer"),
        ({"direction.1": WIDTH, "direction.2": 32}, {}, "several widths"),
        ({}, {}, "none, or of several widths"),
    ],
)
def test_vectors_that_do_not_fit(
    layers: dict[str, int], keys: dict[str, Value], why: str, base: GGUFFile, tmp_path: Path
) -> None:
    """Layers the base does not have, another width, another model, names of other tensors."""
    header = vector(tmp_path / "v.gguf", layers, keys)
    with pytest.raises(AdapterError) as caught:
        check_control_vector(header, base)
    assert why in caught.value.why and caught.value.fix


@pytest.mark.parametrize("layers", [(1,), (3, 1), (2, 5, 9), (4095,)])
def test_rows_stand_at_their_layers(layers: tuple[int, ...], tmp_path: Path) -> None:
    """Layer n is row n - 1, whatever the order they were given in; the rest is zero."""
    made = {layer: np.full(3, layer, np.float32) for layer in layers}
    rows = read_control_vector(write_control_vector(made, "qwen3", tmp_path / "v.gguf"))
    assert rows.shape == (max(layers), 3)
    assert {int(n) + 1 for n in np.flatnonzero(rows.any(axis=1))} == set(layers)
    assert all((rows[layer - 1] == layer).all() for layer in layers)


def test_a_refused_vector_leaves_the_old_file(tmp_path: Path) -> None:
    """Nothing is replaced by what cannot be written, and no part of it is left."""
    path = write_control_vector({1: np.ones(4, "f4")}, "qwen3", tmp_path / "v.gguf")
    before = path.read_bytes()
    bad: list[dict[int, Any]] = [
        {},
        {0: np.ones(4)},
        {1: np.ones((2, 2))},
        {1: np.ones(4), 2: np.ones(3)},
    ]
    for directions in [*bad, {1: np.array([1.0, np.inf])}]:
        with pytest.raises(AdapterError):
            write_control_vector(directions, "qwen3", path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
