"""Vendi score (Friedman & Dieng 2023, arXiv:2210.02410, Definition 3.1) under the cosine kernel.

    VS = exp(-sum_i l_i log l_i),   l the eigenvalues of K / n,   K_ij = x_i.x_j / (|x_i| |x_j|)

An effective number of different samples, from 1 (all alike) to min(n, D). It looks at no real data: noise scores high.
The eigenvalues of K / n are those of the ``(D, D)`` matrix rho = X'X / n of the normalised rows, and the smaller of
the two is taken. Cosines are of the features as they are, not centred, so a large common mean brings the score to 1.

The interval is the delta method's: a sample x moves the entropy H by -x' log(rho) x - H. The entropy of a finite
sample lies a little below that of its population, by about (directions - 1) / 2n.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Space, metric, normal_interval
from metrics.features import EVERY, Array, checked

METHOD = "delta method"


class Entropy(NamedTuple):
    """In nats, and its standard error."""

    value: float
    error: float


def vendi_score(features: Array) -> Estimate:
    """Of ``(n, D)`` features; between 1 and min(n, D).

    Raises GenbenchError for fewer than two rows, rows of zeros, rows that are all the same, NaN or infinity.
    """
    x = checked(features)
    entropy = _entropy(_normalised(x))
    most = float(min(x.shape))
    value = min(max(math.exp(entropy.value), 1.0), most)
    interval = normal_interval(value, value * entropy.error, METHOD, lo=1, hi=most)
    return Estimate(value=value, n=len(x), interval=interval, protocol={"kernel": "cosine"})


@metric(
    "vendi",
    of="features",
    on=EVERY,
    sides=["samples"],
    aspect="diversity",
    unit="1",
    better="higher",
    paper="arXiv:2210.02410, Definition 3.1",
)
def vendi(space: Space) -> Estimate:
    """Vendi score: the effective number of different samples, by the spectrum of their cosine similarities."""
    return vendi_score(space.fake)


def _normalised(x: Tensor) -> Tensor:
    """Rows of length 1; scaled by the largest entry first, so that no square overflows."""
    largest = x.abs().amax(1, keepdim=True)
    if bool((largest == 0).any()):
        count = int((largest == 0).sum())
        raise GenbenchError(f"{count} of {len(x)} rows are all zeros and have no direction: check the extractor")
    return torch.nn.functional.normalize(x / largest)


def _entropy(x: Tensor) -> Entropy:
    surprise = _surprise(x)
    return Entropy(float(surprise.mean()), float(surprise.std()) / len(x) ** 0.5)


def _surprise(x: Tensor) -> Tensor:
    """-x' log(rho) x of each row ``(n,)``; their mean is the entropy, as the mean of x x' is rho."""
    n, d = x.shape
    values, vectors = torch.linalg.eigh((x.T @ x if d <= n else x @ x.T) / n)
    # Below rounding there is no direction, and 0 log 0 = 0.
    values = torch.where(values > max(n, d) * torch.finfo(x.dtype).eps, values, 0)
    if d <= n:
        return torch.mv((x @ vectors).square(), -torch.where(values > 0, values, 1).log())
    return torch.mv(vectors.square(), torch.special.entr(values)) * n
