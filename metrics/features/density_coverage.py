"""Density and coverage (Naeem et al. 2020, arXiv:2002.09797, Eqs. 4 and 5).

    density  = (real balls around a fake) / k, mean over fakes     1 for fakes drawn as the reals are; may be more
    coverage = share of real balls with a fake inside              1 - 2^-k or a little more, for such fakes

Only real balls are used, so that one far fake cannot spread a net over everything. A ball reaches to the k-th nearest
other real row; strictly inside counts, as in ``prdc``. A real row with k copies or more has a ball of radius 0, which
holds nothing: where half of the balls or more are such there is no number, of fewer the interval's method and a remark
tell their share.

The standard errors count both sets. Density: the spread over fakes, and what each real row moves: its own ball goes
with it, and the balls it bounds widen by one neighbour, by as much as they gain on average on the way to the 2k-th;
it is raised where it rests on few balls, and the method says so where few balls hold most, as for precision.
Coverage: the binomial part over reals, the pairs of balls that only one and the same fake fills, and the widening.
Intervals know the ends: a Poisson rate's score for density, Wilson's for coverage. They are of the expectation at these
numbers of rows, on which coverage depends.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench import Estimate, Space, metric, rate_interval
from metrics._arrays import Array
from metrics.features._balls import K, Overlap, named_by, of_few, overlap, raised, shared_overlap, wilson


def ball_density(fake: Array, real: Array, k: int = K, strict: bool = True) -> Estimate:
    """Of ``(n, D)`` and ``(m, D)`` features; 0 or more.

    Raises GenbenchError for bad input, TooFew below k + 1 rows, Omitted where balls have radius 0.
    """
    return density_of(overlap(fake, real, k, strict))


def ball_coverage(fake: Array, real: Array, k: int = K, strict: bool = True) -> Estimate:
    """Of ``(n, D)`` and ``(m, D)`` features; 0 to 1.

    Raises GenbenchError for bad input, TooFew below k + 1 rows, Omitted where balls have radius 0.
    """
    return coverage_of(overlap(fake, real, k, strict))


def density_of(found: Overlap) -> Estimate:
    around = found.real.balls.double() / found.k
    lost = found.real.points.double()
    moved = gained(found) - lost
    # The variance that real rows bring, less the noise of counts that the spread over fakes holds already.
    noise = lost.sum() + found.k / spare(found) * widening(found).sum()
    squares = (moved - moved.mean()).square()
    shared = raised(squares) * max(0.0, (squares.sum() - noise).item()) / (found.k * len(around)) ** 2
    value, variance = around.mean().item(), around.var().item() / len(around) + shared
    method = "Poisson score, infinitesimal jackknife over both sets, of the expectation at this n"
    method = found.checked_method(of_few(method, found.real), "real", found.strict)
    interval = rate_interval(value, variance, 0.5 / len(around), method)
    return Estimate(value=value, n=len(around), interval=interval, protocol=found.protocol)


def coverage_of(found: Overlap) -> Estimate:
    filled = found.real.points > 0
    value, m = filled.double().mean().item(), len(filled)
    only = found.real.scarce(1)
    together = (only * (only - 1)).sum().item() / m**2
    gain = ((found.wide.points > 0).double().mean().item() - value) / spare(found)
    widened = (named_by(found.reals, found.k) - found.k).square().sum().item() * gain**2 / m**2
    variance = value * (1 - value) / m + together + widened
    method = "Wilson, design effect from both sets, of the expectation at this n"
    interval = wilson(value, variance, m, found.checked_method(method, "real", found.strict))
    return Estimate(value=value, n=m, interval=interval, protocol=found.protocol)


def spare(found: Overlap) -> int:
    """Neighbours between the radius and the wide radius."""
    return max(1, found.reals.indices.shape[1] - found.k)


def widening(found: Overlap) -> Tensor:
    """``(m,)`` fakes that a real ball gains when it widens by one neighbour."""
    return (found.wide.points - found.real.points).double() / spare(found)


def gained(found: Overlap) -> Tensor:
    """``(m,)`` fakes that the other balls gain, all together, when a real row is gone."""
    near = found.reals.indices[:, : found.k].flatten()
    gains = widening(found).repeat_interleave(found.k)
    return torch.zeros(len(found.real.points), dtype=torch.float64, device=near.device).index_add_(0, near, gains)


@metric("density", aspect="realism", unit="1", better="higher", least=0, paper="arXiv:2002.09797, Eq. 4")
def density(space: Space) -> Estimate:
    """How densely real data surrounds the samples: 1 where they are spread as it is, more in its densest parts."""
    return density_of(space.once(shared_overlap))


@metric(
    "coverage", aspect="diversity", unit="1", better="higher", least=0, most=1, lead=1, paper="arXiv:2002.09797, Eq. 5"
)
def coverage(space: Space) -> Estimate:
    """Share of real examples with a sample among their nearest neighbours."""
    return coverage_of(space.once(shared_overlap))
