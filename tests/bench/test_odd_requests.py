"""What people may ask of the benchmarks and nobody meant: said, or done."""

from pathlib import Path

import pytest

from expert.bench.compress import Comparison, bench_compress
from expert.bench.divergence import read_passages
from expert.bench.package import bench_package
from expert.errors import UsageError, VerificationError
from support.low_rank_adapters import Synthetic, write_synthetic


@pytest.mark.parametrize("rank", [1, 8, 33])
def test_ranks_that_fill_no_block_are_said(rank: int, tiny_path: Path) -> None:
    """Instead of a file that cannot be read."""
    with pytest.raises(UsageError, match=f"rank {rank}") as caught:
        bench_package(tiny_path, rank, 1)
    assert "32" in caught.value.fix


def test_sizes_that_are_nearly_the_same_are_two(tiny_path: Path, tmp_path: Path) -> None:
    """A size given twice is one; sizes that round to the same kilobyte have names of their own."""
    adapter = write_synthetic(tmp_path / "a.gguf", Synthetic(rank=16, blocks=1))
    forms = bench_compress(Comparison(adapter, tiny_path, (6_100, 6_300, 6_100), repeat=1))
    names = [form.name for form in forms]
    assert len(set(names)) == len(names) == 12
    assert {"svd in 6.1 kB", "svd in 6.3 kB"} <= set(names)


def test_a_role_is_a_text(tmp_path: Path) -> None:
    """A number there is the row's fault, and not that of the model's template."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": [{"role": 5, "content": "a"}]}\n')
    with pytest.raises(VerificationError, match="Row 1 of"):
        read_passages(path, 1)
