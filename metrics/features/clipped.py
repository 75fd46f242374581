"""Clipped Density and Clipped Coverage (Salvy et al., ICLR 2026, arXiv:2507.01761, sections 4 and 5).

Density and coverage whose values mean "this share of good samples": no example counts for more than one, no ball is
wider than the median one (density), and both are calibrated, so that they fall linearly as samples go bad.

    clipped density  = C(fakes) / C(reals), at most 1      C = mean over points of min(1, balls around it / k)
    clipped coverage = g(mean over reals of min(1, fakes in its ball / k)), at most 1

C(reals) counts the reals in each other's balls, themselves left out. For good samples a real ball holds a mass of
Beta(k, m - k), so the number among s good samples is beta-binomial and the expected mean is

    f(s) = 1 - sum over j < k of (1 - j / k) P(j of s in the ball)

g is its inverse over n: the share of good samples among n that would give the mean. f is evaluated in closed form at
every s up to n and inverted by linear interpolation; the authors' code looks up the next s and takes f(s) = 0 for
s < k, which differs by at most k / n. Density counts the sphere as inside, coverage does not, as theirs.

Ties (counts, quantised pixels): all on a sphere are inside, reals as well as fakes, so that no order of the rows
matters; the authors' code takes k of the reals, whichever come first. Balls of radius 0, around rows with k copies or
more, hold those copies alone (density) or nothing (coverage). Where all are such, or half of them for coverage, there
is no number; of fewer the interval's method and a remark tell their share.

Standard errors count both sets as for density and coverage; the terms a clip leaves without effect are taken as their
share of all terms. For density both C move with the real rows, so their ratio is linearised in each real row. Intervals
are of the expectation at these numbers of rows, and know the ends: the score of a Poisson rate up to 1, and Wilson's.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaln, gammaln
from torch import Tensor

from bench import Estimate, GenbenchError, Space, TooFew, metric, proportion_interval, rate_interval
from metrics._arrays import Array
from metrics.features._balls import K, Overlap, named_by, overlap, shared_overlap, wilson

PAPER = "arXiv:2507.01761"


def clipped_ball_density(fake: Array, real: Array, k: int = K) -> Estimate:
    """Of ``(n, D)`` and ``(m, D)`` features; 0 to 1.

    Raises GenbenchError for bad input, TooFew below k + 1 rows, Omitted where all balls have radius 0.
    """
    return clipped_density_of(overlap(fake, real, k))


def clipped_ball_coverage(fake: Array, real: Array, k: int = K) -> Estimate:
    """Of ``(n, D)`` and ``(m, D)`` features; 0 to 1.

    Raises GenbenchError for bad input, TooFew below k + 2 rows, Omitted where half of the balls have radius 0.
    """
    return clipped_coverage_of(overlap(fake, real, k))


def clipped_density_of(found: Overlap) -> Estimate:
    k = found.k
    fakes, reals = _clipped(found.clipped.balls, k), _clipped(found.around, k)
    ratio = (fakes.mean() / reals.mean()).item()
    real_part = _numerator_moves(found) - ratio * _denominator_moves(found)
    noise = (_free(found.clipped.balls, k) / (k * len(fakes))) ** 2 * found.clipped.points.sum()
    variance = fakes.var() / len(fakes) + (real_part.square().sum() - noise).clamp(min=0)
    method = "Poisson score up to 1, infinitesimal jackknife over both sets, of the expectation at this n"
    method = found.checked_method(method, "real", strict=False)
    interval = rate_interval(ratio, variance.item() / reals.mean().item() ** 2, 0.5 / len(fakes), method, hi=1)
    interval = interval.model_copy(update={"lo": min(interval.lo, _not_certain(len(fakes)))})
    return Estimate(value=min(1.0, ratio), n=len(fakes), interval=interval, protocol={"k": k})


def clipped_coverage_of(found: Overlap) -> Estimate:
    k, m, n = found.k, len(found.real.points), len(found.real.balls)
    if m < k + 2:
        raise TooFew(f"{m} real examples are too few: at least {k + 2} are needed")
    mean, expected = _clipped(found.real.points, k).mean().item(), expected_fill(n, m, k)
    method = "Wilson, design effect from both sets, calibrated, of the expectation at this n"
    fill = wilson(mean, _fill_error(found) ** 2, m, found.checked_method(method, "real", found.strict))
    value, lo, hi = (share_of_good(expected, fills) for fills in (mean, fill.lo, fill.hi))
    interval = fill.model_copy(update={"lo": min(lo, _not_certain(n)), "hi": hi})
    return Estimate(value=value, n=n, interval=interval, protocol={"k": k})


def _not_certain(n: int) -> float:
    """The highest lower end: however far a calibrated value would lie above 1, n samples do not make certain of 1."""
    return proportion_interval(n, n).lo


def expected_fill(n: int, m: int, k: int) -> np.ndarray:
    """f(0), ..., f(n): the expected mean of min(1, count / k) where s of the samples are good. Increasing, from 0.

    Raises GenbenchError unless 1 <= k < m.
    """
    if not 1 <= k < m:
        raise GenbenchError(f"k must be between 1 and {m - 1}, got {k}")
    s = np.arange(n + 1)[:, None]
    j = np.arange(k)[None]
    among = np.minimum(j, s)  # j > s has no probability
    ways = gammaln(s + 1) - gammaln(among + 1) - gammaln(s - among + 1)
    log_p = ways + betaln(k + among, m - k + s - among) - betaln(k, m - k)
    missing = ((1 - j / k) * np.where(j <= s, np.exp(log_p), 0)).sum(1)
    return np.asarray(1 - missing)


def share_of_good(expected: np.ndarray, mean: float) -> float:
    """g: 0 to 1."""
    return float(np.interp(mean, expected, np.linspace(0, 1, len(expected))))


def _clipped(counts: Tensor, k: int) -> Tensor:
    return (counts.double() / k).clamp(max=1)


def _free(counts: Tensor, k: int) -> Tensor:
    """Share of counted pairs that a clip leaves with an effect."""
    return counts[counts <= k].sum() / counts.sum().clamp(min=1)


def _numerator_moves(found: Overlap) -> Tensor:
    """``(m,)`` what C(fakes) gains when a real row is there: its ball, less what others' balls give up to it."""
    lost = found.clipped.points.double()
    gain = lost.mean() / found.k * named_by(found.reals, found.k)
    return _free(found.clipped.balls, found.k) * (lost - gain) / (found.k * len(found.clipped.balls))


def _denominator_moves(found: Overlap) -> Tensor:
    """``(m,)`` the same for C(reals), where the row is also a point."""
    k, m = found.k, len(found.reals.squared)
    around, held = found.around, found.held.double()
    ball = held - held.mean() / k * named_by(found.reals, k)
    point = _clipped(around, k)
    return (point - point.mean()) / m + _free(around, k) * ball / (k * m)


def _fill_error(found: Overlap) -> float:
    """Standard error of the mean fill: its spread over reals, the balls that share a fake, and those that widen.

    A fake matters to the balls that would be less full without it. Where no clip acts, only unevenness between fakes
    is noise, since their number is fixed; where it acts, what they share on average is too. In between, in proportion.
    """
    k, m, n = found.k, len(found.real.points), len(found.real.balls)
    filled, wide = _clipped(found.real.points, k), _clipped(found.wide.points, k)
    lean = found.real.scarce(k)
    free = (lean.sum() / found.real.points.sum().clamp(min=1)).item()
    together = ((lean * (lean - 1)).sum() - free * lean.sum() ** 2 / n).clamp(min=0).item() / k**2
    gain = (wide - filled).mean().item() / max(1, found.reals.indices.shape[1] - k)
    widened = (named_by(found.reals, k) - k).square().sum().item() * gain**2
    return math.sqrt(filled.var().item() / m + (together + widened) / m**2)


@metric("clipped_density", aspect="realism", unit="1", better="higher", least=0, paper=PAPER)
def clipped_density(space: Space) -> Estimate:
    """Realism as an equivalent share of good samples: robust density, 1 for samples as good as real data."""
    return clipped_density_of(space.once(shared_overlap))


@metric("clipped_coverage", aspect="diversity", unit="1", better="higher", least=0, paper=PAPER)
def clipped_coverage(space: Space) -> Estimate:
    """Diversity as an equivalent share of good samples: how many good ones would fill as much of the data."""
    return clipped_coverage_of(space.once(shared_overlap))
