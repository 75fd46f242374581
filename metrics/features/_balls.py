"""Which points lie in which balls, counted in one pass: what precision, recall, density and coverage need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bench import GenbenchError, Interval, Omitted, Space, effective_trials, wilson_interval
from metrics._arrays import Array
from metrics.features._mmd import CubicSums
from metrics.features._neighbours import Nearest, Pairs, Watcher, as_pair, neighbours_within, tiles

K = 5
FEW = 4  # over the number of balls that a variance rests on: by how much it is raised
DECISIVE = 10  # balls: of fewer, what the next draw of the data may hold is not known
NARROW = f"fewer than {DECISIVE} balls hold most, too narrow on heavy tails"


@dataclass(frozen=True)
class Balls:
    """One ball around each row of a set. squared: ``(n,)`` squared radii; strict: the sphere itself is outside."""

    squared: Tensor
    strict: bool = True


@dataclass(frozen=True)
class Contained:
    """How the points of one set lie in the balls around another.

    points: ``(balls,)`` points inside each ball.       balls: ``(points,)`` balls around each point.
    alone: ``(balls,)`` points inside this ball and no other.
    members: ``(balls, listed)`` the first points inside each ball, -1 where there are fewer.
    """

    points: Tensor
    balls: Tensor
    alone: Tensor
    members: Tensor

    @property
    def decisive(self) -> float:
        """How many balls hold what is held, were all alike: (sum of points)^2 / sum of points^2; 0 where none does."""
        points = self.points.double()
        return (points.sum().square() / points.square().sum().clamp(min=1)).item()

    def scarce(self, limit: int) -> Tensor:
        """``(points,)`` float64: balls that hold this point among at most ``limit`` points (of those listed)."""
        few = self.members[self.points <= limit]
        return torch.bincount(few[few >= 0], minlength=len(self.balls)).double()


@dataclass(frozen=True)
class Overlap:
    """Each set in the other's balls, whose radii are the distances to the k-th nearest other row of the ball's own set.

    real: fakes in real balls.      fake: reals in fake balls.      reals, fakes: neighbours within each set.
    wide: fakes in real balls that reach to the 2k-th neighbour (to the last, of fewer).
    clipped: fakes in real balls no wider than the median one, the sphere inside.
    around: ``(m,)`` such balls of other reals around each real.    held: ``(m,)`` other reals in each of these balls.
    """

    k: int
    strict: bool
    real: Contained
    fake: Contained
    wide: Contained
    clipped: Contained
    around: Tensor
    held: Tensor
    reals: Nearest
    fakes: Nearest

    @property
    def protocol(self) -> dict[str, int | bool]:
        return {"k": self.k, "strict": self.strict}

    def empty(self, of: Literal["real", "fake"]) -> float:
        """Share of the balls of a set that have radius 0: those around rows with k or more copies."""
        near = self.reals if of == "real" else self.fakes
        return (near.squared[:, self.k - 1] == 0).double().mean().item()

    def checked_method(self, method: str, of: Literal["real", "fake"], strict: bool) -> str:
        """The method, and what share of the balls has radius 0, where any has.

        Raises Omitted where half of the balls or more are such and hold nothing, or all hold nothing but copies.
        """
        empty = self.empty(of)
        if empty == 1 or (strict and empty >= 0.5):
            raise Omitted(
                f"{empty:.0%} of the {of} rows have {self.k} copies or more, so their balls have radius 0 and hold "
                f"nothing{'' if strict else ' but copies'}: leave repeated rows out"
            )
        return f"{method}; {100 * empty:.3g} % of the {of} balls have radius 0" if empty else method


def overlap(
    fake: Array, real: Array, k: int = K, strict: bool = True, watch: tuple[Watcher, Watcher, Watcher] | None = None
) -> Overlap:
    """Of ``(n, D)`` and ``(m, D)``. Raises GenbenchError for k < 1, TooFew for fewer than k + 1 rows on a side.

    watch: of the products within the samples, within the real rows, and of real rows with samples.
    """
    if k < 1:
        raise GenbenchError(f"k must be at least 1, got {k}")
    x, y = as_pair(fake, real, k + 1)
    of_fakes, of_reals, across = watch or (None, None, None)
    pairs = Pairs(y, x)
    fakes = neighbours_within(pairs.within(pairs.y), k, of_fakes)
    reals = neighbours_within(pairs.within(pairs.x), min(2 * k, len(y) - 1), of_reals)
    radii = reals.squared[:, k - 1]
    clipped = Balls(radii.clamp(max=squared_median(radii)), strict=False)
    sets = [Balls(radii, strict), Balls(reals.squared[:, -1], strict), clipped]
    (whole, wide, narrow), (mirrored,) = contained_in(pairs, sets, [Balls(fakes.squared[:, -1], strict)], k, across)
    return Overlap(k, strict, whole, mirrored, wide, narrow, *_within(y, reals, clipped.squared), reals, fakes)


def _within(x: Tensor, near: Nearest, squared: Tensor) -> tuple[Tensor, Tensor]:
    """``(n,)`` balls of these squared radii, the sphere inside, around each row, and rows in each ball; not its own.

    The neighbours known tell it, but for balls that hold them all: where distances are shared there may be more.
    """
    inside = near.squared <= squared[:, None]
    whole = inside[:, -1] if near.squared.shape[1] < len(x) - 1 else torch.zeros_like(inside[:, 0])
    held = inside.sum(1)
    around = near.indices[~whole][inside[~whole]].bincount(minlength=len(x))
    if whole.any():
        (more,), _ = contained(x[whole], x, [Balls(squared[whole], strict=False)], [])
        held[whole] = more.points - 1
        around += more.balls - whole.long()
    return around, held


def of_few(method: str, held: Contained) -> str:
    """The method, and what it does not know where a few balls decide.

    On heavy tails the balls around the outermost rows hold many rows or none, and decide a mean as a maximum does: a
    draw without such a row does not show what the next would bring, and no variance learned from one draw does.
    """
    return f"{method}; {NARROW}" if held.decisive < DECISIVE else method


def raised(squares: Tensor) -> float:
    """By how much a variance that is the sum of ``squares``, one a ball, is raised for the few that it rests on.

    By 1 + 4 / b with b = (sum d^2)^2 / sum d^4: known from so few, it is too small more often than not. (Student's t
    would raise it by half of that, were balls as alike as normal numbers.)
    """
    return 1 + FEW * (squares / squares.sum().clamp(min=1e-300)).square().sum().item()


def named_by(near: Nearest, k: int) -> Tensor:
    """``(n,)`` float64: of how many rows each row is one of the k nearest. Their balls widen when it is gone."""
    return torch.bincount(near.indices[:, :k].flatten(), minlength=len(near.indices)).double()


def wilson(share: float, variance: float, n: int, method: str) -> Interval:
    """Interval of a share of ``n`` outcomes that are not independent: n is divided by the design effect.

    That is how much ``variance``, the share's own, exceeds share (1 - share) / n (Kish 1965); never less than 1. Near
    an end the excess is raised (``bench.effective_trials``), up to twice that of one ball that decides all. One ball
    can hold many rows and still hold none of those drawn, so n is also taken as if one more outcome went with those on
    the rare side.
    """
    trials = effective_trials(share, variance, share * (1 - share) / n, most=2.0) if 0 < share < 1 else n
    rare = max(1.0, trials * min(share, 1 - share))
    return wilson_interval(share, trials * rare / (rare + 1), method)


def squared_median(squared: Tensor) -> Tensor:
    """Square of the median radius; of the mean of the middle two where their number is even."""
    ordered = squared.sort().values
    low, high = ordered[(len(squared) - 1) // 2], ordered[len(squared) // 2]
    return torch.where(low == high, low, ((low.sqrt() + high.sqrt()) / 2).square())


def one_pass(space: Space) -> tuple[Overlap, CubicSums]:
    """Of samples and reference: ``space.once(one_pass)`` for all measures that rest on all of their pairs."""
    return all_pairs(space.fake, space.real)


def all_pairs(fake: Array, real: Array) -> tuple[Overlap, CubicSums]:
    """All pairs of ``(n, D)`` and ``(m, D)`` once: which lie near which, and the sums of the cubic kernel.

    Raises as ``overlap``.
    """
    x, y = as_pair(fake, real, K + 1)
    sums = CubicSums(x, y)
    return overlap(x, y, watch=(sums.fake, sums.real, sums.cross)), sums


def shared_overlap(space: Space) -> Overlap:
    """Of samples and reference with the default k: ``space.once(shared_overlap)`` for all measures of a space."""
    found, _ = space.once(one_pass)
    sides: tuple[tuple[Literal["real", "fake"], str, str], ...] = (
        ("real", "reference", "precision, density and coverage"),
        ("fake", "samples", "recall"),
    )
    for of, side, lowered in sides:
        if empty := found.empty(of):
            space.remark(
                f"{100 * empty:.3g} % of the {side} have {K} copies or more; the balls around them have radius 0, "
                f"which lowers {lowered}"
            )
    return found


def contained(
    x: Tensor, y: Tensor, around_x: Sequence[Balls], around_y: Sequence[Balls], listed: int = 1
) -> tuple[list[Contained], list[Contained]]:
    """Rows of y in each set of balls around x, and rows of x in each set of balls around y.

    listed: how many members of each ball to name.
    """
    return contained_in(Pairs(x, y), around_x, around_y, listed)


def contained_in(
    pairs: Pairs,
    around_x: Sequence[Balls],
    around_y: Sequence[Balls],
    listed: int = 1,
    watch: Watcher | None = None,
) -> tuple[list[Contained], list[Contained]]:
    """The same of pairs of both."""
    x, y = pairs.x.given, pairs.y.given
    reach = [_reach(pairs, balls, len(side)) for balls, side in ((around_x, x), (around_y, y))]
    in_x = [_Tally(len(x), len(y), listed, x.device) for _ in around_x]
    in_y = [_Tally(len(y), len(x), listed, x.device) for _ in around_y]
    for i, j in tiles(len(x), len(y)):
        products = pairs.products(i, j)
        if watch:
            watch(pairs, products, i, j)
        tile = pairs.bound(products, i, j)
        a, b = (tile <= torch.maximum(reach[0][i][:, None], reach[1][j][None])).nonzero(as_tuple=True)
        lower, a, b = tile[a, b].double(), a + i.start, b + j.start
        squared = _resolved(pairs, lower, a, b, [*((s, a) for s in around_x), *((s, b) for s in around_y)])
        for tally, balls in zip(in_x, around_x, strict=True):
            tally.add(a, b, _inside(squared, balls, a))
        for tally, balls in zip(in_y, around_y, strict=True):
            tally.add(b, a, _inside(squared, balls, b))
    return [t.result() for t in in_x], [t.result() for t in in_y]


class _Tally:
    """Counts both ways, the first members of each ball, and for each point the sum of its balls' indices.

    The sum is the index itself where there is one ball.
    """

    def __init__(self, balls: int, points: int, listed: int, device: torch.device) -> None:
        self.points = torch.zeros(balls, dtype=torch.int64, device=device)
        self.balls, self.ball = (torch.zeros(points, dtype=torch.int64, device=device) for _ in range(2))
        self.members = torch.full((balls, listed), -1, dtype=torch.int64, device=device)

    def add(self, ball: Tensor, point: Tensor, inside: Tensor) -> None:
        ball, point = ball[inside], point[inside]
        self._list(ball, point)
        one = torch.ones_like(ball)
        self.points.index_add_(0, ball, one)
        self.balls.index_add_(0, point, one)
        self.ball.index_add_(0, point, ball)

    def result(self) -> Contained:
        alone = torch.bincount(self.ball[self.balls == 1], minlength=len(self.points))
        return Contained(self.points, self.balls, alone, self.members)

    def _list(self, ball: Tensor, point: Tensor) -> None:
        room = self.points[ball] < self.members.shape[1]
        ball, order = ball[room].sort(stable=True)
        rank = torch.arange(len(ball), device=ball.device) - torch.searchsorted(ball, ball)
        place = self.points[ball] + rank
        fits = place < self.members.shape[1]
        self.members[ball[fits], place[fits]] = point[room][order][fits]


def _resolved(pairs: Pairs, lower: Tensor, a: Tensor, b: Tensor, limits: Sequence[tuple[Balls, Tensor]]) -> Tensor:
    """Squared distances in feature units: the middle of the bound where every radius is clear of it, else exact."""
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
    widest = widest.to(pairs.x.coarse.dtype)
    return torch.nextafter(widest, torch.full_like(widest, torch.inf))
