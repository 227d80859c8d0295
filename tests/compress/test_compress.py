"""Every method end to end: sizes hold, losses are true, and llama.cpp computes what is said."""

from pathlib import Path

import numpy as np
import pytest

from expert_converters.compress.compress import METHODS, CompressJob, CompressReport, compress
from expert_converters.compress.expand import expand
from expert_converters.compress.packed_file import is_packed
from expert_converters.errors import AdapterError
from expert_converters.gguf_file import inspect
from expert_converters.lora_file import open_lora
from support.adapter_peers import adapted_logits, dense_updates
from support.low_rank_adapters import Synthetic, write_synthetic

BUDGETS = (12_000, 20_000, 40_000)


def attachable(path: Path) -> Path:
    """Return an adapter that llama.cpp loads."""
    if not is_packed(inspect(path)):
        return path
    expand(path, path.with_suffix(".expanded.gguf"))
    return path.with_suffix(".expanded.gguf")


def true_loss(found: Path, source: Path) -> float:
    """Return what is missed, by a peer that decodes both files and compares full matrices."""
    expected, made = dense_updates(source), dense_updates(attachable(found))
    missed = sum(np.sum((update - made.get(n, 0.0)) ** 2) for n, update in expected.items())
    return float(missed / sum(np.sum(update**2) for update in expected.values()))


def made(source: Path, folder: Path, method: str, budget: int | None = None) -> CompressReport:
    """Compress into a file named after the method."""
    return compress(CompressJob(source, folder / f"{method}.gguf", method, budget))


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("method", METHODS)
def test_the_file_fits_its_budget_and_the_loss_is_true(
    adapter: Path, tmp_path: Path, method: str, budget: int
) -> None:
    """The bytes are the file's own, and another decoder finds the reported loss."""
    report = made(adapter, tmp_path, method, budget)
    path = tmp_path / f"{method}.gguf"
    assert report.nbytes == path.stat().st_size <= budget
    assert report.loss == pytest.approx(true_loss(path, adapter), rel=0.01, abs=1e-5)
    assert report.packed == (method in ("q2", "q3", "osd"))
    assert 0 < report.directions <= report.of == 14 * 32


@pytest.mark.parametrize("method", METHODS)
def test_more_bytes_never_lose_more(adapter: Path, tmp_path: Path, method: str) -> None:
    """Losses fall as budgets grow."""
    losses = [made(adapter, tmp_path, method, budget).loss for budget in BUDGETS]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 2 * losses[-1]


def test_methods_without_a_budget(adapter: Path, tmp_path: Path) -> None:
    """Each step down in bits is smaller and loses more, as far as theory says."""
    reports = [made(adapter, tmp_path, method) for method in ("q8_0", "q4_0", "q3", "q2")]
    sizes = [report.nbytes for report in reports]
    assert sizes == sorted(sizes, reverse=True)
    assert [report.loss < limit for report, limit in zip(
        reports, (2e-4, 0.02, 0.02, 0.06), strict=True
    )] == [True] * 4  # fmt: skip
    assert reports[0].loss < reports[1].loss


def test_codes_beat_sparse_factors_beat_lower_ranks(adapter: Path, tmp_path: Path) -> None:
    """At one size of a few bits a value, on vectors whose entries are normal: the page says so."""
    losses = [made(adapter, tmp_path, method, 14_000).loss for method in ("q2", "osd", "svd")]
    assert losses == sorted(losses)


def test_sparse_factors_win_where_few_entries_matter(tmp_path: Path) -> None:
    """On vectors with heavy tails they lose less than plain ranks of the same size by far."""
    source = write_synthetic(tmp_path / "heavy.gguf", Synthetic(heavy=True))
    sparse, ranks = (made(source, tmp_path, method, 14_000).loss for method in ("osd", "svd"))
    assert sparse < ranks / 3


@pytest.mark.parametrize("method", METHODS)
def test_llama_cpp_computes_nearly_the_same(
    adapter: Path, tiny_path: Path, tmp_path: Path, method: str
) -> None:
    """The logits move towards the original's: little is left of the adapter's own effect."""
    made(adapter, tmp_path, method, 40_000)
    base, wanted, found = (
        adapted_logits(tiny_path, [(path, 1.0)] if path else [])
        for path in (None, adapter, attachable(tmp_path / f"{method}.gguf"))
    )
    effect = np.linalg.norm(wanted - base)
    assert effect > 1
    assert np.linalg.norm(found - wanted) < 0.35 * effect


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0"])
def test_sources_of_every_type(tmp_path: Path, kind: str) -> None:
    """Compression starts from what the file holds, whatever its type."""
    source = write_synthetic(tmp_path / "source.gguf", Synthetic(rank=12), kind)
    report = made(source, tmp_path, "q3")
    assert report.of == 14 * 12
    assert report.loss < 0.03


def test_a_packed_file_can_be_compressed_further(adapter: Path, tmp_path: Path) -> None:
    """It is expanded first; the new loss is against what it had left."""
    made(adapter, tmp_path, "q3")
    report = compress(CompressJob(tmp_path / "q3.gguf", tmp_path / "again.gguf", "q8_0"))
    assert not report.packed
    assert report.loss < 1e-3
    assert true_loss(tmp_path / "again.gguf", adapter) < 0.03


def test_the_target_may_be_the_source(adapter: Path, tmp_path: Path) -> None:
    """The old file is read to the end before the new one takes its place."""
    path = tmp_path / "same.gguf"
    path.write_bytes(adapter.read_bytes())
    report = compress(CompressJob(path, path, "q2"))
    assert report.source_bytes == adapter.stat().st_size > report.nbytes == path.stat().st_size


def test_what_an_adapter_says_is_kept(tmp_path: Path) -> None:
    """Invocation tokens survive every method."""
    source = write_synthetic(tmp_path / "late.gguf", Synthetic(invocation=(5, 6)))
    for method in METHODS:
        made(source, tmp_path, method, 40_000)
        assert open_lora(attachable(tmp_path / f"{method}.gguf")).invocation == (5, 6)


def test_a_judge_chooses_the_density(adapter: Path, tmp_path: Path) -> None:
    """It sees candidates that can be attached, and the one it likes best is written."""
    seen: list[int] = []

    def judge(path: Path) -> float:
        seen.append(len(open_lora(path).pairs))
        return float(-len(seen))

    plain = made(adapter, tmp_path, "osd", 14_000)
    judged = compress(CompressJob(adapter, tmp_path / "j.gguf", "osd", 14_000, judge=judge))
    assert len(seen) == 3
    assert judged.loss > plain.loss
    assert judged.nbytes <= 14_000


@pytest.mark.parametrize(
    ("method", "budget", "why"),
    [
        ("zip", None, "unknown method"),
        ("svd", None, "needs a budget"),
        ("osd", None, "needs a budget"),
        *((method, 300, "fits 300 bytes") for method in METHODS),
    ],
)
def test_what_cannot_be_done_is_said(
    adapter: Path, tmp_path: Path, method: str, budget: int | None, why: str
) -> None:
    """A wrong method or a hopeless budget is an error, and leaves no file."""
    with pytest.raises(AdapterError, match=why):
        made(adapter, tmp_path, method, budget)
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_without_effect_is_refused(tmp_path: Path) -> None:
    """There is nothing to keep."""
    source = write_synthetic(tmp_path / "none.gguf", Synthetic(strength=0.0))
    with pytest.raises(AdapterError, match="changes nothing"):
        made(source, tmp_path, "q2")


def test_another_base_is_refused_before_anything_is_written(
    adapter: Path, tiny_path: Path, tmp_path: Path
) -> None:
    """With a base, what does not fit it is no source."""
    good = CompressJob(adapter, tmp_path / "good.gguf", "q2", base=tiny_path)
    assert compress(good).loss > 0
    large = write_synthetic(tmp_path / "large.gguf", Synthetic(blocks=3))
    with pytest.raises(AdapterError, match=r"blk\.2"):
        compress(CompressJob(large, tmp_path / "bad.gguf", "q2", base=tiny_path))
    assert not (tmp_path / "bad.gguf").exists()
