"""Nearest neighbours without a matrix of all distances: memory grows with n k, not with n m.

Distances are found twice. A coarse pass over tiles of float32 matrix products gives every pair a lower bound of its
squared distance and a certain width above it; only the few pairs that the bound leaves open are computed again, as
sums of squared differences in float64. So a copy is at distance 0 and a near-copy where it is, which the expansion
|x|^2 + |y|^2 - 2 x.y in float32 cannot tell, and what is returned equals float64 arithmetic on every pair.

The bound: for |fl(x.y) - x.y| <= g |x| |y| with g = (D + 2) u / (1 - D u) in any order of summation (Higham 2002,
Accuracy and Stability of Numerical Algorithms, section 3.1), and |x| |y| <= (|x|^2 + |y|^2) / 2, the width is a sum of
one term a row. The common mean is taken away first, which makes the norms small and the bound narrow.

Of neighbours at one distance (counts, quantised pixels, repeated rows) which come first is decided by their content,
so that no order of the rows changes a number.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from bench import GenbenchError, Space, alive
from metrics._arrays import TILE, Array, by_content, verified

SPARE = 4  # candidates kept beyond the k asked for, so that a second look is rarely needed
NEAREST = 50  # neighbours in the training data: as many as any measure of novelty reads
Rows = slice | Tensor


@dataclass(frozen=True)
class Nearest:
    """For each of n rows its k nearest others, ascending; at one distance by content.

    squared: ``(n, k)`` float64; indices: ``(n, k)`` int64.
    """

    squared: Tensor
    indices: Tensor

    @property
    def distances(self) -> Tensor:
        """``(n, k)`` float64, in feature units."""
        return self.squared.sqrt()


@dataclass(frozen=True)
class Ready:
    """One set of rows as the coarse pass reads it, in units of ``Pairs.scale``.

    coarse: ``(n, D)`` centred.  lower: |x|^2 less its share of the width.  width: ``(n,)`` float64, half of the width.
    """

    given: Tensor
    coarse: Tensor
    lower: Tensor
    width: Tensor

    def __len__(self) -> int:
        return len(self.given)


class Pairs:
    """Squared distances between the rows of two sets: lower bounds of whole tiles, exact values of chosen pairs."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        sides = (x,) if x is y else (x, y)
        total = sum((side[i].double().sum(0) for side in sides for i in slices(len(side))), x.new_zeros(()).double())
        self.centre = total / sum(len(side) for side in sides)  # (D,)
        ends = [torch.stack([side.amin(0), side.amax(0)]).double() for side in sides]
        self.largest = max(float(end.abs().max()) for end in ends)
        reach = max(float((end - self.centre).abs().max()) for end in ends)
        # A power of two, so that scaling by it and back changes no digit.
        self.scale = 2.0 ** math.ceil(math.log2(max(reach, 1e-300)))
        self.x = self._ready(x)
        self.y = self.x if y is x else self._ready(y)

    def within(self, side: Ready) -> Pairs:
        """Pairs of the rows of one of both sets, as they are read here."""
        found = copy.copy(self)
        found.x = found.y = side
        return found

    def products(self, i: Rows, j: Rows) -> Tensor:
        """``(a, b)`` of centred rows, in units of scale^2, as exact as the coarse pass is."""
        return self.x.coarse[i] @ self.y.coarse[j].T

    def lower(self, i: Rows, j: Rows) -> Tensor:
        """``(a, b)``: no squared distance in the tile, in units of scale^2, is below this."""
        return self.bound(self.products(i, j), i, j)

    def bound(self, products: Tensor, i: Rows, j: Rows) -> Tensor:
        """The same, of products that are there."""
        tile = torch.add(self.y.lower[j][None], products, alpha=-2)
        return tile.add_(self.x.lower[i][:, None])

    def width(self, i: Tensor, j: Tensor) -> Tensor:
        """Half of what a squared distance may be above its lower bound, in units of scale^2. ``(p,)`` float64."""
        return self.x.width[i] + self.y.width[j]

    def exact(self, i: Tensor, j: Tensor) -> Tensor:
        """Squared distances of pairs, ``(p,)`` float64, in squared feature units."""
        found = torch.empty(len(i), dtype=torch.float64, device=i.device)
        for part in slices(len(i), max(1, 2**20 // self.x.given.shape[1])):
            apart = self.x.given[i[part]].double().sub_(self.y.given[j[part]])
            found[part] = torch.linalg.vecdot(apart, apart)
        return found

    def exact_to(self, rows: Tensor, others: Tensor) -> Tensor:
        """Squared distances of each of ``(r,)`` rows to ``(r, k)`` others, ``(r, k)`` float64, in squared units."""
        found = torch.empty(others.shape, dtype=torch.float64, device=others.device)
        for part in slices(len(rows), max(1, 2**19 // (self.x.given.shape[1] * others.shape[1]))):
            apart = self.y.given[others[part]].double().sub_(self.x.given[rows[part], None])
            found[part] = torch.linalg.vecdot(apart, apart)
        return found

    def _ready(self, rows: Tensor) -> Ready:
        dtype = coarse_type(rows.device)
        coarse = torch.empty(rows.shape, dtype=dtype, device=rows.device)
        norms = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
        for part in slices(len(rows)):
            centred = (rows[part].double() - self.centre) / self.scale
            norms[part] = centred.square().sum(1)
            coarse[part] = centred
        unit = torch.finfo(dtype).eps / 2
        # Half width of the bound over |x|^2: summation, conversion of both factors, and putting the terms together.
        share = 1.1 * (rows.shape[1] + 16) * unit
        # What taking the mean away may cost, and what vanishes below float32's smallest number.
        lost = 32 * math.sqrt(rows.shape[1]) * torch.finfo(torch.float64).eps * self.largest / self.scale
        width = share * norms + (1e-30 + lost)
        return Ready(rows, coarse, (norms - width).to(dtype), width)


class Watcher(Protocol):
    """Who is shown the tiles of products as they pass, so that no second pass is made for what else rests on them."""

    def __call__(self, pairs: Pairs, products: Tensor, i: slice, j: slice) -> None: ...


def neighbours(x: Tensor, k: int) -> Nearest:
    """For each row of ``(n, D)``, n > k, its k nearest other rows. Each pair of tiles is computed once."""
    return neighbours_within(Pairs(x, x), k)


def neighbours_within(pairs: Pairs, k: int, watch: Watcher | None = None) -> Nearest:
    """The same of pairs of one set's rows."""
    n, device = len(pairs.x), pairs.x.given.device
    best = _Best(n, min(k + SPARE, n - 1), device)
    for i, j in tiles(n, n):
        if i.start > j.start:
            continue
        products = pairs.products(i, j)
        if watch:
            watch(pairs, products, i, j)
        tile = pairs.bound(products, i, j)
        if i == j:
            tile.fill_diagonal_(torch.inf)
        else:
            best.offer(j, tile.T, i.start)
        best.offer(i, tile, j.start)
    return _settle(pairs, best, k, itself=True)


def neighbours_among(x: Tensor, y: Tensor, k: int) -> Nearest:
    """For each row of ``(n, D)`` the k nearest rows of ``(m, D)``, m >= k."""
    pairs, best = Pairs(x, y), _Best(len(x), min(k + SPARE, len(y)), x.device)
    for i, j in tiles(len(x), len(y)):
        best.offer(i, pairs.lower(i, j), j.start)
    return _settle(pairs, best, k, itself=False)


def as_rows(features: Array, least: int) -> Tensor:
    """``(n, D)`` floating point, not copied to float64 where it is float32. Raises GenbenchError as ``verified``."""
    rows = verified(features, least)
    return rows if rows.dtype in (torch.float32, torch.float64) else rows.double()


def as_pair(fake: Array, real: Array, least: int) -> tuple[Tensor, Tensor]:
    """Two sets of one width and at least ``least`` rows each. Raises GenbenchError as ``checked_pair`` does."""
    x, y = as_rows(fake, least), as_rows(real, least)
    if x.shape[1] != y.shape[1]:
        raise GenbenchError(f"both sides need features of one width, got {x.shape[1]} and {y.shape[1]}")
    return x, y


def among_train(space: Space, side: Literal["samples", "reference"]) -> Nearest:
    """The training examples nearest to each example of a side: ``space.once(among_train, side)`` for all measures.

    As many as ``NEAREST``, or all of fewer. Raises Omitted where no training data was given.
    """
    train, rows = space.train, space.of(side).features
    k = min(NEAREST, len(train))
    return neighbours_among(*as_pair(rows, train, 2), k)


def within_train(space: Space) -> Nearest:
    """The training example nearest to each training example. Raises Omitted where no training data was given."""
    return neighbours(as_rows(space.train, 2), 1)


def slices(n: int, size: int = TILE) -> Iterator[slice]:
    for start in alive(range(0, n, size)):
        yield slice(start, min(n, start + size))


def tiles(n: int, m: int) -> Iterator[tuple[slice, slice]]:
    for i in slices(n):
        for j in slices(m):
            yield i, j


def coarse_type(device: torch.device) -> torch.dtype:
    """float32 where its products keep their 24 bits here; float64 where they are rounded to fewer (TF32, bfloat16)."""
    probe = torch.full((256, 256), 1 + 2.0**-12, device=device)
    kept = bool(((probe @ probe.T).double() - 256 * (1 + 2.0**-12) ** 2).abs().max() < 1e-2)
    return torch.float32 if kept else torch.float64


class _Best:
    """The smallest lower bounds seen so far of each row, and whose they are."""

    def __init__(self, n: int, size: int, device: torch.device) -> None:
        self.size = size
        self.bounds = torch.full((n, size), torch.inf, dtype=coarse_type(device), device=device)
        self.indices = torch.zeros((n, size), dtype=torch.int64, device=device)

    def offer(self, rows: slice, tile: Tensor, start: int) -> None:
        """Consider ``tile``, whose columns are the others from ``start`` on."""
        new, where = tile.topk(min(self.size, tile.shape[1]), dim=1, largest=False, sorted=False)
        bounds = torch.cat([self.bounds[rows], new], dim=1)
        indices = torch.cat([self.indices[rows], where + start], dim=1)
        self.bounds[rows], kept = bounds.topk(self.size, dim=1, largest=False)
        self.indices[rows] = indices.gather(1, kept)


def _settle(pairs: Pairs, best: _Best, k: int, itself: bool) -> Nearest:
    """Exact distances of the candidates, and a second look at rows where some other pair may yet be nearer."""
    rows = torch.arange(len(best.bounds), device=best.bounds.device)
    lower, place = best.bounds.double(), by_content(pairs.y.given).argsort()
    width = pairs.width(rows.repeat_interleave(best.size), best.indices.flatten()).view_as(lower)
    enough = (lower + 2 * width).kthvalue(k, dim=1).values
    found = Nearest(lower.new_empty(len(rows), k), best.indices[:, :k].clone())
    open_to = (lower <= enough[:, None]).sum(1)  # candidates; where they are k, only their order is left to find
    for some, size in ((open_to == k, k), (open_to > k, best.size)):
        candidates = best.indices[some, :size]
        candidates = candidates.gather(1, place[candidates].argsort(dim=1))
        squared, order = pairs.exact_to(rows[some], candidates).sort(dim=1, stable=True)
        found.squared[some], found.indices[some] = squared[:, :k], candidates.gather(1, order[:, :k])
    others = len(pairs.y) - itself
    unsure = (lower[:, -1] <= enough).nonzero().flatten() if best.size < others else rows.new_empty(0)
    for part in slices(len(unsure), 64):
        _look_again(pairs, found, unsure[part], enough[unsure[part]], itself, place)
    return found


def _look_again(pairs: Pairs, found: Nearest, rows: Tensor, enough: Tensor, itself: bool, place: Tensor) -> None:
    """Compute every pair whose lower bound is not above ``enough``: many at one distance, or very near each other.

    place: ``(m,)`` of each of the others in the order of contents.
    """
    dtype = pairs.x.coarse.dtype
    reach = torch.nextafter(enough.to(dtype), torch.full_like(enough, torch.inf, dtype=dtype))  # not below, if narrower
    parts = []
    for j in slices(len(pairs.y)):
        a, b = (pairs.lower(rows, j) <= reach[:, None]).nonzero(as_tuple=True)
        parts.append(torch.stack([a, b + j.start]))
    a, b = torch.cat(parts, dim=1)
    if itself:
        a, b = a[rows[a] != b], b[rows[a] != b]
    squared = pairs.exact(rows[a], b)
    k = found.squared.shape[1]
    order = place[b].argsort()
    order = order[squared[order].argsort(stable=True)]
    order = order[a[order].argsort(stable=True)]
    first = torch.searchsorted(a[order], torch.arange(len(rows), device=a.device))
    chosen = order[first[:, None] + torch.arange(k, device=a.device)]
    found.squared[rows], found.indices[rows] = squared[chosen], b[chosen]
