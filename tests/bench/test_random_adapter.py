"""Random adapters: sound for their base, the same for a seed, and small enough to change little."""

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from expert.bench.random_adapter import RandomAdapter, write_random_adapter
from expert.engine.adapter_file import read_adapter
from expert.engine.header import read_header
from expert_converters.check import check_adapter
from expert_converters.gguf_file import GGUFFile, inspect

MATRICES = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}


@pytest.fixture
def base(tiny_path: Path) -> Iterator[GGUFFile]:
    """The header of the tiny model."""
    yield read_header(tiny_path)


def written(base: GGUFFile, path: Path, spec: RandomAdapter) -> Path:
    """Write an adapter and return where it is."""
    write_random_adapter(base, spec, path)
    return path


@pytest.mark.parametrize("rank", [32, 64, 256])
def test_it_fits_its_base_at_every_rank(rank: int, base: GGUFFile, tmp_path: Path) -> None:
    """Every matrix of every layer has both factors, in Q8_0, of that rank."""
    header = inspect(written(base, tmp_path / "a.gguf", RandomAdapter(rank, 1)))
    check_adapter(header, base)
    targets = {name.rpartition(".")[0] for name in header.tensors}
    layers = int(str(base.metadata["qwen3.block_count"]))
    assert targets == {f"blk.{n}.{name}.weight" for n in range(layers) for name in MATRICES}
    for name, tensor in header.tensors.items():
        assert tensor.type.name == "Q8_0"
        assert tensor.shape[1 if name.endswith("a") else 0] == rank
    assert header.metadata["adapter.lora.alpha"] == rank


def test_gguf_py_reads_small_numbers(base: GGUFFile, tmp_path: Path) -> None:
    """Decoded by the peer, all blocks have one small scale and steps of every size."""
    path = written(base, tmp_path / "a.gguf", RandomAdapter(32, 1))
    for tensor in gguf.GGUFReader(path).tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert np.isfinite(values).all() and 0.1 < np.abs(values).max() <= 128 * 0.0021
        assert abs(values.mean()) < 0.02 and len(np.unique(values)) > 200


def test_a_seed_is_an_adapter(base: GGUFFile, tmp_path: Path) -> None:
    """The same seed gives the same file, another seed the same shapes with other numbers."""
    one, same, other = (
        written(base, tmp_path / f"{n}.gguf", RandomAdapter(32, seed)).read_bytes()
        for n, seed in enumerate((1, 1, 2))
    )
    assert one == same and len(one) == len(other)
    assert sum(a != b for a, b in zip(one, other, strict=True)) > len(one) // 2


@pytest.mark.parametrize("tokens", [(), (5, 6), (447,)])
def test_it_answers_from_its_invocation_on(
    tokens: tuple[int, ...], base: GGUFFile, tmp_path: Path
) -> None:
    """With tokens it is an expert of answers; without, one of the whole prompt."""
    path = written(base, tmp_path / "a.gguf", RandomAdapter(32, 1, tokens))
    assert read_adapter(path, base).invocation == tokens


def test_the_engine_takes_it(base: GGUFFile, tiny_path: Path, tmp_path: Path) -> None:
    """It reads as an adapter of the engine, which knows what it takes in memory."""
    path = written(base, tmp_path / "a.gguf", RandomAdapter(32, 3))
    file = read_adapter(path, base)
    data = sum(tensor.nbytes for tensor in inspect(path).tensors.values())
    assert 0 < data <= path.stat().st_size and file.bytes >= data
