"""Nearest-neighbour ratio: the share of samples that are nearer to one training example than data ever is.

    ratio(x) = d(x, nearest training example) / mean of d(x, y) over the 50 training examples y nearest to x

(Carlini et al. 2023, arXiv:2301.13188, section 4.2, Eq. 2.) In a dense part of the data everything is near something;
the ratio asks whether one example is nearer than its neighbours are. It is near 1 for new examples, 0 for copies. What
is small is learned from held-out data, which copied nothing: the threshold is the order statistic below which a new
example falls with probability at most 1 %, so that a generator as good as the data has a value of at most 0.01.

A mode-shrunk generator is close to the training data everywhere, not to one example, and is not flagged.

The interval joins Wilson's with the threshold's own uncertainty, an order-statistic interval of the held-out
percentile (MOVER: Zou & Donner 2008, doi:10.1002/sim.3095). Of fewer than 368 held-out examples the percentile may lie
below the least ratio. How far, is bounded by the density of the ratio, which near 0 does not fall as the ratio grows,
of data without copies in one dimension or more: a share of at most u = 1 - 0.025^(1 / m) lies below the least of m
ratios (97.5 %), so at most 1 % lies below 0.01 / u of it. A copy lies below that still.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench import Estimate, Interval, Omitted, Space, TooFew, metric, proportion_interval
from metrics._arrays import Array
from metrics.features._neighbours import NEAREST, Nearest, among_train, as_pair, neighbours_among

RATE = 0.01
LEAST_HELD_OUT = math.ceil(1 / RATE) - 1


def neighbour_ratio(fake: Array, held_out: Array, train: Array) -> Estimate:
    """Share of ``(n, D)`` fakes below the threshold set by ``(m, D)`` held-out data; 0 to 1, lower is better.

    Raises GenbenchError for bad input, TooFew for under 50 training or 99 held-out examples, Omitted where so many
    held-out examples are copies of training data that a copied sample could not be told from them.
    """
    sides = [as_pair(side, train, 2) for side in (fake, held_out)]
    return copied_share(*(ratios(neighbours_among(*s, min(NEAREST, len(s[1])))) for s in sides))


def ratios(near: Nearest) -> Tensor:
    """``(n,)`` float64; 0 to 1. A row whose 50 nearest are all at distance 0 is a copy: 0."""
    if near.squared.shape[1] < NEAREST:
        raise TooFew(f"{near.squared.shape[1]} training examples are too few: at least {NEAREST} are needed")
    distances = near.distances
    mean = distances.mean(1)
    return torch.where(mean > 0, distances[:, 0] / mean, 0.0)


def copied_share(fake: Tensor, held_out: Tensor) -> Estimate:
    """Of ratios, ``(n,)`` and ``(m,)``."""
    m = len(held_out)
    if m < LEAST_HELD_OUT:
        raise TooFew(f"{m} held-out examples are too few: at least {LEAST_HELD_OUT} are needed")
    ordered = held_out.sort().values
    rank = math.floor(RATE * (m + 1))
    if not ordered[rank - 1]:
        raise Omitted(f"more than {RATE:.0%} of the held-out examples are copies of training examples")
    from scipy import stats  # which takes half a second to load

    low, high = (int(rank) for rank in stats.binom.ppf([0.025, 0.975], m, RATE))
    lowest = ordered[min(low, rank) - 1] if low else ordered[0] * min(1.0, RATE / -math.expm1(math.log(0.025) / m))
    thresholds = ordered[rank - 1], lowest, ordered[min(m, high + 1) - 1]
    copied, least, most = (int((fake < threshold).sum()) for threshold in thresholds)
    n = len(fake)
    share, counted = copied / n, proportion_interval(copied, n)
    lo = share - math.hypot(share - counted.lo, share - least / n)
    hi = share + math.hypot(counted.hi - share, most / n - share)
    method = "Wilson and order statistics of the threshold (MOVER)"
    if not low:
        method += "; for so few the ratio's density is taken to rise from 0"
    return Estimate(
        value=share,
        n=n,
        interval=Interval(lo=max(0.0, lo), hi=min(1.0, hi), method=method),
        protocol={"k": NEAREST, "threshold": "1st percentile of held-out"},
    )


@metric(
    "nn_ratio",
    aspect="novelty",
    unit="1",
    better="lower",
    least=0,
    most=1,
    lead=1,
    sides=("samples", "reference", "train"),
    paper="arXiv:2301.13188, section 4.2",
)
def nn_ratio(space: Space) -> Estimate:
    """Share of samples suspiciously near to one training example; 0.01 or less is what new data shows."""
    return copied_share(ratios(space.once(among_train, "samples")), ratios(space.once(among_train, "reference")))
