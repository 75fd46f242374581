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
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench import Estimate, GenbenchError, Space, metric, normal_interval
from metrics.features import EVERY, Array, checked_pair

SCALING = 5
POINTS = 25  # of the curve, besides its two ends
VARIANCE = 0.9
PER_CLUSTER = 10
SEEDS = 5
RESTARTS, ITERATIONS = 1, 500
LEAST = 100  # examples a side: ten clusters
METHOD = "jackknife over examples, and spread of k-means seeds, of the expectation at this n"
Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Histograms:
    """Examples a cluster of either side, one row a seed of k-means: ``(seeds, clusters)`` int64."""

    fake: np.ndarray
    real: np.ndarray


def mauve(histograms: Histograms) -> Estimate:
    """MAUVE in (0, 1], higher is better; mean over the seeds."""
    found = _estimate(histograms, lambda p, q: area(p / p.sum(), q / q.sum()))
    return found.model_copy(update={"protocol": {**found.protocol, "scaling": SCALING, "smoothing": "none"}})


def frontier_integral(histograms: Histograms) -> Estimate:
    """FI in [0, 1], lower is better; mean over the seeds."""
    found = _estimate(histograms, lambda p, q: integral(smoothed(p), smoothed(q)))
    return found.model_copy(update={"protocol": {**found.protocol, "smoothing": "Krichevsky-Trofimov"}})


def histograms(fake: Array, real: Array, seeds: int = SEEDS) -> Histograms:
    """Clusters of both sides' features ``(n, D)`` and ``(m, D)`` under each seed 0, 1, ...

    Raises TooFew for fewer than 100 rows a side, GenbenchError for NaN or different widths.
    """
    x, y = (side.cpu().numpy() for side in checked_pair(fake, real, LEAST))
    reduced = _reduced(np.concatenate([x, y]))
    clusters = round(min(len(x), len(y)) / PER_CLUSTER)
    labels = np.stack([_clustered(reduced, clusters, seed) for seed in range(seeds)])
    sides = (labels[:, : len(x)], labels[:, len(x) :])
    return Histograms(*(np.stack([np.bincount(row, minlength=clusters) for row in side]) for side in sides))


def _reduced(x: np.ndarray) -> np.ndarray:
    """Rows of length 1 on the fewest principal axes that hold 90 % of the variance."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    unit = normalize(x)
    if np.allclose(unit, unit[0]):
        raise GenbenchError("the features differ in length only, which MAUVE does not see: use another measure")
    pca = PCA(svd_solver="full").fit(unit)
    axes = int(np.searchsorted(pca.explained_variance_ratio_.cumsum(), VARIANCE)) + 1
    projected: np.ndarray = pca.transform(unit)[:, :axes]
    return projected


def _clustered(x: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    means = KMeans(clusters, n_init=RESTARTS, max_iter=ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        # Fewer different rows than clusters, as of a collapsed generator: the clusters left over are empty, as meant.
        warnings.filterwarnings("ignore", "Number of distinct clusters", ConvergenceWarning)
        labels: np.ndarray = means.fit_predict(x)
    return labels


def area(p: np.ndarray, q: np.ndarray, scaling: float = SCALING) -> float:
    """Area under the divergence curve of two histograms that sum to 1, by trapezia, averaged over both axes."""
    w = np.linspace(1e-6, 1 - 1e-6, POINTS)[:, None]
    mixture: np.ndarray = w * p + (1 - w) * q  # (points, clusters)
    x = np.concatenate([[1], np.exp(-scaling * divergence(q, mixture)), [0]])  # falls and rises with w
    y = np.concatenate([[0], np.exp(-scaling * divergence(p, mixture)), [1]])
    along_x, along_y = np.argsort(x), np.argsort(y)
    return float(np.trapezoid(y[along_x], x[along_x]) + np.trapezoid(x[along_y], y[along_y])) / 2


def divergence(p: np.ndarray, r: np.ndarray) -> np.ndarray:
    """KL(p | r) in nats of one histogram from each row of ``r``, ``(rows,)``; infinite where r lacks what p has."""
    with np.errstate(divide="ignore"):
        terms = p * (np.log(np.where(p > 0, p, 1)) - np.where(p > 0, np.log(r), 0))
    found: np.ndarray = terms.sum(-1)
    return found


def integral(p: np.ndarray, q: np.ndarray) -> float:
    """Frontier integral of two histograms that sum to 1, in closed form, a term a cluster."""
    both = (p > 0) & (q > 0) & ~np.isclose(p, q, rtol=1e-6, atol=0)  # equal shares add nothing
    a, b = p[both], q[both]
    shared = (a + b) / 2 - a * b * np.log(a / b) / (a - b)
    alone = (p + q)[(p == 0) | (q == 0)] / 2
    return float(shared.sum() + alone.sum())


def smoothed(counts: np.ndarray) -> np.ndarray:
    """Shares with half a count added to each cluster."""
    added: np.ndarray = counts + 0.5
    shares: np.ndarray = added / added.sum()
    return shares


def _estimate(h: Histograms, score: Score) -> Estimate:
    """Mean over seeds; its error is that of the examples, which all seeds share, and that of the seeds."""
    pairs = list(zip(h.fake.astype(float), h.real.astype(float), strict=True))
    values = np.array([score(p, q) for p, q in pairs])
    variances = [_jackknife(p, partial(_second, score, q)) + _jackknife(q, partial(score, p)) for p, q in pairs]
    error = math.sqrt(np.mean(variances) + values.var(ddof=1) / len(values))
    protocol = {
        "clusters": h.fake.shape[1],
        "seeds": len(values),
        "pca_variance": VARIANCE,
        "norm": "l2",
        "kmeans": f"scikit-learn, k-means++, {RESTARTS} start",
    }
    interval = normal_interval(values.mean(), error, METHOD, lo=0, hi=1)
    return Estimate(value=float(values.mean()), n=int(h.fake[0].sum()), interval=interval, protocol=protocol)


def _second(score: Score, q: np.ndarray, p: np.ndarray) -> float:
    return score(p, q)


def _jackknife(counts: np.ndarray, score: Callable[[np.ndarray], float]) -> float:
    """Variance of the score from leaving out one example at a time; all of one cluster leave the same behind."""
    n, held = counts.sum(), np.flatnonzero(counts)
    without = np.array([score(counts - (np.arange(len(counts)) == cluster)) for cluster in held])
    weights = counts[held] / n
    return float((n - 1) * (weights * (without - weights @ without) ** 2).sum())


def _shared(space: Space) -> Histograms:
    return space.once("mauve histograms", lambda: histograms(space.fake, space.real))


@metric("mauve", of="features", on=EVERY, aspect="realism", unit="1", better="higher",
        paper="arXiv:2102.01454, Eqs. 1-3")  # fmt: skip
def mauve_of_space(space: Space) -> Estimate:
    """Area under the divergence frontier of clustered features; 1 where samples and real data fall alike."""
    return mauve(_shared(space))


@metric("frontier_integral", of="features", on=EVERY, aspect="realism", unit="1", better="lower",
        paper="arXiv:2212.14578; arXiv:2106.07898, Prop. 2")  # fmt: skip
def frontier_integral_of_space(space: Space) -> Estimate:
    """KL divergences from mixtures of samples and real data, averaged over mixtures; 0 where the two fall alike."""
    return frontier_integral(_shared(space))
