"""Squared maximum mean discrepancy of two samples under any kernel (Gretton et al. 2012, JMLR 13, Eqs. 3 and 5).

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y)

One pass over tiles of the three kernel matrices finds the unbiased and the biased estimate and the standard error;
no matrix larger than a tile is ever held, and the two matrices that are symmetric are computed by half.

The variance is that of the whole Hoeffding decomposition (Bounliphone et al. 2016, arXiv:1511.04581; Sutherland &
Deka 2019, arXiv:1906.02104), so it holds where both sides differ and where they are alike and the first order is zero:

    Var = 4/n Var h(x) + 4/m Var g(y) + 2/(n(n-1)) s_xx + 2/(m(m-1)) s_yy + 4/(nm) s_xy

h(x) = E k(x, x') - E k(x, y), g likewise for the real side, s = variance of the kernel after its row and column
effects are taken away. Row means found from n rows carry noise of about s / n, which the second order counts already;
it is subtracted from Var h. Every term is then estimated without bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import GenbenchError, Interval, alive, score_interval
from metrics._arrays import Array, checked_pair
from metrics.features._neighbours import Pairs

Kernel = Callable[[Tensor, Tensor], Tensor]
LEAST = 4  # rows a side: three leave no degree of freedom for the variance
BLOCK = 512  # rows of a tile: 2 MiB of float64, which a core's cache can hold


@dataclass(frozen=True)
class Within:
    """Kernel values of all pairs of one side, none with itself.

    rows: ``(n,)`` sums over the other rows.  squares: sum of k^2 over i != j.  diagonal: sum of k(x_i, x_i).
    """

    rows: Tensor
    squares: float
    diagonal: float

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def mean(self) -> float:
        return self.rows.sum().item() / (self.n * (self.n - 1))

    @property
    def mean_with_diagonal(self) -> float:
        return (self.rows.sum().item() + self.diagonal) / self.n**2

    @property
    def effects(self) -> Tensor:
        """The a_i of k_ij = mean + a_i + a_j + e_ij by least squares, ``(n,)``; they sum to zero."""
        return (self.rows - self.rows.mean()) / (self.n - 2)

    @property
    def residual(self) -> float:
        """Variance of e_ij: its sum of squares over n(n - 1) ordered pairs less 2n for the mean and the effects."""
        explained = self.n * (self.n - 1) * self.mean**2 + 2 * (self.n - 2) * _squares(self.effects)
        return max(0.0, (self.squares - explained) / (self.n * (self.n - 3)))


@dataclass(frozen=True)
class Across:
    """Kernel values of all pairs of both sides. rows: ``(n,)`` and columns: ``(m,)`` sums.  squares: sum of k^2."""

    rows: Tensor
    columns: Tensor
    squares: float

    @property
    def mean(self) -> float:
        return self.rows.sum().item() / (len(self.rows) * len(self.columns))

    @property
    def row_effects(self) -> Tensor:
        return self.rows / len(self.columns) - self.mean

    @property
    def column_effects(self) -> Tensor:
        return self.columns / len(self.rows) - self.mean

    @property
    def residual(self) -> float:
        """Variance of what is left of k_ij after mean, row and column effects."""
        n, m = len(self.rows), len(self.columns)
        explained = n * m * self.mean**2 + m * _squares(self.row_effects) + n * _squares(self.column_effects)
        return max(0.0, (self.squares - explained) / ((n - 1) * (m - 1)))


@dataclass(frozen=True)
class Discrepancy:
    """What one pass over the kernel of two samples found."""

    fake: Within
    real: Within
    cross: Across

    @property
    def unbiased(self) -> float:
        """U-statistic: no row paired with itself. May be slightly negative where both sides are alike."""
        return self.fake.mean + self.real.mean - 2 * self.cross.mean

    @property
    def biased(self) -> float:
        """V-statistic: with the diagonals. Never negative, and too large by an amount that falls as 1/n."""
        return max(0.0, self.fake.mean_with_diagonal + self.real.mean_with_diagonal - 2 * self.cross.mean)

    @property
    def error(self) -> float:
        """Standard error of the unbiased estimate."""
        return math.sqrt(max(0.0, self._first_order - self._noise) + self.second_order)

    @property
    def second_order(self) -> float:
        """Variance of the unbiased estimate where both sides are alike."""
        own = sum(2 / (side.n * (side.n - 1)) * side.residual for side in (self.fake, self.real))
        return own + 4 / (self.fake.n * self.real.n) * self.cross.residual

    @property
    def slope(self) -> float:
        """First-order variance for each unit of MMD^2. Noise inflates both in step, so the ratio is stable at zero."""
        return self._first_order / self.biased if self.biased > 0 else 0.0

    def interval(self, value: float | None = None, draws: float = 0.0) -> Interval:
        """Of MMD^2, by the unbiased estimate or another ``value``, to which random choices add the variance ``draws``.

        It begins at 0 or above, as MMD^2 does, but for a value below 0, with which it begins.
        """
        value, method = (
            self.unbiased if value is None else value,
            "score, Hoeffding variance, of a distance of 0 or more",
        )
        return score_interval(value, self.slope, self.second_order + draws, method)

    @property
    def _first_order(self) -> float:
        """4/n Var h + 4/m Var g from the spread of the row means, their noise included."""
        h = _squares(self.fake.effects - self.cross.row_effects) / (self.fake.n - 1)
        g = _squares(self.real.effects - self.cross.column_effects) / (self.real.n - 1)
        return 4 / self.fake.n * h + 4 / self.real.n * g

    @property
    def _noise(self) -> float:
        """What the residuals add to ``_first_order``."""
        n, m, across = self.fake.n, self.real.n, self.cross.residual
        h = self.fake.residual / (n - 2) + across / m
        g = self.real.residual / (m - 2) + across / n
        return 4 / n * h + 4 / m * g


def discrepancy(fake: Array, real: Array, kernel: Kernel, block: int = BLOCK) -> Discrepancy:
    """Of ``(n, D)`` and ``(m, D)``, at least four rows each.

    kernel: takes ``(a, D)`` and ``(b, D)`` in float64 and returns a new ``(a, b)``.      block: rows of a tile.
    Raises GenbenchError as ``checked_pair`` does, and where kernel values leave float64.
    """
    x, y = checked_pair(fake, real, LEAST)
    return _finite(Discrepancy(_within(x, kernel, block), _within(y, kernel, block), _across(x, y, kernel, block)))


def _finite(found: Discrepancy) -> Discrepancy:
    """Raises GenbenchError for what has left the range of numbers."""
    if not all(math.isfinite(part.squares) for part in (found.fake, found.real, found.cross)):
        raise GenbenchError("kernel values are too large for float64: scale the features down")
    return found


def subset_means(fake: Tensor, real: Tensor, picks: tuple[Tensor, Tensor], kernel: Kernel) -> Tensor:
    """Unbiased MMD^2 of many subsets in one pass over all pairs, ``(S,)``.

    picks: for each side which rows a subset holds, 0 or 1, ``(n, S)`` and ``(m, S)`` float64. A subset's sum over its
    pairs is w' K w, so S subsets cost one kernel matrix and not S of them.
    """
    a, b = picks
    n, m = a.sum(0), b.sum(0)
    own = _quadratic(fake, a, kernel) / (n * (n - 1)) + _quadratic(real, b, kernel) / (m * (m - 1))
    cross = sum(((kernel(fake[i], real[j]) @ b[j]) * a[i]).sum(0) for i, j in _tiles(len(fake), len(real), BLOCK))
    return own - 2 * cross / (n * m)


def cubic(x: Tensor, y: Tensor) -> Tensor:
    """(x.y / D + 1)^3 (Binkowski et al. 2018, arXiv:1801.01401, section 4)."""
    return torch.addmm(x.new_ones(1, 1), x, y.T, alpha=1 / x.shape[1]).pow_(3)


def gaussian(sigma: float) -> Kernel:
    """exp(-|x - y|^2 / (2 sigma^2)) - 1. The constant cancels in MMD^2, and a wide kernel keeps its digits without."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        squared = torch.addmm(x.square().sum(1, keepdim=True), x, y.T, alpha=-2).add_(y.square().sum(1))
        return squared.clamp_(min=0).div_(-2 * sigma**2).expm1_()

    return kernel


class CubicSums:
    """The cubic kernel of both sides, summed over tiles of products that another pass computes and shows.

    fake, real, cross: who is to be shown those within either side, and those of real rows with samples. The products
    are of centred rows and as exact as float32 keeps them, so that a value is right to about 1e-7 of itself; their sums
    are float64.
    """

    def __init__(self, fake: Tensor, real: Tensor) -> None:
        self._within = _WithinSums(fake), _WithinSums(real)
        self._across = _AcrossSums(real, fake)
        self.fake, self.real = map(_Cubed, self._within)
        self.cross = _Cubed(self._across)

    def result(self) -> Discrepancy:
        """Once all tiles have passed. Raises GenbenchError where kernel values leave float64."""
        fake, real = (sums.result() for sums in self._within)
        turned = self._across.result()
        return _finite(Discrepancy(fake, real, Across(turned.columns, turned.rows, turned.squares)))


class _Cubed:
    """(x.y / D + 1)^3 of rows about the mean c: x.y = (x - c).(y - c) + x.c + y.c - c.c."""

    def __init__(self, sums: _WithinSums | _AcrossSums) -> None:
        self.sums, self.terms = sums, dict[int, Tensor]()

    def __call__(self, pairs: Pairs, products: Tensor, i: slice, j: slice) -> None:
        width, centre = len(pairs.centre), pairs.centre
        along = [self._along(side.given, centre) for side in (pairs.x, pairs.y)]
        tile = products.to(torch.float64, copy=True).mul_(pairs.scale**2 / width)  # others read them, too
        tile.add_((along[0][i, None] - centre @ centre) / width).add_(along[1][j] / width + 1)
        self.sums.add(tile.pow_(3), i, j)

    def _along(self, rows: Tensor, centre: Tensor) -> Tensor:
        """x.c of each row, once, ``(n,)`` float64."""
        if id(rows) not in self.terms:
            self.terms[id(rows)] = torch.cat([part.double() @ centre for part in rows.split(BLOCK)])
        return self.terms[id(rows)]


class _WithinSums:
    """Sums of tiles on and above the diagonal of a symmetric matrix of kernel values of ``x``'s rows."""

    def __init__(self, x: Tensor) -> None:
        self.rows, self.squares, self.diagonal = torch.zeros(len(x), dtype=torch.float64, device=x.device), 0.0, 0.0

    def add(self, tile: Tensor, i: slice, j: slice) -> None:
        """The diagonal of one that holds it becomes 0."""
        if i == j:
            self.diagonal += tile.diagonal().sum().item()
            tile.fill_diagonal_(0)
        else:
            self.rows[j] += tile.sum(0)
        self.rows[i] += tile.sum(1)
        self.squares += _squares(tile) * (1 if i == j else 2)

    def result(self) -> Within:
        return Within(self.rows, self.squares, self.diagonal)


class _AcrossSums:
    """Sums of tiles of kernel values of the rows of both."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.rows, self.columns = (torch.zeros(len(side), dtype=torch.float64, device=side.device) for side in (x, y))
        self.squares = 0.0

    def add(self, tile: Tensor, i: slice, j: slice) -> None:
        self.rows[i] += tile.sum(1)
        self.columns[j] += tile.sum(0)
        self.squares += _squares(tile)

    def result(self) -> Across:
        return Across(self.rows, self.columns, self.squares)


def _within(x: Tensor, kernel: Kernel, block: int) -> Within:
    sums = _WithinSums(x)
    for i, j in _upper(len(x), block):
        sums.add(kernel(x[i], x[j]), i, j)
    return sums.result()


def _across(x: Tensor, y: Tensor, kernel: Kernel, block: int) -> Across:
    sums = _AcrossSums(x, y)
    for i, j in _tiles(len(x), len(y), block):
        sums.add(kernel(x[i], y[j]), i, j)
    return sums.result()


def _quadratic(x: Tensor, picks: Tensor, kernel: Kernel) -> Tensor:
    """w' K w without the diagonal, for each column w of ``picks``."""
    total = x.new_zeros(picks.shape[1])
    for i, j in _upper(len(x), BLOCK):
        tile = kernel(x[i], x[j])
        if i == j:
            tile.fill_diagonal_(0)
        total += ((tile @ picks[j]) * picks[i]).sum(0) * (1 if i == j else 2)
    return total


def _tiles(n: int, m: int, block: int) -> Iterator[tuple[slice, slice]]:
    for i in range(0, n, block):
        for j in alive(range(0, m, block)):
            yield slice(i, min(n, i + block)), slice(j, min(m, j + block))


def _upper(n: int, block: int) -> Iterator[tuple[slice, slice]]:
    """Tiles on and above the diagonal of a symmetric matrix."""
    return ((i, j) for i, j in _tiles(n, n, block) if i.start <= j.start)


def _squares(x: Tensor) -> float:
    return torch.dot(x.flatten(), x.flatten()).item()
