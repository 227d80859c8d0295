"""Best approximations of given rank, by the singular value decomposition (Eckart-Young).

The product of two thin factors is never formed: with B = Qb Rb and A' = Qa Ra, the singular values
of B A are those of the small matrix Rb Ra'. Both results share the singular values evenly between
the factors, so that their numbers are of one size and survive quantisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import AdapterError

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LowRank:
    """An approximation B A and what it keeps."""

    a: Floats
    b: Floats
    kept: float
    """Squared Frobenius norm of B A."""
    total: float
    """Squared Frobenius norm of the matrix that was approximated."""

    @property
    def share(self) -> float:
        """Part of the squared norm that is kept, 0 to 1."""
        return self.kept / self.total if self.total else 1.0


def truncate_product(a: Floats, b: Floats, rank: int) -> LowRank:
    """Return the best approximation of B A whose rank is at most *rank*.

    Args:
        a: shape (any rank, inputs).
        b: shape (outputs, any rank).
        rank: highest rank of the result.

    Raises:
        AdapterError: a factor holds NaN or infinity.
    """
    _check_finite(a, b)
    qa, ra = np.linalg.qr(a.astype(np.float64).T)
    qb, rb = np.linalg.qr(b.astype(np.float64))
    u, s, vt = np.linalg.svd(rb @ ra.T, full_matrices=False)
    root = np.sqrt(s[:rank])
    return LowRank(
        _floats((qa @ vt[:rank].T * root).T),
        _floats(qb @ u[:, :rank] * root),
        float(np.sum(s[:rank] ** 2)),
        float(np.sum(s**2)),
    )


def truncate_dense(delta: Floats, rank: int) -> LowRank:
    """Return the best approximation of the full matrix *delta* whose rank is at most *rank*.

    The singular vectors of the shorter side are the eigenvectors of its Gram matrix, which costs
    a fraction of a whole decomposition; in float64 the squaring does no harm to the leading ones.
    """
    if delta.shape[0] < delta.shape[1]:
        other = truncate_dense(np.ascontiguousarray(delta.T), rank)
        return LowRank(_floats(other.b.T), _floats(other.a.T), other.kept, other.total)
    matrix: NDArray[np.float64] = delta.astype(np.float64)
    gram = matrix.T @ matrix
    squares, vectors = np.linalg.eigh(gram)
    kept = np.maximum(squares[::-1][:rank], 0)
    basis = vectors[:, ::-1][:, :rank]
    root = kept**0.25
    inverse = np.divide(1, root, out=np.zeros_like(root), where=root > 0)
    return LowRank(
        _floats((basis * root).T),
        _floats(matrix @ basis * inverse),
        float(kept.sum()),
        float(np.trace(gram)),
    )


def _check_finite(*factors: Floats) -> None:
    if not all(np.isfinite(factor).all() for factor in factors):
        raise AdapterError(
            "The adapter cannot be approximated", "it holds NaN or infinity", "Get it again."
        )


def _floats(values: NDArray[Any]) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float32)
