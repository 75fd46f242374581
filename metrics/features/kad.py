"""Kernel audio distance (Chung et al. 2025, arXiv:2502.15602, section 4).

    KAD = 100 MMD^2 under exp(-|x - y|^2 / (2 s^2)),    s the median distance of two different reference rows

without bias, so that it does not fall as samples are added and serves sets of a few hundred sounds. The paper takes s
of the reference, so that all models are scored under one kernel; its released code takes it of each set that is scored.
The extractor stands in the name: numbers of different ones do not compare.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Interval, Space, metric
from metrics._arrays import Array, by_content, checked_pair
from metrics.features._mmd import LEAST, discrepancy, gaussian

SCALE = 100
MOST = 2000  # reference rows whose distances tell the median, to about 1 % of itself


def kernel_audio_distance(fake: Array, real: Array) -> Estimate:
    """Features ``(n, D)`` and ``(m, D)``, at least 4 rows each; about 0 for equal sides, and slightly below by chance.

    Raises GenbenchError for fewer rows, other shapes, different D, NaN or infinity.
    """
    x, y = checked_pair(fake, real, LEAST)
    found = discrepancy(x, y, gaussian(bandwidth(y)))
    around = found.interval()
    interval = Interval(lo=SCALE * around.lo, hi=SCALE * around.hi, level=around.level, method=around.method)
    return Estimate(
        value=SCALE * found.unbiased,
        n=len(x),
        interval=interval,
        protocol={"kernel": "rbf", "bandwidth": "median of the reference", "scale": SCALE, "statistic": "U"},
    )


def bandwidth(real: Tensor) -> float:
    """The median distance of different rows; of many rows, of some that their contents choose.

    Raises GenbenchError where none differ.
    """
    some = real[by_content(real)]
    if len(some) > MOST:
        some = some[torch.randperm(len(some), generator=torch.Generator().manual_seed(0))[:MOST]]
    distances = torch.pdist(some)
    if not (apart := distances[distances > 0]).numel():
        raise GenbenchError("features of all reference sounds are the same: check what was loaded")
    return float(apart.median())


@metric("kad", on={"audio"}, aspect="realism", unit="1", better="lower", lead=2, paper="arXiv:2502.15602")
def kad(space: Space) -> Estimate:
    """Kernel audio distance: Gaussian kernel as wide as the reference's median distance, times 100, without bias."""
    return kernel_audio_distance(space.fake, space.real)
