"""How often simulated intervals hold the truth, and how often they should."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from bench import Estimate

LEAST, MOST = 0.90, 0.98  # what a nominal 95 % may be in truth


def covered(estimates: Iterable[Estimate]) -> float:
    """Share of intervals that hold the mean of all values: the expectation at this number of examples."""
    rows = [(e.value, e.interval.lo, e.interval.hi) for e in estimates if e.interval is not None]
    value, lo, hi = np.array(rows).T
    return float(((lo <= value.mean()) & (value.mean() <= hi)).mean())


def assert_honest(share: float, repeats: int, errors: float = 2.0) -> None:
    """Fails where ``share`` is outside 90 to 98 % by more than so many standard errors of a simulation this long."""
    low, high = (p - sign * errors * math.sqrt(p * (1 - p) / repeats) for p, sign in ((LEAST, 1), (MOST, -1)))
    assert low <= share <= high, f"{share:.3f} of {repeats} intervals hold the truth"
