"""Linear algebra between two Gaussians: tr (S_1 S_2)^(1/2) and the optimal transport from one to the other.

Nothing here takes the square root of a product of covariances, which is not symmetric and, where one is singular, has
rounding errors for eigenvalues. With any factors S = F F',

    tr (S_1 S_2)^(1/2) = |F_1' F_2|_*,

the sum of singular values. Where both covariances have full rank, F is Cholesky's L and the singular values are the
roots of the eigenvalues of the symmetric L' S_1 L: the fastest form. Elsewhere F keeps only the directions that exist
and the singular values are taken as they are, since squares would halve their digits.

The linear map that carries N(0, S_1) to N(0, S_2) is T = L (L' S_1 L)^(-1/2) L' with S_2 = L L' (Peyré & Cuturi 2019,
arXiv:1803.00567, Remark 2.31); its inverse carries it back.

All arrays are float64. LAPACK is called by numpy and scipy: on a CPU that is what decides the time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack, solve_triangular

Covariances = tuple[np.ndarray, np.ndarray]
Rows = slice | np.ndarray
ALL = slice(None), slice(None)
EPSILON = float(np.finfo(np.float64).eps)
# Squares of smaller ratio to the largest have lost half the digits of their roots in the fast eigensolver.
GRADED = 1e-10


class Transport(NamedTuple):
    """``roots``: the eigenvalues of (S_1 S_2)^(1/2) that are not 0, and ``trace``, their sum.

    ``there``: a' T a of each row asked for of one side. ``back``: b' T^-1 b of the other.
    """

    roots: np.ndarray
    trace: float
    there: np.ndarray
    back: np.ndarray


def root_trace(first: np.ndarray, second: np.ndarray) -> float:
    """tr (S_1 S_2)^(1/2) of two covariances ``(D, D)`` of any rank."""
    found = _sum_of_roots(_pencil(first, second))
    return _nuclear_norm(_factor(first).T @ _factor(second)) if found is None else found


def root_trace_of_rows(a: np.ndarray, b: np.ndarray) -> float:
    """The same for S_1 = A'A and S_2 = B'B of rows ``(n, D)`` and ``(m, D)``."""
    held = _held(a, b)
    a, b = a[:, held], b[:, held]
    found = _sum_of_roots(_pencil_of_rows(a, b))
    return _nuclear_norm(_triangle(a) @ _triangle(b).T) if found is None else found


def transport(
    a: np.ndarray, b: np.ndarray, covariances: Covariances | None = None, of: tuple[Rows, Rows] = ALL
) -> Transport:
    """Between S_1 = A'A and S_2 = B'B of rows ``(n, D)`` and ``(m, D)``.

    covariances: both, where they are known.  of: the rows of either side that are asked for.
    Where a covariance is singular, T is the map between the directions that both sides have.
    """
    held = _held(a, b)
    a, b = a[:, held], b[:, held]
    if covariances is not None:
        covariances = covariances[0][held][:, held], covariances[1][held][:, held]
    pencil = _pencil_of_rows(a, b, covariances)
    return _by_covariance(a[of[0]], b[of[1]], pencil) or _by_rows(a, b, of)


def transport_to(a: np.ndarray, covariance: np.ndarray, of: Rows) -> Transport:
    """From S_1 = A'A of rows ``(n, D)`` to a covariance ``(D, D)`` of any rank, of which no rows are known."""
    return transport(a, _factor(covariance).T, of=(of, slice(None)))


class _Pencil(NamedTuple):
    """``first``: S_1. ``lower``: L with S_2 = L L'. ``symmetric``: L' S_1 L, its lower triangle alone."""

    first: np.ndarray
    lower: np.ndarray
    symmetric: np.ndarray

    def full(self, squares: np.ndarray) -> bool:
        """Whether S_1 has full rank, too. squares: the eigenvalues of ``symmetric``, which mostly tell."""
        noise = 10 * EPSILON * self.first.trace() * np.vdot(self.lower, self.lower)
        return bool(squares[0] > noise) or _cholesky(self.first) is not None


def _pencil(first: np.ndarray, second: np.ndarray) -> _Pencil | None:
    """None unless S_2 has full rank."""
    lower = _cholesky(second)
    if lower is None:
        return None
    symmetric, _ = lapack.dsygst(first.T, lower, itype=2, lower=1)  # a quarter of the work of two products
    return _Pencil(first, lower, symmetric)


def _pencil_of_rows(a: np.ndarray, b: np.ndarray, covariances: Covariances | None = None) -> _Pencil | None:
    if not min(len(a), len(b)) > a.shape[1] > 0:
        return None
    return _pencil(*(covariances or (a.T @ a, b.T @ b)))


def _cholesky(covariance: np.ndarray) -> np.ndarray | None:
    """None where a pivot is no more than rounding: what a column adds to those before it, beside its own variance."""
    lower, failed = lapack.dpotrf(covariance.T, lower=1)  # transposed, rows are LAPACK's columns and need no turning
    noise = 10 * len(covariance) * EPSILON * covariance.diagonal()
    full = not failed and bool((lower.diagonal() ** 2 > noise).all())
    return lower if full else None


def _factor(covariance: np.ndarray) -> np.ndarray:
    """F ``(D, rank)`` with F F' = S, by the eigenvectors of the correlations, so that scales do not hide a rank."""
    scale = np.sqrt(covariance.diagonal().clip(0))
    scale[scale == 0] = 1
    values, vectors = np.linalg.eigh(covariance / scale / scale[:, None])
    kept = values > len(values) * EPSILON * values[-1]
    factor: np.ndarray = scale[:, None] * vectors[:, kept] * np.sqrt(values[kept])
    return factor


def _by_covariance(a: np.ndarray, b: np.ndarray, pencil: _Pencil | None) -> Transport | None:
    """With L' S_1 L = V s^2 V': a' T a = |s^(-1/2) V' L' a|^2 and b' T^-1 b = |s^(1/2) V' L^-1 b|^2.

    None unless both covariances have full rank.
    """
    if pencil is None:
        return None
    squares, vectors = np.linalg.eigh(pencil.symmetric)
    if not pencil.full(squares):
        return None
    graded = squares[0] < GRADED * squares[-1]
    exact = np.linalg.eigvalsh(pencil.symmetric) if graded else squares
    trace = float(np.sqrt(exact.clip(0)).sum())
    roots = np.sqrt(squares.clip(EPSILON * squares[-1]))
    there = _single(pencil.lower) @ _single(vectors / np.sqrt(roots))
    vectors *= np.sqrt(roots)
    back = solve_triangular(pencil.lower, vectors, lower=True, trans=1, check_finite=False)
    return Transport(roots, trace, _lengths(a, there), _lengths(b, back))


def _by_rows(a: np.ndarray, b: np.ndarray, of: tuple[Rows, Rows]) -> Transport:
    """With A B' = U s V': a_i' T a_i = (U s U')_ii and b_j' T^-1 b_j = (V s V')_jj, so nothing is inverted.

    Rows beyond D are first turned to a triangle, A = Q R, which leaves the singular values as they are.
    """
    (q, r), (p, t) = (np.linalg.qr(x) if len(x) > x.shape[1] else (None, x) for x in (a, b))
    u, roots, vt = np.linalg.svd(r @ t.T, full_matrices=False)
    there = u[of[0]] ** 2 @ roots if q is None else _lengths(q[of[0]], u * np.sqrt(roots))
    back = vt.T[of[1]] ** 2 @ roots if p is None else _lengths(p[of[1]], vt.T * np.sqrt(roots))
    return Transport(roots, float(roots.sum()), there, back)


def _triangle(rows: np.ndarray) -> np.ndarray:
    """``(r, D)`` with r of at most D and the same R'R."""
    return np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > rows.shape[1] else rows


def _held(a: np.ndarray, b: np.ndarray) -> slice | np.ndarray:
    """The columns but those that are zero on one side: they add nothing, and make a covariance singular."""
    held = np.asarray(a.any(0) & b.any(0))
    return slice(None) if held.all() else held


def _sum_of_roots(pencil: _Pencil | None) -> float | None:
    """None unless both covariances have full rank.

    Without eigenvectors LAPACK takes the root-free QR iteration, which also keeps small eigenvalues.
    """
    if pencil is None:
        return None
    squares = np.linalg.eigvalsh(pencil.symmetric)
    return float(np.sqrt(squares.clip(0)).sum()) if pencil.full(squares) else None


def _nuclear_norm(product: np.ndarray) -> float:
    return float(np.linalg.svd(product, compute_uv=False).sum())


def _lengths(rows: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Squared length of each row of a product; in single precision, for only standard errors are made of them."""
    product = _single(rows) @ _single(onto)
    return np.asarray(np.einsum("ij,ij->i", product, product), np.float64)


def _single(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32)
