"""Measures how much two LoRA adapters get in each other's way, from their weights alone.

The inner product of two updates is the trace of a product of four thin factors,
<B1 A1, B2 A2> = tr((B1' B2) (A2 A1')), so that no full matrix is formed: O(r^2 n) for a matrix.
The angles between the row spaces say whether both read the same directions of the input
(principal angles: Bjorck and Golub, 1973).

Weights see only part of the matter: two adapters that never touch the same direction can still
contradict each other in what they make the model say. A high figure is a reason to try the pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import AdapterError
from .lora_file import LoraFile, Pair, open_lora

Doubles = NDArray[np.float64]

WARNING_OVERLAP = 0.2
"""Overlap from which two adapters deserve a warning.

With both at scale 1 and of equal size, an overlap of c makes each push the other's update by c
along its own direction: at 0.2 that is like attaching each at a scale wrong by a fifth. Chance
does not get there: independent adapters of n x n matrices overlap by about 1 / n.
"""
NEGLIGIBLE = 1e-6
"""Singular values below this share of the largest belong to padding, not to the adapter."""


@dataclass(frozen=True, slots=True)
class MatrixInterference:
    """What two adapters do to one matrix that both change."""

    cosine: float
    """Cosine between the two updates as vectors, -1 to 1."""
    norms: tuple[float, float]
    """Frobenius norms of the two updates at scale 1."""
    angles: tuple[float, ...]
    """Principal angles between the row spaces in radians, ascending; the smaller rank of them."""


@dataclass(frozen=True, slots=True)
class Interference:
    """How much two adapters interfere, over all matrices and for each."""

    cosine: float
    """Cosine between the whole updates; contributions of opposite sign cancel."""
    overlap: float
    """Mean absolute cosine, each matrix weighted by the product of its norms; 0 to 1.

    Matrices that only one adapter changes count as no overlap.
    """
    matrices: dict[str, MatrixInterference]
    """The matrices that both change, by name."""

    @property
    def warning(self) -> bool:
        """Whether the overlap is beyond `WARNING_OVERLAP`."""
        return self.overlap >= WARNING_OVERLAP

    def worst(self, count: int = 5) -> list[str]:
        """Return the matrices that contribute most to the overlap, worst first."""

        def weight(target: str) -> float:
            matrix = self.matrices[target]
            return abs(matrix.cosine) * math.prod(matrix.norms)

        return sorted(self.matrices, key=weight, reverse=True)[:count]


@dataclass(frozen=True, slots=True)
class _Update:
    """One adapter's update of one matrix, with what all measures need of it."""

    a: Doubles
    b: Doubles
    norm: float


def measure(a: Path, b: Path) -> Interference:
    """Compare two GGUF adapters for the same base.

    Raises:
        GGUFError: one is not a readable GGUF file.
        AdapterError: one is no LoRA, or they are for different bases.
    """
    first, second = open_lora(a), open_lora(b)
    _check_together(first, second)
    updates = [
        {target: _update(pair) for target, pair in lora.pairs.items()} for lora in (first, second)
    ]
    shared = [target for target in updates[0] if target in updates[1]]
    matrices = {target: _compare(updates[0][target], updates[1][target]) for target in shared}
    whole = math.prod(
        math.sqrt(sum(update.norm**2 for update in side.values())) for side in updates
    )
    products = [matrix.cosine * math.prod(matrix.norms) for matrix in matrices.values()]
    return Interference(
        sum(products) / whole if whole else 0.0,
        sum(map(abs, products)) / whole if whole else 0.0,
        matrices,
    )


def _check_together(first: LoraFile, second: LoraFile) -> None:
    shapes = [{target: pair.shape for target, pair in lora.pairs.items()} for lora in (first, second)]
    differing = [t for t in shapes[0].keys() & shapes[1].keys() if shapes[0][t] != shapes[1][t]]
    if first.architecture != second.architecture or differing:
        raise AdapterError(
            f"{first.path} and {second.path} cannot be compared",
            "they are for different base models",
            "Compare adapters of one base model.",
        )


def _update(pair: Pair) -> _Update:
    a, b = (factor.astype(np.float64) for factor in pair.values())
    b *= pair.scale
    return _Update(a, b, math.sqrt(max(_inner(a, b, a, b), 0.0)))


def _inner(a1: Doubles, b1: Doubles, a2: Doubles, b2: Doubles) -> float:
    """Return the inner product of B1 A1 and B2 A2."""
    return float(np.sum((b1.T @ b2) * (a1 @ a2.T)))


def _compare(first: _Update, second: _Update) -> MatrixInterference:
    product = first.norm * second.norm
    inner = _inner(first.a, first.b, second.a, second.b)
    return MatrixInterference(
        inner / product if product else 0.0,
        (first.norm, second.norm),
        _principal_angles(_row_space(first), _row_space(second)),
    )


def _row_space(update: _Update) -> Doubles:
    """Return an orthonormal basis of the input directions that B A reads; shape (inputs, rank)."""
    q, r = np.linalg.qr(update.a.T)
    # Zeros that pad the rank would count as directions, so the rank is that of the product.
    _, singular, right = np.linalg.svd(np.linalg.qr(update.b, "r") @ r.T, full_matrices=False)
    rank = int(np.sum(singular > NEGLIGIBLE * singular[0])) if singular[0] > 0 else 0
    basis: Doubles = q @ right[:rank].T
    return basis


def _principal_angles(first: Doubles, second: Doubles) -> tuple[float, ...]:
    if not first.shape[1] or not second.shape[1]:
        return ()
    cosines = np.linalg.svd(first.T @ second, compute_uv=False)
    return tuple(float(angle) for angle in np.arccos(np.clip(cosines, -1, 1)))
