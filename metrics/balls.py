"""Which points lie in which balls, counted in one pass over two sets: what precision, recall, density and coverage need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import GenbenchError, Space
from metrics.features import Array
from metrics.neighbours import Nearest, Pairs, as_pair, neighbours, tiles

K = 5


@dataclass(frozen=True)
class Balls:
    """One ball around each row of a set. squared: ``(n,)`` squared radii; strict: the sphere itself is outside."""

    squared: Tensor
    strict: bool = True


@dataclass(frozen=True)
class Contained:
    """How the points of one set lie in the balls around another.

    points: ``(balls,)`` points inside each ball.       alone: ``(balls,)`` points inside this ball and no other.
    balls: ``(points,)`` balls around each point.       only: ``(points,)`` balls that hold this point and no other.
    """

    points: Tensor
    balls: Tensor
    alone: Tensor
    only: Tensor


@dataclass(frozen=True)
class Overlap:
    """Each set in the other's balls, whose radii are the distances to the k-th nearest other row of the ball's own set.

    real: fakes in real balls.  fake: reals in fake balls.  clipped: fakes in real balls that are no wider than the
    median one, the sphere inside.  neighbours: of the real rows among themselves.
    """

    real: Contained
    fake: Contained
    clipped: Contained
    neighbours: Nearest


def overlap(fake: Array, real: Array, k: int = K, strict: bool = True) -> Overlap:
    """Of ``(n, D)`` and ``(m, D)``. Raises GenbenchError for k < 1 and for fewer than k + 1 rows on a side."""
    if k < 1:
        raise GenbenchError(f"k must be at least 1, got {k}")
    x, y = as_pair(fake, real, k + 1)
    around_fake, around_real = neighbours(x, k), neighbours(y, k)
    radii = around_real.squared[:, -1]
    sets = [Balls(radii, strict), Balls(radii.clamp(max=squared_median(radii)), strict=False)]
    (whole, clipped), (mirrored,) = contained(y, x, sets, [Balls(around_fake.squared[:, -1], strict)])
    return Overlap(whole, mirrored, clipped, around_real)


def squared_median(squared: Tensor) -> Tensor:
    """Square of the median radius; of the mean of the middle two where their number is even."""
    low, high = squared.sort().values[[(len(squared) - 1) // 2, len(squared) // 2]]
    return low if low == high else ((low.sqrt() + high.sqrt()) / 2).square()


def shared_overlap(space: Space) -> Overlap:
    """Of samples and reference with the default k, once for all measures of a space."""
    return space.once(f"overlap/{K}", lambda: overlap(space.fake, space.real))


def contained(
    x: Tensor, y: Tensor, around_x: Sequence[Balls], around_y: Sequence[Balls]
) -> tuple[list[Contained], list[Contained]]:
    """Rows of y in each set of balls around x, and rows of x in each set of balls around y."""
    pairs = Pairs(x, y)
    reach = [_reach(pairs, balls, len(side)) for balls, side in ((around_x, x), (around_y, y))]
    in_x = [_Tally(len(x), len(y), x.device) for _ in around_x]
    in_y = [_Tally(len(y), len(x), x.device) for _ in around_y]
    for i, j in tiles(len(x), len(y)):
        tile = pairs.lower(i, j)
        a, b = (tile <= torch.maximum(reach[0][i][:, None], reach[1][j][None])).nonzero(as_tuple=True)
        lower, a, b = tile[a, b].double(), a + i.start, b + j.start
        squared = _resolved(pairs, lower, a, b, [*((s, a) for s in around_x), *((s, b) for s in around_y)])
        for tally, balls in zip(in_x, around_x, strict=True):
            tally.add(a, b, _inside(squared, balls, a))
        for tally, balls in zip(in_y, around_y, strict=True):
            tally.add(b, a, _inside(squared, balls, b))
    return [t.result() for t in in_x], [t.result() for t in in_y]


class _Tally:
    """Counts and sums of indices; a sum is the index itself where the count is one."""

    def __init__(self, balls: int, points: int, device: torch.device) -> None:
        self.points, self.point = (torch.zeros(balls, dtype=torch.int64, device=device) for _ in range(2))
        self.balls, self.ball = (torch.zeros(points, dtype=torch.int64, device=device) for _ in range(2))

    def add(self, ball: Tensor, point: Tensor, inside: Tensor) -> None:
        ball, point = ball[inside], point[inside]
        one = torch.ones_like(ball)
        self.points.index_add_(0, ball, one)
        self.balls.index_add_(0, point, one)
        self.point.index_add_(0, ball, point)
        self.ball.index_add_(0, point, ball)

    def result(self) -> Contained:
        alone = torch.bincount(self.ball[self.balls == 1], minlength=len(self.points))
        only = torch.bincount(self.point[self.points == 1], minlength=len(self.balls))
        return Contained(self.points, self.balls, alone, only)


def _resolved(
    pairs: Pairs, lower: Tensor, a: Tensor, b: Tensor, limits: Sequence[tuple[Balls, Tensor]]
) -> Tensor:
    """Squared distances in feature units: the middle of the bound where every radius is clear of it, exact elsewhere."""
    width, unit = pairs.width(a, b), pairs.scale**2
    squared = (lower + width) * unit
    near = torch.zeros_like(a, dtype=torch.bool)
    for balls, index in limits:
        near |= (squared - balls.squared[index]).abs() <= 1.001 * width * unit
    squared[near] = pairs.exact(a[near], b[near])
    return squared


def _inside(squared: Tensor, balls: Balls, index: Tensor) -> Tensor:
    limit = balls.squared[index]
    return squared < limit if balls.strict else squared <= limit


def _reach(pairs: Pairs, sets: Sequence[Balls], n: int) -> Tensor:
    """The widest squared radius around each row as a bound of the coarse pass; negative where there are no balls."""
    if not sets:
        return torch.full((n,), -torch.inf, dtype=pairs.x.coarse.dtype, device=pairs.x.coarse.device)
    widest = torch.stack([balls.squared for balls in sets]).amax(0) / pairs.scale**2
    return torch.nextafter(widest.to(pairs.x.coarse.dtype), torch.tensor(torch.inf, device=widest.device))
