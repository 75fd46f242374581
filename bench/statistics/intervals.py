"""Intervals and summaries that reports and metrics share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from bench.record import LARGEST, Estimate, Interval

_ROUNDING = 1e-12  # share by which numbers that are one may differ, summed in another order
_LONGEST = 1e12  # a whole number that is written in full
ALIKE = "nothing varies, exact if nothing ever does"
STRETCHES = 100  # enough to tell a spread by, and few enough to be kept in a record
LEAST_PARTS = 10  # of fewer units the error of a ratio is told too small too often


@dataclass(frozen=True)
class Summary:
    """Mean and spread over seeds. ``sd`` is the sample standard deviation (n - 1); None from one seed alone."""

    mean: float
    sd: float | None
    n: int

    def __str__(self) -> str:
        """``4.21 ± 0.5``, for a line of text, whole numbers in full; a table of a page rounds by its column."""
        if not self.sd and self.mean.is_integer() and abs(self.mean) < _LONGEST:
            return f"{self.mean:,.0f}"
        return _written(self.mean, 4) + (f" ± {_written(self.sd, 1)}" if self.sd else "")


def _written(value: float, digits: int) -> str:
    """In so many significant digits: 14,060 rather than 1.406e+04."""
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e+" in text and abs(value) < _LONGEST else text


def summarise(values: Sequence[float]) -> Summary:
    """Mean and standard deviation of at least one value. Raises ValueError for none.

    Values that are one but for rounding have none: their mean is not always one of them, and lies some digit beside.
    """
    if not values:
        raise ValueError("no values to summarise")
    mean, low, high = math.fsum(values) / len(values), min(values), max(values)
    if len(values) == 1:
        return Summary(mean, None, 1)
    if high - low <= _ROUNDING * max(abs(low), abs(high)):
        return Summary(mean if low < high else low, 0.0, len(values))
    return Summary(mean, math.dist(values, [mean] * len(values)) / math.sqrt(len(values) - 1), len(values))


def median_interval(values: Sequence[float], level: float = 0.95) -> Interval | None:
    """Distribution-free interval of the median from order statistics (binomial); None when n is too small for it."""
    return quantile_interval(values, 0.5, level)


def quantile_interval(values: Sequence[float], q: float, level: float = 0.95) -> Interval | None:
    """Distribution-free interval of the ``q`` quantile, 0 < q < 1, from order statistics (binomial).

    Each end is missed with a probability of at most (1 - level) / 2. None when n is too small for either end.
    """
    ordered = sorted(values)
    n, tail = len(ordered), (1 - level) / 2
    below = special.bdtr(np.arange(n + 1), n, q)  # P(at most k of n lie below the quantile)
    low, high = int(np.searchsorted(below, tail)), int(np.searchsorted(below, 1 - tail)) + 1
    if low < 1 or high > n:
        return None
    return Interval(lo=ordered[low - 1], hi=ordered[high - 1], level=level, method="order statistics (binomial)")


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest of the values that at least the share ``q`` of them does not exceed; no mean of two neighbours."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def fewest_for_quantile(q: float, level: float = 0.99) -> int:
    """The fewest values whose second largest is not below the ``q`` quantile, with the probability ``level``.

    64 for 0.9 and 662 for 0.99, as MLPerf's rules ask for of single streams.
    """
    n = 2
    while special.bdtr(1, n, 1 - q) > 1 - level:
        n += 1
    return n


def ratio_interval(
    numerators: Sequence[float] | np.ndarray,
    denominators: Sequence[float] | np.ndarray,
    level: float = 0.95,
    method: str = "delta method over windows",
) -> Interval | None:
    """Interval of sum(numerators) / sum(denominators) over independent units, by the delta method.

    None for fewer than two units.
    """
    error = ratio_error(numerators, denominators)
    if error is None:
        return None
    return normal_interval(float(np.sum(numerators) / np.sum(denominators)), error, method, level=level)


def ratio_error(numerators: Sequence[float] | np.ndarray, denominators: Sequence[float] | np.ndarray) -> float | None:
    """Standard error of sum(numerators) / sum(denominators) by the same method. None for fewer than two units."""
    x, n = np.asarray(numerators, float), np.asarray(denominators, float)
    if len(x) < 2:
        return None
    residual = x - x.sum() / n.sum() * n
    return math.sqrt(len(x) / (len(x) - 1) * float((residual**2).sum())) / float(n.sum())


def ratio_parts(
    numerators: Sequence[float] | np.ndarray, denominators: Sequence[float] | np.ndarray
) -> tuple[float, ...]:
    """What each unit adds to the error of sum(numerators) / sum(denominators), as ``Estimate.parts``.

    The root of the sum of their squares is ``ratio_error``. Of more units than ``STRETCHES``, of stretches of
    neighbours. Nothing for fewer than ``LEAST_PARTS`` units.
    """
    x, n = stretches(numerators), stretches(denominators)
    if len(x) < LEAST_PARTS:
        return ()
    residual = (x - x.sum() / n.sum() * n) / n.sum() * math.sqrt(len(x) / (len(x) - 1))
    return tuple(residual.tolist())


def stretches(units: Sequence[float] | np.ndarray) -> np.ndarray:
    """Sums of units ``(n,)`` over at most ``STRETCHES`` stretches of neighbours: nearly independent, where units that
    lie side by side are alike.
    """
    units = np.asarray(units, float)
    if len(units) <= STRETCHES:
        return units
    return np.add.reduceat(units, np.linspace(0, len(units), STRETCHES, endpoint=False).astype(int))


def normal_interval(
    value: float,
    error: float,
    method: str,
    *,
    lo: float = -math.inf,
    hi: float = math.inf,
    level: float = 0.95,
    freedom: float = math.inf,
) -> Interval:
    """``value`` ± z times its standard error, cut to what the quantity can be: [lo, hi].

    freedom: degrees of freedom by which the error is known; by a finite number it is Student's t in place of z.
    Where no unit differs from another the error is 0, and how much the next might differ is not known of a quantity
    without ends: the method then says that the value is exact only if none does.
    """
    tail = (1 + level) / 2
    reach = float(special.ndtri(tail) if math.isinf(freedom) else special.stdtrit(freedom, tail)) * error
    method = method if reach > 1e-9 * abs(value) else f"{method}; {ALIKE}"
    return Interval(lo=max(lo, value - reach), hi=min(hi, value + reach), level=level, method=method)


def reach_interval(value: float, reach: float, method: str, level: float = 0.95) -> Interval:
    """``value`` ± ``reach``, cut to what a record can hold."""
    lo, hi = max(-LARGEST, value - reach), min(LARGEST, value + reach)
    return Interval(lo=min(lo, hi), hi=max(lo, hi), level=level, method=method)


def rate_interval(
    value: float, variance: float, least: float, method: str, *, hi: float = math.inf, level: float = 0.95
) -> Interval:
    """Interval of a mean of counts, 0 or more, whose variance grows as it does: the score interval of a Poisson rate.

    The proportion is that of ``variance`` to ``value``, raised near 0 as in ``effective_trials``, and at least
    ``least``, about what one count adds to the value: so an interval at 0 has a width. It is cut to ``hi``, which the
    value itself may exceed.
    """
    step = max(least, variance / value * (1 + 2 * variance / value**2)) if value > 0 else least
    shift = float(special.ndtri((1 + level) / 2)) ** 2 * step / 2
    reach = math.sqrt(shift * (2 * value + shift))
    lo, end = max(0.0, value + shift - reach), value + shift + reach
    return Interval(lo=min(hi, lo), hi=min(hi, end), level=level, method=method)


def score_interval(value: float, slope: float, constant: float, method: str, *, level: float = 0.95) -> Interval:
    """The values t >= 0 of a squared distance that its estimate does not reject.

    Such an estimate is skewed and its variance grows with its mean: estimate ± 1.96 SE covers too often near zero and
    too seldom above. So each t is tested with the variance it would have itself, constant + slope t, as Wilson's
    interval does for a share. An estimate below 0 is none of them, yet its interval begins with it; it ends where that
    of 0 does, since an estimate that fell low by chance excludes no more (the sensitivity of the experiment bounds what
    it may exclude: Cowan et al. 2011, arXiv:1105.3166). No variance at all is what equal sides leave, and the method
    says so.
    """
    z = float(special.ndtri((1 + level) / 2))
    tilt, free = z**2 * slope / 2, z**2 * constant
    lo, hi = (
        max(0.0, value) + tilt + sign * math.sqrt(max(0.0, 2 * tilt * max(0.0, value) + free + tilt**2))
        for sign in (-1, 1)
    )
    lo = lo if value > math.sqrt(free) else 0.0
    method = method if hi > max(lo, 0.0) + 1e-14 else f"{method}; exact if both sides are the same rows"
    return Interval(lo=min(lo, value), hi=max(hi, value), level=level, method=method)


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
    shrunk = float(special.ndtri((1 + level) / 2)) ** 2 / n
    middle = (share + shrunk / 2) / (1 + shrunk)
    reach = math.sqrt(shrunk * (share * (1 - share) + shrunk / 4)) / (1 + shrunk)
    # At 0 and 1 an end is the share itself, which rounding must not push out.
    lo = 0.0 if share == 0 else max(0.0, middle - reach)
    hi = 1.0 if share == 1 else min(1.0, middle + reach)
    return Interval(lo=lo, hi=hi, level=level, method=method)


def effective_trials(share: float, variance: float, independent: float = 0.0, most: float = 3.0) -> float:
    """How many independent trials leave a share in (0, 1) with this variance, which is above 0.

    Near an end few of the units differ from it, and the variance is itself known from those few: with m the distance
    to the nearer end it is raised by (1 + 2 variance / m^2). ``independent``: the least that it can be, of trials that
    are independent; where it is known, only what exceeds it is raised. What was raised is at most ``most`` m^2: a
    single event that brings all of m has a variance of m^2, and there is no fewer than one.
    """
    nearer = min(share, 1 - share) ** 2
    excess = max(0.0, variance - independent) * (1 + 2 * variance / nearer)
    return share * (1 - share) / (independent + min(excess, most * nearer))


def bounded_interval(
    value: float, error: float, n: float, method: str, *, lo: float = 0.0, hi: float = 1.0, level: float = 0.95
) -> Interval:
    """Interval of a quantity that lies in [lo, hi], by its standard error: honest near both ends, nowhere of no width.

    Wilson's, of as many trials as would give this standard error (``effective_trials``). Where no unit differs from
    another there is no standard error, and each of the ``n`` units is one trial; at an end that is the rule of three,
    with 3.84 / (n + 3.84) in place of 3 / n.
    Raises ValueError for an ``n`` of 0 or less.
    """
    share, spread = min(1.0, max(0.0, (value - lo) / (hi - lo))), error / (hi - lo)
    trials = effective_trials(share, spread**2) if 0 < share < 1 and spread > 1e-12 else n
    found = wilson_interval(share, trials, method, level)
    low, high = (lo + (hi - lo) * end for end in (found.lo, found.hi))
    return Interval(lo=min(value, low), hi=max(value, min(hi, high)), level=level, method=method)


def difference_interval(first: Estimate, second: Estimate, method: str) -> Interval | None:
    """Interval of the first value less the second, of independent quantities, from the interval of each.

    Each end takes from both intervals the reach on its own side (Newcombe 1998, Statistics in Medicine 17, method 10),
    so that it knows the ends that they know. None where one has no interval.
    """
    if first.interval is None or second.interval is None:
        return None
    value = first.value - second.value
    down, up = (
        math.hypot(reach_toward(end, first.value, first.interval), reach_toward(-end, second.value, second.interval))
        for end in (-math.inf, math.inf)
    )
    method = method if down + up > 0 else f"{method}; {ALIKE}"
    return Interval(lo=value - down, hi=value + up, level=first.interval.level, method=method)


def reach_toward(other: float, value: float, interval: Interval) -> float:
    """How far the interval of a value reaches to the side on which another number lies.

    Two numbers differ by no more than chance where they lie nearer than the root of the sum of the squares of what
    either reaches toward the other (Zou & Donner 2008, Statistics in Medicine 27; ``difference_interval``).
    """
    return abs((interval.hi if other > value else interval.lo) - value)
