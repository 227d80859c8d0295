"""Optimal Singular Damage: what matters least goes first, and the places are kept exactly."""

from pathlib import Path

import numpy as np
import pytest

from expert_converters.compress.sparse import (
    DENSITIES,
    Sparse,
    at_density,
    mask_bytes,
    sparsify,
)
from expert_converters.compress.spectrum import Spectrum, decompose, lost
from expert_converters.lora_file import open_lora
from support.low_rank_adapters import Synthetic, write_synthetic


@pytest.fixture
def spectra(adapter: Path) -> list[Spectrum]:
    """Return the directions of the made-up adapter."""
    return decompose(open_lora(adapter))


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> list[Spectrum]:
    """Return the directions of an adapter whose vectors have few large entries."""
    path = tmp_path_factory.mktemp("heavy") / "heavy.gguf"
    return decompose(open_lora(write_synthetic(path, Synthetic(heavy=True))))


def nbytes(side: Sparse) -> int:
    """Return the bytes of sparse vectors."""
    return side.scales.nbytes + side.masks.nbytes + side.values.nbytes


@pytest.mark.parametrize("budget", [3_000, 10_000, 40_000])
@pytest.mark.parametrize("density", DENSITIES)
def test_the_budget_holds(spectra: list[Spectrum], density: float, budget: int) -> None:
    """Scales, masks and values of all vectors together fit, and use most of it."""
    found = at_density(spectra, density, budget)
    assert found is not None
    size = sum(nbytes(part.u) + nbytes(part.v) for part in found.parts)
    assert 0.85 * budget <= size <= budget


def test_the_search_takes_the_best_density(spectra: list[Spectrum]) -> None:
    """No other density of the list loses less."""
    found = sparsify(spectra, 12_000)
    assert found is not None
    tried = [at_density(spectra, density, 12_000) for density in DENSITIES]
    assert found.lost == min(one.lost for one in tried if one is not None)
    factors = [part.factors() for part in found.parts]
    assert lost(spectra, factors) == pytest.approx(found.lost)


def test_a_judge_has_the_last_word(spectra: list[Spectrum]) -> None:
    """Among the few best, the judge's lowest figure wins, not the smallest loss."""
    alone = sparsify(spectra, 12_000)
    seen: list[float] = []

    def judge(damage: object) -> float:
        seen.append(damage.lost)  # type: ignore[attr-defined]  # a Damage
        return -seen[-1]

    judged = sparsify(spectra, 12_000, judge)
    assert alone is not None and judged is not None
    assert len(seen) == 3
    assert judged.lost == max(seen) > alone.lost == min(seen)


def test_more_directions_than_fit_dense(spectra: list[Spectrum]) -> None:
    """A density below one keeps more directions than the whole vectors would leave room for."""
    whole, part = (at_density(spectra, density, 8_000) for density in (1.0, 0.33))
    assert whole is not None and part is not None
    ranks = [sum(len(one.u.scales) for one in found.parts) for found in (whole, part)]
    assert ranks[1] > ranks[0]


def test_what_goes_matters_least(spectra: list[Spectrum]) -> None:
    """No entry that was dropped would have changed the update more than one that was kept."""
    found = at_density(spectra, 0.45, 10_000)
    assert found is not None
    kept, gone = [], []
    whole = {one.factors.target: one.factors for one in spectra}
    for part in found.parts:
        full = whole[part.target].leading(len(part.u.scales))
        for side, own, other in ((part.u, full.u, full.v), (part.v, full.v, full.u)):
            bits = np.unpackbits(side.masks, axis=1, count=side.length, bitorder="little")
            change = own**2 * np.sum(other**2, axis=1, keepdims=True)
            kept.append(change[bits == 1])
            gone.append(change[bits == 0])
    assert min(np.concatenate(kept)) >= max(np.concatenate(gone))


def test_sparsity_pays_for_heavy_tails_alone(
    spectra: list[Spectrum], heavy: list[Spectrum]
) -> None:
    """Where few entries carry a vector half of them can go; normal ones lose much more."""
    normal_loss, heavy_loss = (at_density(one, 0.33, 30_000) for one in (spectra, heavy))
    assert normal_loss is not None and heavy_loss is not None
    assert heavy_loss.lost < normal_loss.lost / 3


def test_nothing_fits_nothing(spectra: list[Spectrum]) -> None:
    """A budget below one direction gives none."""
    assert sparsify(spectra, 20) is None


@pytest.mark.parametrize("length", [1, 7, 8, 9, 64])
def test_masks_of_any_length(length: int) -> None:
    """Bits beyond a vector's end are not read."""
    masks = np.full((2, mask_bytes(length)), 255, np.uint8)
    values = np.arange(2 * length, dtype=np.int8)
    sparse = Sparse(length, np.array([1, 2], np.float32), masks, values)
    expected = np.stack([values[:length], 2.0 * values[length:]])
    np.testing.assert_array_equal(sparse.dense(), expected)
