"""Comparing forms of an adapter: what is made, measured, told and cleaned up."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from expert.bench import compress as bench
from expert.bench.compress import ALONE, ORIGINAL, Comparison, Form, Scores, bench_compress
from expert.bench.divergence import Passage
from expert.cli.bench_compress import table
from expert.errors import ExpertError, VerificationError
from expert.types import Message
from support.low_rank_adapters import Synthetic, write_synthetic

ASK = Passage((Message("user", "Name a fox."),), "Reynard.")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up adapter for the tiny model."""
    return write_synthetic(
        tmp_path_factory.mktemp("made") / "a.gguf", Synthetic(rank=16, seed=7, blocks=1)
    )


@pytest.fixture(scope="module")
def forms(adapter: Path, tiny_path: Path) -> list[Form]:
    """One comparison at two sizes, with divergences."""
    wanted = Comparison(adapter, tiny_path, (6_000, 12_000), (ASK,), repeat=1)
    return bench_compress(wanted)


def test_which_forms_are_compared(forms: list[Form]) -> None:
    """The original, those of an own size, each other method at each size, and the base alone."""
    names = [form.name for form in forms]
    own = ["q8_0", "q4_0", "q3", "q2"]
    sized = [f"{method} in {size} kB" for size in (6, 12) for method in ("svd", "osd", "q3")]
    assert names == [ORIGINAL, *own, *sized, ALONE]


def test_sizes_are_kept_and_losses_ordered(forms: list[Form], adapter: Path) -> None:
    """Nothing exceeds its budget; less room loses more; the original loses nothing."""
    assert forms[0].bytes == adapter.stat().st_size and forms[0].loss == 0
    by_name = {form.name: form for form in forms}
    for form in forms:
        assert form.budget is None or 0 < form.bytes <= form.budget
        assert 0 <= form.loss < 1
    for method in ("svd", "osd", "q3"):
        assert by_name[f"{method} in 12 kB"].loss < by_name[f"{method} in 6 kB"].loss
    assert by_name["q8_0"].loss < by_name["q4_0"].loss
    assert by_name["q8_0"].loss < by_name["q3"].loss < by_name["q2"].loss


def test_divergence_follows_what_is_lost(forms: list[Form]) -> None:
    """The original's is none, and nothing is as far away as the base alone."""
    found = {form.name: form.divergence for form in forms}
    assert None not in found.values()
    alone = found[ALONE] or 0.0
    assert abs(found[ORIGINAL] or 0.0) < 1e-9 and alone > 0.01
    assert (found["q8_0"] or 0.0) < (found["q2"] or 0.0) < alone


def test_every_form_was_timed(forms: list[Form]) -> None:
    """Both times, except of the base alone, which has no file."""
    for form in forms[:-1]:
        assert form.first_s > 0 and form.load_s > 0
    assert forms[-1] == Form(ALONE, None, divergence=forms[-1].divergence)


def test_nothing_is_left_on_the_disk(
    adapter: Path, tiny_path: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither after a comparison nor after one that fails in its tasks."""

    def fails(named: Sequence[tuple[str, Path | None]]) -> dict[str, Scores]:
        assert all(path is None or path.is_file() for _, path in named)
        raise VerificationError("The data is broken.")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(path for path in home.rglob("*") if path.is_file())
    told: list[tuple[int, int]] = []
    wanted = Comparison(adapter, tiny_path, (6_000,), score=fails, repeat=1)
    with pytest.raises(VerificationError, match="broken"):
        bench_compress(wanted, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert list(tmp_path.iterdir()) == []
    left = [path for path in home.rglob("*.gguf") if path not in before]
    assert left == []


def test_scores_go_to_their_forms(adapter: Path, tiny_path: Path) -> None:
    """By name; the base alone is scored without a file."""
    seen: dict[str, Path | None] = {}

    def score(named: Sequence[tuple[str, Path | None]]) -> dict[str, Scores]:
        seen.update(named)
        return {name: {"task": (n / 100, (0.0, 1.0))} for n, (name, _) in enumerate(named)}

    wanted = Comparison(adapter, tiny_path, (6_000,), score=score, repeat=1)
    found = bench_compress(wanted)
    assert [form.scores for form in found] == [
        {"task": (n / 100, (0.0, 1.0))} for n in range(len(found))
    ]
    assert [name for name, path in seen.items() if path is None] == [ALONE]


@pytest.mark.parametrize("budget", [1, 300])
def test_a_budget_that_holds_nothing_is_said(budget: int, adapter: Path, tiny_path: Path) -> None:
    """As an error of this program, with what to do."""
    with pytest.raises(VerificationError) as caught:
        bench_compress(Comparison(adapter, tiny_path, (budget,), repeat=1))
    assert f"{budget} bytes" in caught.value.why and caught.value.fix == "Allow more bytes."


def test_what_is_no_adapter_is_said(tiny_path: Path, tmp_path: Path) -> None:
    """A model, another file, and none at all."""
    other = tmp_path / "other.gguf"
    other.write_bytes(b"nothing")
    for path in (tiny_path, other):
        with pytest.raises(ExpertError) as caught:
            bench_compress(Comparison(path, tiny_path, (6_000,), repeat=1))
        assert caught.value.what and caught.value.why


def test_methods_that_take_any_size_are_known() -> None:
    """Each is one that `compress` knows."""
    from expert_converters.compress.compress import METHODS

    assert set(bench.SAME_SIZE) <= set(METHODS)


def test_the_table_of_forms() -> None:
    """A column for each thing that was measured, and none for what was not."""
    plain = [Form("q3", Path("x"), 12_345, None, 0.125, 0.01, 0.002), Form(ALONE, None)]
    assert table(plain).splitlines() == [
        "| form | size | ready first | ready later | weight lost |",
        "| --- | --- | --- | --- | --- |",
        "| q3 | 12 kB | 10.0 ms | 2.0 ms | 12.50% |",
        "| base alone |  |  |  |  |",
    ]
    scores: Scores = {"shell": (0.5, (0.25, 0.75))}
    full = [
        Form("q3", Path("x"), 2_000_000, divergence=0.0123, scores=scores),
        Form(ALONE, None, divergence=1.5, scores=scores),
    ]
    head, _, first, last = table(full).splitlines()
    assert head.endswith("| weight lost | KL a token | shell |")
    assert first.startswith("| q3 | 2,000 kB |")
    assert first.endswith("| 0.012 | 50.0% (25.0% to 75.0%) |")
    assert last == "| base alone |  |  |  |  | 1.5 | 50.0% (25.0% to 75.0%) |"
