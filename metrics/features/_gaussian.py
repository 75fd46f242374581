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
EPSILON = float(np.finfo(np.float64).eps)
# Squares of smaller ratio to the largest have lost half the digits of their roots in the fast eigensolver.
GRADED = 1e-10


class Transport(NamedTuple):
    """``roots``: the eigenvalues of (S_1 S_2)^(1/2) that are not 0, and ``trace``, their sum.

    ``there``: a' T a of each row of one side. ``back``: b' T^-1 b of the other.
    """

    roots: np.ndarray
    trace: float
    there: np.ndarray
    back: np.ndarray


def root_trace(first: np.ndarray, second: np.ndarray) -> float:
    """tr (S_1 S_2)^(1/2) of two covariances ``(D, D)`` of any rank."""
    pencil = _pencil(first, second)
    if pencil is not None:
        return _sum_of_roots(pencil)
    return _nuclear_norm(_factor(first).T @ _factor(second))


def root_trace_of_rows(a: np.ndarray, b: np.ndarray) -> float:
    """The same for S_1 = A'A and S_2 = B'B of rows ``(n, D)`` and ``(m, D)``."""
    held = _held(a, b)
    a, b = a[:, held], b[:, held]
    pencil = _pencil_of_rows(a, b)
    if pencil is not None:
        return _sum_of_roots(pencil)
    return _nuclear_norm(_triangle(a) @ _triangle(b).T)


def transport(a: np.ndarray, b: np.ndarray, covariances: Covariances | None = None) -> Transport:
    """Between S_1 = A'A and S_2 = B'B of rows ``(n, D)`` and ``(m, D)``. covariances: both, where they are known.

    Where a covariance is singular, T is the map between the directions that both sides have.
    """
    held = _held(a, b)
    a, b = a[:, held], b[:, held]
    if covariances is not None:
        covariances = covariances[0][held][:, held], covariances[1][held][:, held]
    pencil = _pencil_of_rows(a, b, covariances)
    return _by_rows(a, b) if pencil is None else _by_covariance(a, b, pencil)


def transport_to(a: np.ndarray, covariance: np.ndarray) -> Transport:
    """From S_1 = A'A of rows ``(n, D)`` to a covariance ``(D, D)`` of any rank, of which no rows are known."""
    return transport(a, _factor(covariance).T)


class _Pencil(NamedTuple):
    """``lower``: L with S_2 = L L'. ``symmetric``: L' S_1 L, of which only the lower triangle is filled."""

    lower: np.ndarray
    symmetric: np.ndarray


def _pencil(first: np.ndarray, second: np.ndarray) -> _Pencil | None:
    """None unless both covariances have full rank."""
    lower = _cholesky(second)
    if lower is None or _cholesky(first) is None:
        return None
    symmetric, _ = lapack.dsygst(first.T, lower, itype=2, lower=1)  # a quarter of the work of two products
    return _Pencil(lower, symmetric)


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


def _by_covariance(a: np.ndarray, b: np.ndarray, pencil: _Pencil) -> Transport:
    """With L' S_1 L = V s^2 V': a' T a = |s^(-1/2) V' L' a|^2 and b' T^-1 b = |s^(1/2) V' L^-1 b|^2."""
    squares, vectors = np.linalg.eigh(pencil.symmetric)
    trace = _sum_of_roots(pencil) if squares[0] < GRADED * squares[-1] else float(np.sqrt(squares).sum())
    roots = np.sqrt(squares.clip(EPSILON * squares[-1]))
    there = _single(pencil.lower) @ _single(vectors / np.sqrt(roots))
    back = solve_triangular(pencil.lower, vectors * np.sqrt(roots), lower=True, trans=1, check_finite=False)
    return Transport(roots, trace, _lengths(a, there), _lengths(b, back))


def _by_rows(a: np.ndarray, b: np.ndarray) -> Transport:
    """With A B' = U s V': a_i' T a_i = (U s U')_ii and b_j' T^-1 b_j = (V s V')_jj, so nothing is inverted.

    Rows beyond D are first turned to a triangle, A = Q R, which leaves the singular values as they are.
    """
    (q, r), (p, t) = (np.linalg.qr(x) if len(x) > x.shape[1] else (None, x) for x in (a, b))
    u, roots, vt = np.linalg.svd(r @ t.T, full_matrices=False)
    there = u**2 @ roots if q is None else _lengths(q, u * np.sqrt(roots))
    back = vt.T**2 @ roots if p is None else _lengths(p, vt.T * np.sqrt(roots))
    return Transport(roots, float(roots.sum()), there, back)


def _triangle(rows: np.ndarray) -> np.ndarray:
    """``(r, D)`` with r of at most D and the same R'R."""
    return np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > rows.shape[1] else rows


def _held(a: np.ndarray, b: np.ndarray) -> slice | np.ndarray:
    """The columns but those that are zero on one side: they add nothing, and make a covariance singular."""
    held = np.asarray(a.any(0) & b.any(0))
    return slice(None) if held.all() else held


def _sum_of_roots(pencil: _Pencil) -> float:
    """Without eigenvectors LAPACK takes the root-free QR iteration, which also keeps small eigenvalues."""
    return float(np.sqrt(np.linalg.eigvalsh(pencil.symmetric).clip(0)).sum())


def _nuclear_norm(product: np.ndarray) -> float:
    return float(np.linalg.svd(product, compute_uv=False).sum())


def _lengths(rows: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Squared length of each row of a product; in single precision, for only standard errors are made of them."""
    product = _single(rows) @ _single(onto)
    return np.asarray(np.einsum("ij,ij->i", product, product), np.float64)


def _single(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32)
