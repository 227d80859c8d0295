"""An adapter's singular directions, and what another form of it misses."""

from pathlib import Path

import numpy as np
import pytest

from expert_converters.compress.spectrum import Factors, Spectrum, decompose, factors_of, lost
from expert_converters.lora_file import open_lora
from support.adapter_peers import Doubles, dense_updates
from support.low_rank_adapters import Synthetic, write_synthetic


def dense(factors: Factors) -> Doubles:
    """Return the full update."""
    product: Doubles = factors.u.astype(np.float64).T @ factors.v
    return product


@pytest.fixture
def spectra(adapter: Path) -> list[Spectrum]:
    """Return the directions of the made-up adapter."""
    return decompose(open_lora(adapter))


def test_directions_are_the_singular_ones(adapter: Path, spectra: list[Spectrum]) -> None:
    """Their energies are the squared singular values of the full matrices, which they add up to."""
    expected = dense_updates(adapter)
    assert [one.factors.target for one in spectra] == list(expected)
    for one in spectra:
        update = expected[one.factors.target]
        squares = np.linalg.svd(update, compute_uv=False) ** 2
        np.testing.assert_allclose(one.energy, squares[: len(one.energy)], rtol=1e-4)
        np.testing.assert_allclose(dense(one.factors), update, atol=1e-5)


def test_padding_is_no_direction(tmp_path: Path) -> None:
    """A rank of 5, which is stored as 32, has five directions."""
    path = write_synthetic(tmp_path / "five.gguf", Synthetic(rank=5), "Q8_0")
    spectra = decompose(open_lora(path))
    assert {one.factors.rank for one in spectra} == {5}
    assert open_lora(path).pairs["blk.0.attn_q.weight"].rank == 32


def test_an_adapter_that_does_nothing_has_no_directions(tmp_path: Path) -> None:
    """Matrices that stay as they are do not occur."""
    path = write_synthetic(tmp_path / "none.gguf", Synthetic(strength=0.0))
    assert decompose(open_lora(path)) == []


def test_the_loss_is_that_of_the_full_matrices(adapter: Path, spectra: list[Spectrum]) -> None:
    """It follows from thin factors alone, and equals what a comparison of full matrices says."""
    halves = [one.factors.leading(one.factors.rank // 2) for one in spectra]
    expected = dense_updates(adapter)
    missed = sum(np.sum((expected[one.target] - dense(one)) ** 2) for one in halves)
    total = sum(np.sum(update**2) for update in expected.values())
    assert lost(spectra, halves) == pytest.approx(missed / total, rel=1e-4)


def test_nothing_is_lost_by_the_same_and_everything_by_nothing(
    adapter: Path, spectra: list[Spectrum]
) -> None:
    """The bounds of the scale; a matrix that is absent is lost whole."""
    assert lost(spectra, factors_of(open_lora(adapter))) < 1e-6
    assert lost(spectra, []) == pytest.approx(1.0)
    one = spectra[0]
    share = one.energy.sum() / sum(other.energy.sum() for other in spectra)
    found = [other.factors for other in spectra[1:]]
    assert lost(spectra, found) == pytest.approx(share)


def test_progress_is_told(adapter: Path) -> None:
    """Matrices done and in all, to the last."""
    told: list[tuple[int, int]] = []
    decompose(open_lora(adapter), lambda done, total: told.append((done, total)))
    assert told[0] == (1, 14)
    assert told[-1] == (14, 14)
