"""Vendi score (Friedman & Dieng 2023, arXiv:2210.02410, Definition 3.1) under the cosine kernel.

    VS = exp(-sum_i l_i log l_i),   l the eigenvalues of K / n,   K_ij = x_i.x_j / (|x_i| |x_j|)

An effective number of different samples, from 1 (all alike) to min(n, D). It looks at no real data: noise scores high.
The eigenvalues of K / n are those of the ``(D, D)`` matrix rho = X'X / n of the normalised rows, and the smaller of
the two is taken. Cosines are of the features as they are, not centred, so a large common mean brings the score to 1.

The interval is the delta method's: a sample x moves the entropy H by -x' log(rho) x - H. It is of the score that this
many samples have on average. Where all directions weigh the same that influence vanishes, and what is left is of second
order: with w_ij = (log l_i - log l_j) / (l_i - l_j), two samples move H together by

    -1/n^2 (sum_ij w_ij x_i x_j y_i y_j - 1)       in the eigenvectors' coordinates

whose variance over pairs, halved and divided by n^2, is added. The interval knows the ends, 1 and min(n, D). The
entropy of a finite sample lies below that of its population, by about (directions - 1) / 2n: with 64 of them and 300
samples that is more than the interval reaches. Where samples vary in all directions alike the first influence is noise,
and the interval errs on the wide side.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import entr

from bench import Estimate, GenbenchError, Space, metric
from metrics._arrays import Array, verified
from metrics.features._effective_number import effective_interval

METHOD = "delta method to second order, of the expectation at this n"
ROUNDING = 1e-5  # of single precision: a spread below it is none
ROWS = 1000  # and pairs of rows, that the standard error is estimated from: enough for two digits of it


class Entropy(NamedTuple):
    """In nats, and its standard error."""

    value: float
    error: float


def vendi_score(features: Array) -> Estimate:
    """Of ``(n, D)`` features; between 1 and min(n, D).

    Raises GenbenchError for fewer than two rows, rows of zeros, rows that are all the same, NaN or infinity.
    """
    x = _normalised(np.array(verified(features, largest=np.inf).cpu().numpy(), np.float64))
    entropy = _entropy(x)
    most = float(min(x.shape))
    value = min(max(math.exp(entropy.value), 1.0), most)
    interval = effective_interval(value, value * entropy.error, len(x), most, METHOD)
    return Estimate(value=value, n=len(x), interval=interval, protocol={"kernel": "cosine"})


@metric(
    "vendi",
    sides=["samples"],
    aspect="diversity",
    unit="1",
    better="higher",
    least=1,
    paper="arXiv:2210.02410, Definition 3.1",
)
def vendi(space: Space) -> Estimate:
    """Vendi score: the effective number of different samples, by the spectrum of their cosine similarities."""
    return vendi_score(space.fake)


def _normalised(x: np.ndarray) -> np.ndarray:
    """Rows of length 1, in place; where squares may leave float64, scaled by their largest entry first.

    Raises GenbenchError for rows of zeros.
    """
    squares = np.einsum("ij,ij->i", x, x)
    if not ((squares > 1e-200) & (squares < 1e200)).all():
        largest = np.abs(x).max(1, keepdims=True)
        if zeros := int((largest == 0).sum()):
            raise GenbenchError(f"{zeros} of {len(x)} rows are all zeros and have no direction: check the extractor")
        x /= largest
        squares = np.einsum("ij,ij->i", x, x)
    x /= np.sqrt(squares)[:, None]
    return x


def _entropy(x: np.ndarray) -> Entropy:
    n, d = x.shape
    values, vectors = np.linalg.eigh((x.T @ x if d <= n else x @ x.T) / n)
    values[values <= max(n, d) * np.finfo(float).eps] = 0  # below rounding there is no direction
    surprise = _surprise(x, values, vectors) if d <= n else vectors**2 @ entr(values) * n
    first, second = (s if s > ROUNDING else 0.0 for s in (surprise.std(ddof=1), _together(x, values, vectors).std()))
    return Entropy(float(entr(values).sum()), math.hypot(first / math.sqrt(n), second / (math.sqrt(2) * n)))


def _together(x: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """sum_ij w_ij x_i x_j y_i y_j of pairs of different rows that are drawn, ``(ROWS,)``, in single precision."""
    n, rng, held = len(x), np.random.default_rng(1), values > 0
    first = rng.integers(n, size=ROWS)
    second = (first + rng.integers(1, n, size=ROWS)) % n
    if x.shape[1] <= n:
        at = [x[rows].astype(np.float32) @ vectors[:, held].astype(np.float32) for rows in (first, second)]
    else:
        along = (vectors[:, held] * np.sqrt(values[held] * n)).astype(np.float32)
        at = [along[rows] for rows in (first, second)]
    product, level = at[0] * at[1], values[held]
    ratio = level[:, None] / level - 1
    weights = np.divide(np.log1p(ratio), ratio, where=ratio != 0, out=np.ones_like(ratio)) / level
    return np.asarray(((product @ weights.astype(np.float32)) * product).sum(1), np.float64)


def _surprise(x: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """-x' log(rho) x of some rows, in single precision: only the standard error is made of it."""
    some = x if len(x) <= ROWS else x[np.random.default_rng(0).choice(len(x), ROWS, replace=False)]
    along = some.astype(np.float32) @ vectors.astype(np.float32)
    along *= along
    weights = -np.log(values, where=values > 0, out=np.zeros_like(values))
    return np.asarray(along @ weights.astype(np.float32), np.float64)
