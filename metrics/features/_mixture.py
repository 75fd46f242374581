"""A density of equal isotropic Gaussians, each with a width of its own that is fitted by maximum likelihood.

The fit is that of FLD's authors (Jiralerspong et al. 2023, arXiv:2302.04440): the log of each variance by Adam, from
the nearest datum on, beside one wide Gaussian around the mean that explains what no centre is near.

All that it reads are squared distances. Those between two sides are taken once, whichever of their rows are asked for,
if they are not too many to keep. They are as exact as single precision holds them: those of rows that lie much nearer
to each other than to the mean are taken in double precision, so that a copy is at distance 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from bench import alive
from metrics.features._neighbours import coarse_type, slices

RATE, EPOCHS, BATCH = 0.5, 50, 10_000
SETTLED = 5e-4  # nats a dimension: the fit ends with an epoch from which the last four lie no farther
NEARER = 0.9  # data is drawn so far to the mean before the wide Gaussian is asked
FLOOR = 1e-6  # of sigma^2, where features have variance 1
NEAR = 0.01  # of the squared norms: what is nearer has lost digits in single precision
KEPT = 2**25  # squared distances kept, between two sides and between steps: 128 MiB
BLOCK = 2**18  # squared distances of a tile: 1 MiB, which stays in the cache
TALL = 512  # rows whose distances are taken together
Tiles = Callable[[], Iterator[Tensor]]


class Side:
    """All rows of a side, ``(n, D)`` float64 with means near 0."""

    def __init__(self, rows: Tensor) -> None:
        self.rows, self.norms = rows, rows.square().sum(1)
        self.coarse = rows.to(coarse_type(rows.device))
        self._known = WeakKeyDictionary[Side, Tensor]()  # of itself, too, and gone with it

    def squared(self, i: slice, other: Side, j: slice = slice(None)) -> Tensor:
        """Squared distances of some rows to some of the other side's, ``(a, b)`` float32."""
        norms = self.norms[i, None] + other.norms[None, j]
        rows, others = self.rows[i], other.rows[j]
        coarse = norms.to(self.coarse.dtype)
        found = torch.addmm(coarse, self.coarse[i], other.coarse[j].T, alpha=-2)
        a, b = (found < NEAR * coarse).nonzero(as_tuple=True)
        if len(a) > found.numel() // TALL:  # many: one product in double precision costs less
            return torch.addmm(norms, rows, others.T, alpha=-2).clamp_(min=0).float()
        for part in slices(len(a)):
            apart = rows[a[part]] - others[b[part]]
            found[a[part], b[part]] = torch.linalg.vecdot(apart, apart).to(found.dtype)
        return found.float()

    def known(self, other: Side) -> Tensor | None:
        """All of them, ``(n, m)``, taken once; None where they are too many."""
        n, m = len(self.rows), len(other.rows)
        if n * m > KEPT:
            return None
        if other not in self._known:
            found = self._known[other] = torch.empty(n, m, device=self.rows.device)
            for i in slices(n, TALL):
                j = slice(i.start if other is self else 0, m)
                block = found[i, j] = self.squared(i, other, j)
                if other is self:
                    found[j, i] = block.T
        return self._known[other]


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a side. chosen: ``(n,)`` their numbers."""

    side: Side
    chosen: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Rows:
        """All of ``(n, D)`` float64."""
        return cls(Side(rows), torch.arange(len(rows), device=rows.device))

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def width(self) -> int:
        return self.side.rows.shape[1]

    @property
    def values(self) -> Tensor:
        return self.side.rows[self.chosen]

    def part(self, chosen: slice | Tensor) -> Rows:
        """Of these rows, by their places here."""
        return Rows(self.side, self.chosen[chosen])

    def mean(self) -> Tensor:
        counted = self.chosen.bincount(minlength=len(self.side.rows)).double()
        return counted @ self.side.rows / len(self)

    def far(self, middle: Tensor) -> Tensor:
        """Squared distances ``(n,)`` as the wide Gaussian is asked."""
        squared = self.side.norms - 2 * (self.side.rows @ middle) + middle @ middle
        return NEARER**2 * squared[self.chosen].clamp(min=0)

    def tiles(self, centres: Rows) -> Iterator[Tensor]:
        """Squared distances of some rows at a time to all centres, ``(rows, c)`` float32."""
        known, parts = self.side.known(centres.side), slices(len(self), max(1, BLOCK // len(centres)))
        if known is not None:
            yield from (known[self.chosen[i]].index_select(1, centres.chosen) for i in parts)
        else:
            x, c = Side(self.values), Side(centres.values)
            yield from (x.squared(i, c) for i in parts)


@dataclass(frozen=True)
class Mixture:
    """Equal Gaussians N(centre_j, variance_j I). variance: ``(c,)`` float64.

    middle: ``(D,)``, where the wide Gaussian lies that they were fitted beside, of the variance ``spread``, ``(1,)``.
    """

    centres: Rows
    variance: Tensor
    middle: Tensor
    spread: Tensor

    def nll(self, x: Rows, wide: bool = False) -> float:
        """Mean negative log-likelihood of ``(n, D)``, nats a dimension. wide: beside the wide Gaussian, as in the fit.

        The two together are of mass 2.
        """
        parts = (_logs(tile.double(), self.variance, x.width).logsumexp(1) for tile in x.tiles(self.centres))
        logs = torch.cat(list(parts))
        if wide:
            logs = torch.logaddexp(logs, _logs(x.far(self.middle), self.spread, x.width))
        return -logs.mean().item() / x.width

    def gap(self, train: Rows, held_out: Rows) -> float:
        return self.nll(train, wide=True) - self.nll(held_out, wide=True)


def fit(centres: Rows, data: Rows, epochs: int = EPOCHS) -> Mixture:
    """Variances by the authors' maximum likelihood. data: in random order, since Adam steps once a batch of it."""
    width, floor = centres.width, math.log(FLOOR)
    middle = data.mean()
    wide = data.far(middle).float()
    batches = [(_remembered(data.part(i), centres, len(data)), wide[i]) for i in slices(len(data), BATCH)]
    nearest = torch.stack([tile.amin(0) for tiles, _ in batches for tile in tiles()]).amin(0)
    logs = torch.cat(
        [((nearest + 1e-3) / width).log(), nearest.new_zeros(1)]
    ).double()  # of each variance; last the wide one's
    adam, losses = _Adam(logs), list[float]()
    for _ in alive(range(epochs)):
        total = 0.0
        for tiles, far in batches:
            gradient, loss = _step(tiles(), far, logs, width)
            adam.step(gradient)
            logs[:-1].clamp_(min=floor)
            total += loss / len(batches)
        losses.append(total)
        if len(losses) > 6 and max(abs(total - loss) for loss in losses[-5:]) < SETTLED:
            break
    return Mixture(centres, logs[:-1].exp(), middle, logs[-1:].exp())


def _remembered(x: Rows, centres: Rows, n: int) -> Tiles:
    """The tiles, kept from step to step if those of all ``n`` rows are few."""
    if n * len(centres) > KEPT:
        return lambda: x.tiles(centres)
    kept = list(x.tiles(centres))
    return lambda: iter(kept)


class _Adam:
    """Kingma & Ba 2015 (arXiv:1412.6980), Algorithm 1; torch's own takes seconds to import its compiler."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.steps = values, 0
        self.mean, self.square = torch.zeros_like(values), torch.zeros_like(values)

    def step(self, gradient: Tensor) -> None:
        self.steps += 1
        self.mean.lerp_(gradient, 0.1)
        self.square.lerp_(gradient.square(), 0.001)
        deviation = (self.square / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
        self.values.addcdiv_(self.mean, deviation, value=-RATE / (1 - 0.9**self.steps))


def _step(tiles: Iterator[Tensor], wide: Tensor, logs: Tensor, width: int) -> tuple[Tensor, float]:
    """Gradient of the mean NLL a dimension in the logs of the variances, and that NLL."""
    variance, start, total = logs.exp().float(), 0, 0.0
    weight, spread = torch.zeros_like(logs), torch.zeros_like(logs)
    for tile in tiles:
        far = wide[start : start + len(tile)]
        start += len(tile)
        parts, other = _logs(tile, variance[:-1], width), _logs(far, variance[-1:], width)
        peak = torch.maximum(parts.amax(1), other)
        # Each Gaussian's share of a datum, but for the sum over Gaussians; below exp(-80) arithmetic is slow.
        parts.sub_(peak[:, None]).clamp_(min=-80).exp_()
        other = (other - peak).exp_()
        sums = parts.sum(1) + other
        share = sums.reciprocal()
        weight[:-1] += share @ parts
        spread[:-1] += share @ parts.mul_(tile)
        weight[-1] += share @ other
        spread[-1] += share @ (other * far)
        total -= (peak.double() + sums.log()).sum().item()
    return (width * weight - spread / variance) / (2 * start * width), total / (start * width)


def _logs(squared: Tensor, variance: Tensor, width: int) -> Tensor:
    """Log of each Gaussian's part of the density; variance: ``(c,)``, squared: ``(n, c)``, or ``(n,)`` for one."""
    constant = -0.5 * width * (2 * math.pi * variance).log() - math.log(len(variance))
    return torch.addcmul(constant, squared, -0.5 / variance)
