"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, arXiv:1706.08500, Eq. 6).

    FD = |mu_1 - mu_2|^2 + tr (S_1 + S_2 - 2 (S_1 S_2)^(1/2))

It is called FID only with the Inception weights of 2015-12-05, and otherwise after its extractor. Its expectation
falls with the numbers of samples, by about c / n (Chong & Forsyth 2020, arXiv:1911.07023), so numbers from different
n do not compare; ``fd_corrected`` takes that term out.

The interval is the delta method's, over both sides. With T the linear map that carries the one Gaussian to the other
(metrics/gaussian.py) a sample x moves FD by its influence, up to a constant

    2 (mu_1 - mu_2)' (x - mu_1) + (x - mu_1)' (I - T) (x - mu_1),

a real one by the same with the sides exchanged, and SE^2 is the sum of both variances over n and m.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from bench import Estimate, GenbenchError, Moments, Space, metric, normal_interval
from metrics.features import EVERY, Array, checked, checked_pair
from metrics.gaussian import Covariances, root_trace, root_trace_of_rows, transport, transport_to

METHOD = "delta method over both sides"
SEED = 0  # of the shuffle before halving
LEAST = 8  # rows a side, so that a quarter has a covariance
PAPER = "arXiv:1706.08500, Eq. 6"


class Distance(NamedTuple):
    """A value in squared feature units, and its standard error."""

    value: float
    error: float


class Influences(NamedTuple):
    """A distance, and by how much each row of either side moves it, up to a constant: ``(n,)`` and ``(m,)``."""

    value: float
    fake: np.ndarray
    real: np.ndarray


def frechet_distance(fake: Array, real: Array) -> Estimate:
    """Of two sets of features, ``(n, D)`` and ``(m, D)``; in squared feature units, 0 for equal moments.

    The interval is for the expectation of FD at these n and m, which lies above the distance of the populations.
    Raises GenbenchError for fewer than two rows a side, sides of different width, NaN or infinity.
    """
    x, y = arrays(fake, real)
    return _estimate(_distance(x, y), len(x))


def frechet_corrected(fake: Array, real: Array) -> Estimate:
    """Without the bias of order 1/n: 2 FD - the mean FD of two disjoint halves of both sides (Richardson).

    It estimates the distance of the populations, and may come out slightly below 0 where that is near 0. Both sides
    are shuffled alike, so that rows that belong together stay together. To first order FD and its halves vary
    together, so the interval is as wide as that of FD. Where half a side holds no more rows than D, higher orders of
    the bias remain; the interval is then widened by how much the same step from quarters to halves differs. With
    fewer rows than D / 2 that understates what remains, if all directions vary alike.
    Raises GenbenchError for fewer than eight rows a side, sides of different width, NaN or infinity.
    """
    x, y = arrays(fake, real, LEAST)
    return _corrected(_distance(x, y), x, y)


def frechet_to_statistics(fake: Array, mean: Array, covariance: Array) -> Estimate:
    """Of features ``(n, D)`` to a mean ``(D,)`` and a covariance ``(D, D)`` that others kept of a reference.

    The interval is over the samples alone. Raises as ``frechet_from_moments``, and for fewer than two rows.
    """
    x, m, s = _numpy(checked(fake)), _numpy(mean), _numpy(covariance)
    if m.shape != x.shape[1:]:
        raise GenbenchError(f"features are of width {x.shape[1]}, the reference's mu and sigma of width {m.size}")
    unit = _unit(x, m[None])
    a, shift = _scatter(x / unit), (x.mean(0) - m) / unit
    plan = transport_to(a, s / unit**2)
    value = max(0.0, float(shift @ shift + np.vdot(a, a) + s.trace() / unit**2 - 2 * plan.trace))
    error = math.sqrt(_influence(a, shift, plan.there).var(ddof=1) / len(x))
    interval = normal_interval(value * unit**2, error * unit**2, f"{METHOD}; mu and sigma taken as exact", lo=0)
    return Estimate(value=value * unit**2, n=len(x), interval=interval)


def frechet_from_moments(fake: Moments, real: Moments) -> float:
    """FD of moments gathered elsewhere, such as merged from shards: means ``(D,)``, covariances ``(D, D)``.

    Raises GenbenchError for moments of different width, NaN or infinity.
    """
    return gaussian_distance(fake.mean, fake.covariance, real.mean, real.covariance)


def gaussian_distance(mean_1: Array, covariance_1: Array, mean_2: Array, covariance_2: Array) -> float:
    """FD of two Gaussians; computed in float64 whatever is given. Raises as ``frechet_from_moments``."""
    m1, s1, m2, s2 = parts = [_numpy(x) for x in (mean_1, covariance_1, mean_2, covariance_2)]
    d = m1.size
    if [x.shape for x in parts] != [(d,), (d, d)] * 2:
        raise GenbenchError(f"needs means (D,) and covariances (D, D) of one D, got {[tuple(x.shape) for x in parts]}")
    if not all(np.isfinite(x).all() for x in parts):
        raise GenbenchError("moments hold NaN or infinity")
    shift = m1 - m2
    return max(0.0, float(shift @ shift + s1.trace() + s2.trace() - 2 * root_trace(s1, s2)))


@metric("fd", of="features", on=EVERY, aspect="realism", unit="1", better="lower", paper=PAPER)
def fd(space: Space) -> Estimate:
    """Fréchet distance: how far mean and covariance of the samples' features are from real ones; falls with n."""
    if known := space.comparison.statistics:
        return frechet_to_statistics(space.fake, known.mean, known.covariance)
    return _estimate(_shared(space), len(space.fake))


@metric("fd_corrected", of="features", on=EVERY, aspect="realism", unit="1", better="lower", paper=PAPER)
def fd_corrected(space: Space) -> Estimate:
    """Fréchet distance without its bias of order 1/n, by extrapolation from halves; near 0 it may be negative."""
    x, y = arrays(space.fake, space.real, LEAST)
    return _corrected(_shared(space), x, y)


def _shared(space: Space) -> Distance:
    """The distance that both metrics start from, taken once."""
    return space.once("frechet distance", lambda: _distance(*arrays(space.fake, space.real), _covariances(space)))


def _covariances(space: Space) -> Covariances | None:
    """Of both sides, where they were gathered while features were extracted; the reference's once for all models."""
    fake, real = space.of("samples").gathered, space.of("reference").gathered
    return (_numpy(fake.covariance), _numpy(real.covariance)) if fake and real else None


def _estimate(found: Distance, n: int) -> Estimate:
    return Estimate(value=found.value, n=n, interval=normal_interval(*found, METHOD, lo=0))


def _corrected(whole: Distance, x: np.ndarray, y: np.ndarray) -> Estimate:
    x, y = _shuffled(x), _shuffled(y)
    halves = _mean_of_parts(x, y, 2)
    value, error, method = 2 * whole.value - halves, whole.error, METHOD
    if min(len(x), len(y)) // 2 <= x.shape[1]:
        coarser = 2 * halves - _mean_of_parts(x, y, 4)
        error, method = math.hypot(error, value - coarser), f"{METHOD}, and the change since quarters"
    interval = normal_interval(value, error, method)
    return Estimate(value=value, n=len(x), interval=interval, protocol={"bias": "halves", "shuffle_seed": SEED})


def arrays(fake: Array, real: Array, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Both sides checked, as float64 on the CPU."""
    x, y = checked_pair(fake, real, least)
    return _numpy(x), _numpy(y)


def _numpy(x: Array) -> np.ndarray:
    return torch.as_tensor(x).double().cpu().numpy()


def _distance(x: np.ndarray, y: np.ndarray, covariances: Covariances | None = None) -> Distance:
    value, of_fake, of_real = influences(x, y, covariances)
    return Distance(value, math.sqrt(of_fake.var(ddof=1) / len(x) + of_real.var(ddof=1) / len(y)))


def influences(x: np.ndarray, y: np.ndarray, covariances: Covariances | None = None) -> Influences:
    """FD of float64 rows ``(n, D)`` and ``(m, D)``, and what moves it. covariances: of both, where they are known."""
    unit = _unit(x, y)
    if unit != 1:
        x, y = x / unit, y / unit
        covariances = covariances and (covariances[0] / unit**2, covariances[1] / unit**2)
    a, b, shift = _scatter(x), _scatter(y), x.mean(0) - y.mean(0)
    plan = transport(a, b, covariances)
    value, fake = _sum(a, b, shift, plan.trace), _influence(a, shift, plan.there)
    real = _influence(b, -shift, plan.back)
    return Influences(value * unit**2, fake * unit**2, real * unit**2)


def _unit(x: np.ndarray, y: np.ndarray) -> float:
    """1, or a power of two near the largest value where single precision would over- or underflow without."""
    largest = max(float(end) for side in (x, y) for end in (side.max(), -side.min()))
    return 1.0 if largest == 0 or 1e-10 < largest < 1e10 else 2.0 ** math.floor(math.log2(largest))


def _mean_of_parts(x: np.ndarray, y: np.ndarray, parts: int) -> float:
    """Mean FD of disjoint parts, each an equal share of both sides but for a row."""
    pairs = zip(np.array_split(x, parts), np.array_split(y, parts), strict=True)
    return math.fsum(_value(a, b) for a, b in pairs) / parts


def _value(x: np.ndarray, y: np.ndarray) -> float:
    a, b = _scatter(x), _scatter(y)
    return _sum(a, b, x.mean(0) - y.mean(0), root_trace_of_rows(a, b))


def _sum(a: np.ndarray, b: np.ndarray, shift: np.ndarray, trace: float) -> float:
    """Never below 0: what is less is rounding."""
    return max(0.0, float(shift @ shift + np.vdot(a, a) + np.vdot(b, b) - 2 * trace))


def _scatter(x: np.ndarray) -> np.ndarray:
    """Rows A with A'A the covariance."""
    rows: np.ndarray = (x - x.mean(0)) / math.sqrt(len(x) - 1)
    return rows


def _influence(rows: np.ndarray, shift: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Of one side's samples, from its scatter rows, which are scaled by (n - 1)^(-1/2)."""
    scale = len(rows) - 1
    lengths = np.einsum("ij,ij->i", rows, rows)
    found: np.ndarray = 2 * math.sqrt(scale) * (rows @ shift) + scale * (lengths - moved)
    return found


def _shuffled(x: np.ndarray) -> np.ndarray:
    return x[np.random.default_rng(SEED).permutation(len(x))]
