"""Intervals and summaries that reports and metrics share."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.record import Interval

LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Summary:
    """Mean and spread over seeds. ``sd`` is the sample standard deviation (n - 1); None from one seed alone."""

    mean: float
    sd: float | None
    n: int


def summarise(values: Sequence[float]) -> Summary:
    """Mean and standard deviation of at least one value. Raises ValueError for none."""
    if not values:
        raise ValueError("no values to summarise")
    # In powers of two, so that nothing rounds on the way and no sum leaves the range of floats.
    exponent = math.frexp(max(map(abs, values)))[1] - 1
    scaled = [math.ldexp(value, -exponent) for value in values]
    mean = math.fsum(scaled) / len(scaled)
    sd = math.dist(scaled, [mean] * len(scaled)) / math.sqrt(len(scaled) - 1) if len(scaled) > 1 else None
    return Summary(math.ldexp(mean, exponent), None if sd is None else min(sd * 2.0**exponent, LARGEST), len(scaled))


def median_interval(values: Sequence[float], level: float = 0.95) -> Interval | None:
    """Distribution-free interval of the median from order statistics (binomial); None when n is too small for it."""
    ordered = sorted(values)
    rank = int(stats.binom.ppf((1 - level) / 2, len(ordered), 0.5))
    if rank < 1:
        return None
    return Interval(lo=ordered[rank - 1], hi=ordered[-rank], level=level, method="order statistics (binomial)")


def ratio_interval(
    numerators: Sequence[float] | np.ndarray, denominators: Sequence[float] | np.ndarray, level: float = 0.95
) -> Interval | None:
    """Interval of sum(numerators) / sum(denominators) over independent units, by the delta method.

    None for fewer than two units.
    """
    x, n = np.asarray(numerators, float), np.asarray(denominators, float)
    if len(x) < 2:
        return None
    ratio = x.sum() / n.sum()
    residual = x - ratio * n
    error = math.sqrt(len(x) / (len(x) - 1) * (residual**2).sum()) / n.sum()
    reach = stats.norm.ppf((1 + level) / 2) * error
    return Interval(lo=ratio - reach, hi=ratio + reach, level=level, method="delta method over windows")


def normal_interval(
    value: float, error: float, method: str, *, lo: float = -math.inf, hi: float = math.inf, level: float = 0.95
) -> Interval:
    """``value`` ± z times its standard error, cut to what the quantity can be: [lo, hi]."""
    reach = float(stats.norm.ppf((1 + level) / 2)) * error
    return Interval(lo=max(lo, value - reach), hi=min(hi, value + reach), level=level, method=method)


def proportion_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Interval of a share of ``n`` independent trials (Wilson 1927). Raises ValueError for n < 1."""
    if n < 1:
        raise ValueError(f"a share needs trials, got {n}")
    return wilson_interval(successes / n, n, "Wilson", level)


def wilson_interval(share: float, n: float, method: str, level: float = 0.95) -> Interval:
    """The same for ``n`` that need not be whole, such as a number of trials divided by a design effect.

    Raises ValueError for n of 0 or less.
    """
    if n <= 0:
        raise ValueError(f"a share needs trials, got {n}")
    shrunk = float(stats.norm.ppf((1 + level) / 2)) ** 2 / n
    middle = (share + shrunk / 2) / (1 + shrunk)
    reach = math.sqrt(shrunk * (share * (1 - share) + shrunk / 4)) / (1 + shrunk)
    # At 0 and 1 an end is the share itself, which rounding must not push out.
    lo = 0.0 if share == 0 else max(0.0, middle - reach)
    hi = 1.0 if share == 1 else min(1.0, middle + reach)
    return Interval(lo=lo, hi=hi, level=level, method=method)
