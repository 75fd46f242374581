"""Linear algebra between two Gaussians: tr (S_1 S_2)^(1/2) and the optimal transport from one to the other.

Nothing here takes the square root of a product of covariances, which is not symmetric and, where one is singular, has
the roots of rounding errors for eigenvalues. With any factors S = F F',

    tr (S_1 S_2)^(1/2) = |F_1' F_2|_*,

the sum of singular values. Where both covariances have full rank, F is Cholesky's L and the singular values are the
roots of the eigenvalues of the symmetric L' S_1 L: the fastest form. Elsewhere F keeps only the directions that exist
and the singular values are taken as they are, since squares would halve their digits.

The linear map that carries N(0, S_1) to N(0, S_2) is T = L (L' S_1 L)^(-1/2) L' with S_2 = L L' (Peyré & Cuturi 2019,
arXiv:1803.00567, Remark 2.31); its inverse carries it back.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = torch.finfo(torch.float64).eps


class Transport(NamedTuple):
    """``trace``: tr (S_1 S_2)^(1/2). ``there``: a' T a of each row of one side. ``back``: b' T^-1 b of the other."""

    trace: Tensor
    there: Tensor
    back: Tensor


def root_trace(first: Tensor, second: Tensor) -> Tensor:
    """tr (S_1 S_2)^(1/2) of two covariances ``(D, D)``, float64, of any rank."""
    pencil = _pencil(first, second)
    if pencil is not None:
        return _roots(torch.linalg.eigvalsh(pencil.symmetric)).sum()
    return _nuclear_norm(_factor(first).T @ _factor(second))


def root_trace_of_rows(a: Tensor, b: Tensor) -> Tensor:
    """The same for S_1 = A'A and S_2 = B'B of rows ``(n, D)`` and ``(m, D)``, float64."""
    a, b = _shared(a, b)
    pencil = _pencil_of_rows(a, b)
    if pencil is not None:
        return _roots(torch.linalg.eigvalsh(pencil.symmetric)).sum()
    return _nuclear_norm(_triangle(a) @ _triangle(b).T)


def transport(a: Tensor, b: Tensor) -> Transport:
    """Between S_1 = A'A and S_2 = B'B of rows ``(n, D)`` and ``(m, D)``, float64.

    Where a covariance is singular, T is the map between the directions that both sides have.
    """
    a, b = _shared(a, b)
    pencil = _pencil_of_rows(a, b)
    return _by_rows(a, b) if pencil is None else _by_covariance(a, b, pencil)


class _Pencil(NamedTuple):
    """``lower``: L with S_2 = L L'. ``symmetric``: L' S_1 L."""

    lower: Tensor
    symmetric: Tensor


def _pencil(first: Tensor, second: Tensor) -> _Pencil | None:
    """None unless both covariances have full rank."""
    lower = _cholesky(second)
    if lower is None or _cholesky(first) is None:
        return None
    return _Pencil(lower, lower.T @ first @ lower)


def _pencil_of_rows(a: Tensor, b: Tensor) -> _Pencil | None:
    return _pencil(a.T @ a, b.T @ b) if min(len(a), len(b)) > a.shape[1] else None


def _cholesky(covariance: Tensor) -> Tensor | None:
    """None where a pivot is no more than rounding: what a column adds to those before it, beside its own variance."""
    lower, failed = torch.linalg.cholesky_ex(covariance)
    noise = 10 * len(covariance) * EPSILON * covariance.diagonal()
    full = not failed and bool((lower.diagonal().square() > noise).all())
    return lower if full else None


def _factor(covariance: Tensor) -> Tensor:
    """F ``(D, rank)`` with F F' = S, by the eigenvectors of the correlations, so that scales do not hide a rank."""
    scale = covariance.diagonal().clamp_min(0).sqrt()
    unit = torch.where(scale > 0, scale, 1)
    values, vectors = torch.linalg.eigh(covariance / unit / unit[:, None])
    kept = values > len(values) * EPSILON * values[-1]
    factor: Tensor = unit[:, None] * vectors[:, kept] * values[kept].sqrt()
    return factor


def _by_covariance(a: Tensor, b: Tensor, pencil: _Pencil) -> Transport:
    """With L' S_1 L = V s^2 V': a' T a = |s^(-1/2) V' L' a|^2 and b' T^-1 b = |s^(1/2) V' L^-1 b|^2.

    The roots s are the lengths of the columns of A L V, which keep the digits that s^2 has lost.
    """
    vectors = torch.linalg.eigh(pencil.symmetric).eigenvectors
    moved = a @ (pencil.lower @ vectors)
    roots = moved.square().sum(0).sqrt()
    back = torch.linalg.solve_triangular(pencil.lower.T, vectors, upper=True) * roots.sqrt()
    # Single precision is enough for what only standard errors are made of.
    return Transport(roots.sum(), moved.square() @ _inverse(roots), _squares(b.float() @ back.float()).double())


def _by_rows(a: Tensor, b: Tensor) -> Transport:
    """With A B' = U s V': a_i' T a_i = (U s U')_ii and b_j' T^-1 b_j = (V s V')_jj, so nothing is inverted.

    Rows beyond D are first turned to a triangle, A = Q R, which leaves the singular values as they are.
    """
    (q, r), (p, t) = (torch.linalg.qr(x) if len(x) > x.shape[1] else (None, x) for x in (a, b))
    u, roots, v = torch.linalg.svd(r @ t.T, full_matrices=False)
    there, back = u * roots.sqrt(), v.T * roots.sqrt()
    return Transport(
        roots.sum(),
        _squares(there if q is None else q @ there),
        _squares(back if p is None else p @ back),
    )


def _nuclear_norm(product: Tensor) -> Tensor:
    singular: Tensor = torch.linalg.svdvals(product)
    return singular.sum()


def _triangle(rows: Tensor) -> Tensor:
    """``(r, D)`` with r of at most D and the same R'R."""
    return torch.linalg.qr(rows, mode="r").R if len(rows) > rows.shape[1] else rows


def _shared(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides without the columns that are zero on one: they add nothing, and make a covariance singular."""
    held = (a != 0).any(0) & (b != 0).any(0)
    return (a, b) if bool(held.all()) else (a[:, held], b[:, held])


def _roots(squares: Tensor) -> Tensor:
    return squares.clamp_min(0).sqrt()


def _inverse(roots: Tensor) -> Tensor:
    return torch.where(roots > 0, 1 / roots, 0)


def _squares(rows: Tensor) -> Tensor:
    return rows.square().sum(1)
