"""Monge inception distance (Berthet et al. 2026, arXiv:2605.06797): the sliced squared 2-Wasserstein distance.

    MIND = 3 D * mean over M directions u of W_2^2(u.X, u.Y)

W_2^2 of numbers is the mean squared difference of their quantile functions. The directions are the ones that
torch-fidelity draws, so that on equal numbers of rows both agree to the digits of its float32. Rows of which one side
has more are all used, by coupling the two quantile functions exactly, where torch-fidelity leaves rows out.

The measure is biased at a finite n: two samples of one distribution do not have equal quantiles, and MIND is then
above zero by about c / n. Its interval is of the median of what these numbers of rows give, not of the limit; nor of
their mean, which on heavy tails is that of rare draws with a row far out.

Standard error: the influence of a row on W_2^2 is its Kantorovich potential (del Barrio & Loubes 2019,
arXiv:1705.01299, Theorem 4.3), averaged here over directions. These are part of the protocol: what others would have
given is not counted. Where both sides are alike potentials are noise, and the interval errs on the wide side. Between
sides of the same rows there are none: the interval then reaches from 0 as if one row stood in place of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench import Estimate, Space, alive, metric, score_interval
from metrics._arrays import Array, checked_pair

PROJECTIONS, SEED = 1000, 2020
METHOD = "score, delta method over rows, of the median at this n"
LEAST = 2
CHUNK = 2**22  # projected values of both sides held at a time: 32 MiB


@dataclass(frozen=True)
class Coupling:
    """How sorted values of n rows meet those of m: pieces of [0, 1] on which both quantile functions are constant.

    left, right: ``(pieces,)`` which value of each side a piece takes.  weight: ``(pieces,)`` its length; they sum to 1.
    """

    left: Tensor
    right: Tensor
    weight: Tensor


def sliced_distance(fake: Array, real: Array, *, projections: int = PROJECTIONS, seed: int = SEED) -> Estimate:
    """Features ``(n, D)`` and ``(m, D)``; squared feature units times 3, at least 0.

    Raises GenbenchError for fewer than two rows, other shapes, different D, NaN or infinity.
    """
    x, y = checked_pair(fake, real, LEAST)
    distances, (own, other) = sliced(x, y, directions(x.shape[1], projections, seed).to(x.device))
    scale = 3 * x.shape[1]
    variance = own.var() / len(x) + other.var() / len(y)
    value = scale * distances.mean().item()
    step = _step(x)
    slope = scale**2 * variance.item() / value if value > 1e-20 * step else step  # below is rounding
    interval = score_interval(value, slope, 0.0, METHOD)
    return Estimate(
        value=value,
        n=len(x),
        interval=interval,
        protocol={"projections": projections, "seed": seed, "scale": "3D", "rows": "exact quantile coupling"},
    )


def _step(x: Tensor) -> float:
    """MIND between rows ``(n, D)`` and the same, but for one in place of another: 3 |difference|^2 / n on average."""
    return 6 * x.var(0).sum().item() / len(x)


@metric("mind", aspect="realism", unit="1", better="lower", least=0, paper="arXiv:2605.06797")
def mind(space: Space) -> Estimate:
    """Squared Wasserstein distance averaged over 1,000 projections, times three times the number of features."""
    return sliced_distance(space.fake, space.real)


def directions(width: int, count: int, seed: int = SEED) -> Tensor:
    """Uniform on the sphere, ``(count, width)`` float64 of unit length; drawn in float32 as by torch-fidelity."""
    drawn = torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).double()
    return drawn.div_(torch.linalg.vector_norm(drawn, dim=1, keepdim=True))


def sliced(x: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """W_2^2 along each direction ``(M,)``, and the mean influence of each row of both sides, ``(n,)`` and ``(m,)``."""
    influence = x.new_zeros(len(x)), y.new_zeros(len(y))
    coupling, distances = couple(len(x), len(y), x.device), []
    for chunk in alive(along.split(max(1, CHUNK // (len(x) + len(y))))):
        (a, order_a), (b, order_b) = (chunk @ x.T).sort(dim=1), (chunk @ y.T).sort(dim=1)
        distances.append((a[:, coupling.left] - b[:, coupling.right]).square() @ coupling.weight)
        for total, order, values in zip(influence, (order_a, order_b), (potential(a, b), potential(b, a)), strict=True):
            total.index_add_(0, order.flatten(), values.flatten() / len(along))
    return torch.cat(distances), influence


def couple(n: int, m: int, device: torch.device) -> Coupling:
    """Breakpoints i/n and j/m merged, in whole units of 1/(nm) so that those of both sides meet exactly."""
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    left, right, weight = starts // m, starts // n, (ends - starts).double() / (n * m)
    return Coupling(left.to(device), right.to(device), weight.to(device))


def potential(a: Tensor, b: Tensor) -> Tensor:
    """Kantorovich potentials of sorted ``(M, n)`` towards sorted ``(M, m)``, each row of them with mean zero.

    From one value to the next it grows by the integral of 2 (z - t), t = where the plan takes the quantile between
    the two; at a jump of the other side's quantiles both ends are dual solutions and the middle is taken.
    """
    n, m = a.shape[1], b.shape[1]
    level = torch.arange(1, n, device=a.device) * m
    below, above = (level + n - 1) // n - 1, level // n
    low, high = a[:, :-1], a[:, 1:]
    steps = (high - low) * (high + low - b[:, below] - b[:, above])
    values = torch.nn.functional.pad(steps.cumsum(1), (1, 0))
    return values - values.mean(1, keepdim=True)
