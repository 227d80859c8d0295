"""Measures how much two LoRA adapters get in each other's way, from their weights alone.

Every figure follows from products of the thin factors, small square matrices, so that no full
matrix is formed: O(r^2 n) for a matrix. The inner product of two updates is a trace,
<B1 A1, B2 A2> = tr((B1' B2)' (A1 A2')). The angles between the row spaces say whether both read
the same directions of the input (principal angles: Bjorck and Golub, 1973).

Weights see only part of the matter: two adapters that never touch the same direction can still
contradict each other in what they make the model say. A high figure is a reason to try the pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
NEGLIGIBLE = 1e-8
"""Directions below this share of the strongest's energy are padding or noise, not the adapter."""


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
    """One adapter's update B A of one matrix; B includes the scale."""

    a: Doubles
    b: Doubles
    norm: float
    rows: Doubles
    """Combines the rows of A to an orthonormal basis of the row space; shape (rank, dimensions)."""


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
    shapes = [
        {target: pair.shape for target, pair in lora.pairs.items()} for lora in (first, second)
    ]
    differing = [t for t in shapes[0].keys() & shapes[1].keys() if shapes[0][t] != shapes[1][t]]
    if first.architecture != second.architecture or differing:
        raise AdapterError(
            f"{first.path} and {second.path} cannot be compared",
            "they are for different base models",
            "Compare adapters of one base model.",
        )


def _update(pair: Pair) -> _Update:
    a, b = (factor.astype(np.float64) for factor in pair.values())
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise AdapterError(
            "The adapters cannot be compared", "one holds NaN or infinity", "Get it again."
        )
    b *= pair.scale
    inputs, outputs = a @ a.T, b.T @ b
    norm = math.sqrt(max(float(np.sum(inputs * outputs)), 0.0))
    return _Update(a, b, norm, _row_space(inputs, outputs))


def _row_space(inputs: Doubles, outputs: Doubles) -> Doubles:
    """Find the row space of B A from A A' and B' B, padding and untrained directions left out."""
    squares, vectors = _leading(inputs)
    root = np.sqrt(squares)
    _, within = _leading((vectors * root).T @ outputs @ (vectors * root))
    rows: Doubles = (vectors / root) @ within
    return rows


def _leading(gram: Doubles) -> tuple[Doubles, Doubles]:
    """Return the eigenvalues of a Gram matrix that are not negligible, and their vectors."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > max(NEGLIGIBLE * values.max(initial=0.0), 0.0)
    return values[kept], vectors[:, kept]


def _compare(first: _Update, second: _Update) -> MatrixInterference:
    inputs, outputs = first.a @ second.a.T, first.b.T @ second.b
    product = first.norm * second.norm
    cosines = first.rows.T @ inputs @ second.rows
    return MatrixInterference(
        _trace(outputs, inputs) / product if product else 0.0,
        (first.norm, second.norm),
        tuple(map(float, np.arccos(np.clip(_singular_values(cosines), -1, 1)))),
    )


def _trace(outputs: Doubles, inputs: Doubles) -> float:
    """Return tr(outputs' inputs)."""
    return float(np.sum(outputs * inputs))


def _singular_values(matrix: Doubles) -> NDArray[Any]:
    return np.linalg.svd(matrix, compute_uv=False) if matrix.size else np.empty(0)
