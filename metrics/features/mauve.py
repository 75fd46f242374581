"""MAUVE and the frontier integral: how far two distributions are apart, both ways at once (Pillutla et al. 2021,
arXiv:2102.01454; Pillutla et al. 2023, JMLR 24, arXiv:2212.14578; Liu et al. 2021, arXiv:2106.07898).

Features of both sides are scaled to length 1, reduced by PCA to 90 % of their variance and put into clusters together
(k-means, one cluster to ten examples of the smaller side), which makes two histograms P and Q. For mixtures
R = w P + (1 - w) Q the curve of (exp(-c KL(Q|R)), exp(-c KL(P|R))) shows both kinds of error:

    MAUVE = area under that curve, c = 5, 1 where P = Q           (2102.01454, Eqs. 1-3)
    FI    = 2 int_0^1 w KL(P|R) + (1 - w) KL(Q|R) dw, 0 where P = Q    (2106.07898, Def. 1 and Prop. 2)

FI is taken of histograms with half a count added to each cluster (Krichevsky & Trofimov), as JMLR recommends for few
samples; MAUVE as it was published, without. Both depend on the number of samples and of clusters and on the features;
on others than the paper's GPT-2 they are not the paper's numbers. The mean over five seeds of k-means is reported.

Both are biased: a few hundred samples fall apart into clusters even where the distributions are one, so MAUVE is lower
than with all the data there is and FI higher. The interval is of what so many samples give on average in such clusters.
Where features have atoms (many zeros) other data fall into clusters of another kind, and it is too narrow.

Sides that share no cluster have the least MAUVE there is, 0.0041, and those that share few lie above it as the few
examples do that share one: skewed, and scattering the less the nearer. In that half of the range its interval is
Wilson's, of as many trials as scatter alike; at the least value, of as many as there are steps of one example.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench import Estimate, GenbenchError, Interval, Space, alive, bounded_interval, metric, normal_interval
from metrics._arrays import Array, by_content, checked_pair

SCALING = 5
POINTS = 25  # of the curve, besides its two ends
VARIANCE = 0.9
PER_CLUSTER = 10
SEEDS = 5
RESTARTS, ITERATIONS = 1, 500
LEAST = 100  # examples a side: ten clusters
DRAWS, STEP = 100, 0.5  # of weights; a whole step would empty clusters, where the curve bends too sharply
METHOD = "bootstrap over examples in the clusters found, and spread of seeds, of the expectation at this n"
Score = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of histograms, ``(seeds, clusters)``, to ``(seeds,)``
IntervalOf = Callable[[float, float, int], Interval]  # of a value, its variance and the rows of the smaller side
Protocol = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Clusters:
    """The cluster of each example of either side, one row a seed of k-means: ``(seeds, n)`` and ``(seeds, m)`` int64.

    count: how many clusters there are.
    """

    fake: np.ndarray
    real: np.ndarray
    count: int


def mauve(found: Clusters) -> Estimate:
    """MAUVE from 0.0041, of sides that share no cluster, to 1; higher is better; mean over the seeds."""
    protocol: Protocol = {"scaling": SCALING, "smoothing": "none"}
    return _estimate(found, lambda p, q: area(shares(p), shares(q)), _above_least, protocol)


def frontier_integral(found: Clusters) -> Estimate:
    """FI in [0, 1], lower is better; mean over the seeds."""
    protocol: Protocol = {"smoothing": "Krichevsky-Trofimov"}
    return _estimate(found, lambda p, q: integral(smoothed(p), smoothed(q)), _around, protocol)


def clusters(fake: Array, real: Array, seeds: int = SEEDS) -> Clusters:
    """Of both sides' features ``(n, D)`` and ``(m, D)`` under each seed 0, 1, ...; the order of rows plays no part.

    Clustered are rows of length 1, on the fewest principal axes that hold 90 % of the variance.
    Raises TooFew for fewer than 100 rows a side, GenbenchError for NaN, different widths, or one direction alone.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    x, y = (side[by_content(side)].cpu().numpy() for side in checked_pair(fake, real, LEAST))
    unit = normalize(np.concatenate([x, y]))
    if np.allclose(unit, unit[0]):
        raise GenbenchError("the features differ in length only, which MAUVE does not see: use another measure")
    pca = PCA(svd_solver="full").fit(unit)
    axes = int(np.searchsorted(pca.explained_variance_ratio_.cumsum(), VARIANCE)) + 1
    reduced = pca.transform(unit)[:, :axes]
    count = round(min(len(x), len(y)) / PER_CLUSTER)
    labels = np.stack([_clustered(reduced, count, seed) for seed in alive(range(seeds))])
    return Clusters(labels[:, : len(x)], labels[:, len(x) :], count)


def _clustered(x: np.ndarray, count: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    means = KMeans(count, n_init=RESTARTS, max_iter=ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        # Fewer different rows than clusters, as of a collapsed generator: the clusters left over are empty, as meant.
        warnings.filterwarnings("ignore", "Number of distinct clusters", ConvergenceWarning)
        labels: np.ndarray = means.fit_predict(x)
    return labels


def area(p: np.ndarray, q: np.ndarray, scaling: float = SCALING) -> np.ndarray:
    """Area under the divergence curve of histograms that sum to 1, ``(..., clusters)``, by trapezia over both axes."""
    p, q = p[..., None, :], q[..., None, :]
    w = np.linspace(1e-6, 1 - 1e-6, POINTS)[:, None]
    mixture = w * p + (1 - w) * q  # (..., points, clusters)
    x, y = (np.exp(-scaling * divergence(side, mixture)) for side in (q, p))
    ends = (*x.shape[:-1], 1)
    x = np.concatenate([np.ones(ends), x, np.zeros(ends)], -1)  # falls and rises with w
    y = np.concatenate([np.zeros(ends), y, np.ones(ends)], -1)
    found: np.ndarray = (_under(x, y) + _under(y, x)) / 2
    return found


def _under(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    order = np.argsort(x, -1)
    found: np.ndarray = np.trapezoid(np.take_along_axis(y, order, -1), np.take_along_axis(x, order, -1), axis=-1)
    return found


def divergence(p: np.ndarray, r: np.ndarray) -> np.ndarray:
    """KL(p | r) in nats along the last axis; infinite where r lacks what p has."""
    with np.errstate(divide="ignore"):
        terms = p * (np.log(np.where(p > 0, p, 1)) - np.where(p > 0, np.log(r), 0))
    found: np.ndarray = terms.sum(-1)
    return found


def integral(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Frontier integral of histograms that sum to 1, ``(..., clusters)``, in closed form, a term a cluster."""
    alone, equal = (p == 0) | (q == 0), np.isclose(p, q, rtol=1e-6, atol=0)  # equal shares add nothing
    a, b = np.where(alone | equal, 2, p), np.where(alone | equal, 1, q)
    shared = (a + b) / 2 - a * b * np.log(a / b) / (a - b)
    found: np.ndarray = np.where(alone, (p + q) / 2, np.where(equal, 0, shared)).sum(-1)
    return found


def smoothed(counts: np.ndarray) -> np.ndarray:
    """Shares with half a count added to each cluster, along the last axis."""
    return shares(counts + 0.5)


def shares(counts: np.ndarray) -> np.ndarray:
    """Counts over their sum along the last axis."""
    found: np.ndarray = counts / counts.sum(-1, keepdims=True)
    return found


def _estimate(found: Clusters, score: Score, interval_of: IntervalOf, protocol: Protocol) -> Estimate:
    fakes, reals = found.fake.shape[1], found.real.shape[1]
    values = _scores(found, score, np.ones(fakes), np.ones(reals))
    value = float(values.mean())
    interval = interval_of(value, _variance(found, score, values), min(fakes, reals))
    told: Protocol = {
        "clusters": found.count,
        "seeds": len(found.fake),
        "pca_variance": VARIANCE,
        "norm": "l2",
        "kmeans": f"scikit-learn, k-means++, {RESTARTS} start",
    }
    return Estimate(value=value, n=fakes, interval=interval, protocol={**told, **protocol})


def _around(value: float, variance: float, n: int) -> Interval:
    return normal_interval(value, math.sqrt(variance), METHOD, lo=0, hi=1)


def _above_least(value: float, variance: float, n: int) -> Interval:
    """Wilson's nearer to MAUVE of sides that share nothing than to 1, in steps of one example beside another side's."""
    least, one = (
        float(area(np.array([1 - share, share, 0]), np.array([0, share, 1 - share]))) for share in (0.0, 1 / n)
    )
    if value > (1 + least) / 2:
        return _around(value, variance, n)
    steps = (1 - least) / (one - least)
    return bounded_interval(value, math.sqrt(variance), steps, f"Wilson, {METHOD}", lo=least)


def _scores(found: Clusters, score: Score, fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The score under each seed, ``(seeds,)``, each example weighing so much, ``(n,)`` and ``(m,)``."""
    return score(_histograms(found.fake, fake, found.count), _histograms(found.real, real, found.count))


def _histograms(labels: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Weight in each cluster, ``(seeds, clusters)``."""
    seeds = len(labels)
    places = (labels + count * np.arange(seeds)[:, None]).ravel()
    return np.bincount(places, np.tile(weights, seeds), seeds * count).reshape(seeds, count)


def _variance(found: Clusters, score: Score, values: np.ndarray) -> float:
    """Of the mean over seeds, from the scores at example weights 1 + h e and 1 - h e, e of random signs.

    Half of what differs between the two is the part of first order, their mean less the value that of second order.
    Seeds share their examples, so the parts are those of the mean over seeds. What the seeds differ by beyond the noise
    of their examples, clusters of another kind, is added.
    """
    rng, first, second = np.random.default_rng(0), [], []
    for _ in range(DRAWS):
        fake, real = (STEP * rng.choice([-1.0, 1.0], side.shape[1]) for side in (found.fake, found.real))
        up, down = _scores(found, score, 1 + fake, 1 + real), _scores(found, score, 1 - fake, 1 - real)
        first.append((up - down) / (2 * STEP))
        second.append(((up + down) / 2 - values) / STEP**2)
    parts = (np.array(first), np.array(second))  # (draws, seeds)
    of_mean = _whole(*(float(part.mean(1).var()) for part in parts))
    between = _whole(*(float(part.var(1, ddof=1).mean()) for part in parts))
    return of_mean + max(0.0, float(values.var(ddof=1)) - between)


def _whole(first: float, second: float) -> float:
    """A variance, from those of both parts of a bootstrap.

    The first part holds the noise of the second once too often (Efron & Stein 1981): where both sides are alike it is
    all noise, and its variance twice too large. The whole is never less than the second part alone.
    """
    return max(first - second, second)


def _shared(space: Space) -> Clusters:
    return clusters(space.fake, space.real)


@metric("mauve", aspect="realism", unit="1", better="higher", least=0, most=1,
        paper="arXiv:2102.01454, Eqs. 1-3")  # fmt: skip
def mauve_of_space(space: Space) -> Estimate:
    """Area under the divergence frontier of clustered features; 1 where samples and real data fall alike."""
    return mauve(space.once(_shared))


@metric("frontier_integral", aspect="realism", unit="1", better="lower", least=0,
        paper="arXiv:2212.14578; arXiv:2106.07898, Prop. 2")  # fmt: skip
def frontier_integral_of_space(space: Space) -> Estimate:
    """KL divergences from mixtures of samples and real data, averaged over mixtures; 0 where the two fall alike."""
    return frontier_integral(space.once(_shared))
