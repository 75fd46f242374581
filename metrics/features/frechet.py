"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, arXiv:1706.08500, Eq. 6).

    FD = |mu_1 - mu_2|^2 + tr (S_1 + S_2 - 2 (S_1 S_2)^(1/2))

It is called FID only with the Inception weights of 2015-12-05, and otherwise after its extractor. Its expectation
falls with the numbers of samples, by about c / n (Chong & Forsyth 2020, arXiv:1911.07023), so numbers from different
n do not compare; ``fd_corrected`` takes that term out.

The standard error is the delta method's, over both sides. With T the linear map that carries the one Gaussian to the
other (metrics/features/_gaussian.py) a sample x moves FD by its influence, up to a constant

    2 (mu_1 - mu_2)' (x - mu_1) + (x - mu_1)' (I - T) (x - mu_1),

a real one by the same with the sides exchanged, and SE^2 is the sum of both variances over n and m, less what the noise
of T adds to it. Of more rows than ``ENOUGH`` so many tell a side's variance, as exactly as an interval needs. Near 0 FD
is skewed and scatters the less the smaller it is, so each value is tested with the variance that it would have itself
(``score_interval``).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch

from bench import Estimate, GenbenchError, Moments, Space, alive, metric, score_interval
from metrics._arrays import Array, by_content, checked, checked_pair
from metrics.features._gaussian import ALL, Covariances, Rows, root_trace, root_trace_of_rows, transport, transport_to

METHOD = "score, delta method over both sides"
ENOUGH = 2_048  # rows that tell a side's variance, to about 3 % of itself (a standard error to half of that)
SPLITS = 8  # ways to halve the sides
QUARTERED = 2  # of them, whose halves are halved again
WIDER = 1.2  # standard deviations, for a spread that is known from so many splits: Student's quantile for the normal
LEAST = 8  # rows a side, so that a quarter has a covariance
PAPER = "arXiv:1706.08500, Eq. 6"


class Distance(NamedTuple):
    """A value in squared feature units, and its standard error."""

    value: float
    error: float


class Influences(NamedTuple):
    """A distance, and by how much rows of either side move it, up to a constant: ``(n,)`` and ``(m,)`` of all.

    roots: eigenvalues of (S_1 S_2)^(1/2), those of either covariance where both sides are alike.
    """

    value: float
    roots: np.ndarray
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

    It estimates the distance of the populations, and may come out slightly below 0 where that is near 0. The mean is
    over ``SPLITS`` ways to halve the sides, which the rows decide and not their order. Higher orders of the bias remain
    where half a side holds no more rows than D, and of heavy tails; the interval is widened by how much the same step
    from quarters to halves differs. With fewer rows than D / 2 that understates what remains, if all directions vary
    alike.

    The interval knows that the distance it is of is not negative. Its variance has a part that lasts where both sides
    are alike, which is how far the ways to halve them differ, and one that grows with the distance, the delta method's;
    each distance is tested with the variance that it would have itself (``score_interval``). It begins at 0 or above,
    but for a value below 0, with which it begins, and then ends where that of 0 does.
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
    unit = _unit(x, np.stack([m, np.sqrt(s.diagonal())]))
    a, shift, some = _scatter(x / unit), (x.mean(0) - m) / unit, _enough(x)
    plan = transport_to(a, s / unit**2, some)
    value = max(0.0, float(shift @ shift + np.vdot(a, a) + s.trace() / unit**2 - 2 * plan.trace))
    moved = _influence(a[some], shift, plan.there, len(x))
    error = _error(moved.var(ddof=1) / len(x), plan.roots, 1 / len(x))
    found = Distance(value * unit**2, error * unit**2)
    return _estimate(found, len(x), "score, delta method over samples; mu and sigma taken as exact")


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


def say_if_singular(space: Space, fake: Literal["samples", "reconstructions"], real: bool = True) -> None:
    """A remark where a side has no more rows than features have dimensions. real: whether there is a reference."""
    sides = {fake: space.of(fake).features, **({"held-out examples": space.real} if real else {})}
    width = sides[fake].shape[1]
    if few := [f"{len(rows)} {side}" for side, rows in sides.items() if len(rows) <= width]:
        space.remark(
            f"{' and '.join(few)} are too few for Fréchet distances: a covariance of {width} dimensions is singular, "
            f"and the value mostly bias; give well above {width} of each, or take kid or mind"
        )


@metric(
    "fd",
    aspect="realism",
    unit="1",
    better="lower",
    least=0,
    classic={"inception": "fid"},
    lead=1,
    curve=2,
    paper=PAPER,
)
def fd(space: Space) -> Estimate:
    """Fréchet distance: how far mean and covariance of the samples' features are from real ones; falls with n."""
    if known := space.comparison.statistics:
        say_if_singular(space, "samples", real=False)
        return frechet_to_statistics(space.fake, known.mean, known.covariance)
    return _estimate(space.once(_shared), len(space.fake))


@metric("fd_corrected", aspect="realism", unit="1", better="lower", lead=2, paper=PAPER)
def fd_corrected(space: Space) -> Estimate:
    """Fréchet distance without its bias of order 1/n, by extrapolation from halves; near 0 it may be negative."""
    x, y = arrays(space.fake, space.real, LEAST)
    return _corrected(space.once(_shared), x, y)


def _shared(space: Space) -> Distance:
    """The distance that both metrics start from, taken once."""
    say_if_singular(space, "samples")
    # Covariances where they were gathered while features were extracted; the reference's once for all models.
    fake, real = space.of("samples").gathered, space.of("reference").gathered
    covariances = (_numpy(fake.covariance), _numpy(real.covariance)) if fake and real else None
    return _distance(*arrays(space.fake, space.real), covariances)


def _estimate(found: Distance, n: int, method: str = METHOD) -> Estimate:
    interval = score_interval(found.value, _slope(found), 0.0, f"{method}, of the expectation at this n")
    return Estimate(value=found.value, n=n, interval=interval)


def _slope(found: Distance) -> float:
    """Variance for each unit of distance."""
    return found.error**2 / found.value if found.value > 0 else 0.0


def _corrected(whole: Distance, x: np.ndarray, y: np.ndarray) -> Estimate:
    halves, quarters = _of_parts(x, y, 2, SPLITS), _of_parts(x, y, 4, QUARTERED)
    value = 2 * whole.value - halves.mean()
    # Linear terms cancel between halves: what differs from split to split is the noise that remains at distance 0.
    noise = halves.var(ddof=1) * (1 + 1 / SPLITS) * WIDER**2
    bias = value - (2 * halves[:QUARTERED] - quarters).mean()
    method = f"{METHOD}, the spread over splits, and the change since quarters, of a distance of 0 or more"
    interval = score_interval(value, _slope(whole), noise + bias**2, method)
    return Estimate(value=value, n=len(x), interval=interval, protocol={"bias": "halves", "splits": SPLITS})


def arrays(fake: Array, real: Array, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Both sides checked, as float64 on the CPU."""
    x, y = checked_pair(fake, real, least)
    return _numpy(x), _numpy(y)


def _numpy(x: Array) -> np.ndarray:
    return torch.as_tensor(x).double().cpu().numpy()


def _distance(x: np.ndarray, y: np.ndarray, covariances: Covariances | None = None) -> Distance:
    found = influences(x, y, covariances, (_enough(x), _enough(y)))
    first = found.fake.var(ddof=1) / len(x) + found.real.var(ddof=1) / len(y)
    return Distance(found.value, _error(first, found.roots, 1 / len(x) + 1 / len(y)))


def _error(first: float, roots: np.ndarray, share: float) -> float:
    """Standard error of FD. first: the variance by influences.   share: 1/n + 1/m.

    Influences hold the noise of the estimated map, which so counts twice; where both sides are alike it is all there
    is. Taken off is its variance for normal features of the covariance that has the eigenvalues ``roots``: to second
    order FD is |d|^2 + sum_ij E_ij^2 / 2(l_i + l_j), with d and E the differences of means and covariances in the
    eigenvectors' coordinates, all of them independent.
    """
    s = roots[roots > 0]
    pairs = np.square(np.outer(s, s) / np.add.outer(s, s)).sum()
    noise = share**2 * float(2.25 * np.square(s).sum() + pairs)
    return math.sqrt(max(first - noise, first / 2))


def influences(
    x: np.ndarray, y: np.ndarray, covariances: Covariances | None = None, of: tuple[Rows, Rows] = ALL
) -> Influences:
    """FD of float64 rows ``(n, D)`` and ``(m, D)``, and what moves it.

    covariances: of both, where they are known.  of: the rows of either side whose influence is asked for.
    """
    unit = _unit(x, y)
    if unit != 1:
        x, y = x / unit, y / unit
        covariances = covariances and (covariances[0] / unit**2, covariances[1] / unit**2)
    a, b, shift = _scatter(x), _scatter(y), x.mean(0) - y.mean(0)
    plan = transport(a, b, covariances, of)
    value, fake = _sum(a, b, shift, plan.trace), _influence(a[of[0]], shift, plan.there, len(a))
    real = _influence(b[of[1]], -shift, plan.back, len(b))
    return Influences(value * unit**2, plan.roots * unit**2, fake * unit**2, real * unit**2)


def _enough(rows: np.ndarray) -> Rows:
    """``ENOUGH`` of the rows, drawn by their contents and not by their order."""
    if len(rows) <= ENOUGH:
        return slice(None)
    return by_content(rows).numpy()[np.random.default_rng(0).permutation(len(rows))[:ENOUGH]]


def _unit(x: np.ndarray, y: np.ndarray) -> float:
    """1, or a power of two near the largest value where single precision would over- or underflow without."""
    largest = max(float(end) for side in (x, y) for end in (side.max(), -side.min()))
    return 1.0 if largest == 0 or 1e-10 < largest < 1e10 else 2.0 ** math.floor(math.log2(largest))


def _of_parts(x: np.ndarray, y: np.ndarray, parts: int, splits: int) -> np.ndarray:
    """Mean FD of so many disjoint parts of both sides; of each split, ``(splits,)``.

    Rows are shuffled from the order of their contents, each side on its own; but a set beside itself is split alike,
    so that it is at no distance.
    """
    x, y = (side[by_content(side).numpy()] for side in (x, y))
    other, found = 0 if np.array_equal(x, y) else 1, list[float]()
    for split in alive(range(splits)):
        a, b = (side[np.random.default_rng((split, i)).permutation(len(side))] for side, i in ((x, 0), (y, other)))
        pairs = zip(np.array_split(a, parts), np.array_split(b, parts), strict=True)  # equal shares but for a row
        found.append(math.fsum(_value(*pair) for pair in pairs) / parts)
    return np.array(found)


def _value(x: np.ndarray, y: np.ndarray) -> float:
    a, b = _scatter(x), _scatter(y)
    return _sum(a, b, x.mean(0) - y.mean(0), root_trace_of_rows(a, b))


def _sum(a: np.ndarray, b: np.ndarray, shift: np.ndarray, trace: float) -> float:
    """Never below 0: what is less is rounding."""
    return max(0.0, float(shift @ shift + np.vdot(a, a) + np.vdot(b, b) - 2 * trace))


def _scatter(x: np.ndarray) -> np.ndarray:
    """Rows A with A'A the covariance."""
    rows = torch.from_numpy(x)  # whose threads share what is little but memory's traffic
    return (rows - rows.mean(0)).div_(math.sqrt(len(x) - 1)).numpy()


def _influence(rows: np.ndarray, shift: np.ndarray, moved: np.ndarray, n: int) -> np.ndarray:
    """Of samples of one side, from their scatter rows, which are scaled by (n - 1)^(-1/2)."""
    scale = n - 1
    lengths = np.einsum("ij,ij->i", rows, rows)
    found: np.ndarray = 2 * math.sqrt(scale) * (rows @ shift) + scale * (lengths - moved)
    return found
