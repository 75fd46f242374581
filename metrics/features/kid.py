"""Kernel distance (Binkowski et al. 2018, arXiv:1801.01401, section 4).

The squared maximum mean discrepancy under k(x, y) = (x.y / D + 1)^3, without bias; it may be slightly negative where
both sides are alike. On Inception features it is called KID. The distance itself is never negative, and neither is the
interval, but for a value below 0, with which it begins.

Two protocols estimate the same quantity. ``kid`` uses every pair of rows once. ``kid_subsets`` is the mean over 100
drawn subsets of 1,000 rows a side, as papers report it and torch-fidelity computes it, on its very draws. The standard
deviation over subsets that is printed beside it elsewhere says how one thousand rows scatter, not how sure the mean is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench import Estimate, Interval, Space, metric
from metrics._arrays import Array, checked_pair
from metrics.features._balls import K, one_pass
from metrics.features._mmd import Discrepancy, cubic, discrepancy, subset_means

SUBSETS, SUBSET_SIZE, SEED = 100, 1000, 2020
HOME = {"inception"}  # where it was published; elsewhere it is taken when it is asked for
PAPER = "arXiv:1801.01401"


def kernel_distance(fake: Array, real: Array) -> Estimate:
    """Over all pairs of rows; features ``(n, D)`` and ``(m, D)``, at least 4 rows each. About 0 for equal sides.

    Raises GenbenchError for fewer rows, other shapes, different D, NaN or infinity.
    """
    return _full(discrepancy(fake, real, cubic))


def subset_kernel_distance(fake: Array, real: Array, *, subsets: int = SUBSETS, size: int = SUBSET_SIZE) -> Estimate:
    """Mean over drawn subsets of ``size`` rows a side, equal to torch-fidelity's on the same features in float64.

    Raises GenbenchError for fewer rows than a subset holds, other shapes, different D, NaN or infinity.
    """
    return _of_subsets(fake, real, lambda: discrepancy(fake, real, cubic), subsets, size)


@metric("kid", aspect="realism", unit="1", better="lower", classic={"inception": "kid"}, lead=3, paper=PAPER)
def kid(space: Space) -> Estimate:
    """Kernel distance under a cubic polynomial, over all pairs, without bias."""
    return _full(space.once(_shared))


@metric("kid_subsets", extractors=HOME, aspect="realism", unit="1", better="lower", lead=3, paper=PAPER)
def kid_subsets(space: Space) -> Estimate:
    """Kernel distance by the published protocol: mean over 100 drawn subsets of 1,000."""
    found = _of_subsets(space.fake, space.real, lambda: space.once(_shared), SUBSETS, SUBSET_SIZE)
    # The published draws pick rows by their place.
    return found.model_copy(update={"protocol": {**found.protocol, "order": space.comparison.reference_order}})


def _shared(space: Space) -> Discrepancy:
    """From the pass that finds neighbours, where there are rows enough for it."""
    if min(len(space.fake), len(space.real)) <= K:
        return discrepancy(space.fake, space.real, cubic)
    _, sums = space.once(one_pass)
    return sums.result()


def _full(found: Discrepancy) -> Estimate:
    protocol = {"kernel": "(x.y/D+1)^3", "statistic": "U"}
    return Estimate(value=found.unbiased, n=found.fake.n, interval=found.interval(), protocol=protocol)


def _of_subsets(fake: Array, real: Array, full: Callable[[], Discrepancy], subsets: int, size: int) -> Estimate:
    x, y = checked_pair(fake, real, size)
    values = _values(x, y, subsets, size)
    return Estimate(
        value=values.mean().item(),
        n=len(x),
        interval=_interval(values, full()),
        protocol={"kernel": "(x.y/D+1)^3", "statistic": "U", "subsets": subsets, "subset_size": size, "seed": SEED},
    )


def _interval(values: Tensor, full: Discrepancy) -> Interval:
    """Of all pairs, widened by the luck of the draw, about the mean over subsets.

    Given the data, subsets are independent draws around the value of all pairs, so their spread adds variance / S.
    """
    found = full.interval(values.mean().item(), draws=values.var().item() / len(values))
    return found.model_copy(update={"method": f"{found.method}, variance of drawing added"})


def _values(x: Tensor, y: Tensor, subsets: int, size: int) -> Tensor:
    """MMD^2 of each subset ``(S,)``, by the way that needs fewer kernel values."""
    rng = np.random.RandomState(SEED)
    draws = [[rng.choice(len(side), size, replace=False) for side in (x, y)] for _ in range(subsets)]
    if (len(x) + len(y)) ** 2 <= subsets * (2 * size) ** 2:
        picks = (_picks(x, [i for i, _ in draws]), _picks(y, [j for _, j in draws]))
        return subset_means(x, y, picks, cubic)
    return torch.tensor([discrepancy(x[i], y[j], cubic).unbiased for i, j in draws], dtype=torch.float64)


def _picks(side: Tensor, draws: list[np.ndarray]) -> Tensor:
    picks = side.new_zeros(len(side), len(draws))
    for subset, rows in enumerate(draws):
        picks[torch.as_tensor(rows, device=side.device), subset] = 1
    return picks
