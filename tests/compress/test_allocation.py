"""Bytes go where they buy most, and never beyond the budget."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from expert_converters.compress.allocation import (
    allocate_ranks,
    allocate_widths,
    direction_bytes,
)
from expert_converters.compress.codes import WIDTHS, normal_error
from expert_converters.compress.spectrum import Factors, Spectrum, decompose
from expert_converters.lora_file import open_lora


@pytest.fixture
def spectra(adapter: Path) -> list[Spectrum]:
    """Return the directions of the made-up adapter."""
    return decompose(open_lora(adapter))


def price(spectra: list[Spectrum], widths: list[np.ndarray]) -> int:
    """Return the bytes of directions at these widths."""
    pairs = zip(spectra, widths, strict=True)
    return sum(direction_bytes(one, int(w)) for one, bits in pairs for w in bits if w)


def small(energies: list[list[float]]) -> list[Spectrum]:
    """Return matrices of which only energies and sizes matter."""
    found = []
    for number, energy in enumerate(energies):
        u, v = np.ones((len(energy), 64), np.float32), np.ones((len(energy), 32), np.float32)
        found.append(Spectrum(Factors(f"m{number}", u, v), np.array(energy)))
    return found


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.7, 1.0, 2.0])
def test_the_budget_holds_and_is_used(spectra: list[Spectrum], share: float) -> None:
    """What is left over is less than the price of one more step."""
    budget = int(share * sum(len(one.energy) * direction_bytes(one, 4) for one in spectra))
    widths = allocate_widths(spectra, budget)
    spent = price(spectra, widths)
    step = max(direction_bytes(one, 2) for one in spectra)
    full = sum(len(one.energy) * direction_bytes(one, WIDTHS[-1]) for one in spectra)
    assert spent <= budget
    assert spent > min(budget, full) - step or spent == full


def test_stronger_directions_never_have_fewer_bits(spectra: list[Spectrum]) -> None:
    """Within a matrix the widths fall with the energy."""
    budget = sum(len(one.energy) * direction_bytes(one, 2) for one in spectra)
    for bits in allocate_widths(spectra, budget):
        assert (np.diff(bits.astype(int)) <= 0).all()
        assert set(bits.tolist()) <= {0, *WIDTHS}
    assert len({int(bit) for bits in allocate_widths(spectra, budget) for bit in bits}) > 2


def test_no_choice_by_hand_is_better() -> None:
    """Every allocation of four directions is tried; none of the same price loses less."""
    spectra = small([[9.0, 1.0], [4.0, 0.2]])
    ladder = (0, *WIDTHS)
    left = {0: 1.0} | {w: 1 - (1 - normal_error(w)) ** 2 for w in WIDTHS}
    energies = [energy for one in spectra for energy in one.energy]
    for budget in (40, 90, 150, 220, 300):
        widths = [int(w) for bits in allocate_widths(spectra, budget) for w in bits]
        cost = sum(direction_bytes(spectra[0], w) for w in widths if w)
        error = sum(energy * left[w] for energy, w in zip(energies, widths, strict=True))
        for other in product(ladder, repeat=4):
            if sum(direction_bytes(spectra[0], w) for w in other if w) <= cost:
                assert error <= sum(
                    energy * left[w] for energy, w in zip(energies, other, strict=True)
                ) * (1 + 1e-9)


def test_nothing_fits_nothing(spectra: list[Spectrum]) -> None:
    """A budget below one direction leaves all of them out."""
    assert not any(bits.any() for bits in allocate_widths(spectra, 10))
    assert not any(allocate_ranks(spectra, lambda ranks: 1000 * sum(ranks), 999))


@pytest.mark.parametrize("budget", [1, 5, 13, 100, 10_000])
def test_ranks_are_the_most_that_fit(spectra: list[Spectrum], budget: int) -> None:
    """As many directions as the size allows, the strongest for their length."""
    ranks = allocate_ranks(spectra, sum, budget)
    assert sum(ranks) == min(budget, sum(len(one.energy) for one in spectra))
    worth = [one.energy / one.factors.length for one in spectra]
    kept = [part[:rank] for part, rank in zip(worth, ranks, strict=True)]
    gone = [part[rank:] for part, rank in zip(worth, ranks, strict=True)]
    if any(len(part) for part in gone):
        assert min(np.concatenate(kept)) >= max(np.concatenate(gone))
