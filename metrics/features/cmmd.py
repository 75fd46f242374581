"""Maximum mean discrepancy under a Gaussian kernel (Jayasumana et al. 2024, arXiv:2401.09603, section 4).

    1000 * MMD^2 under exp(-|x - y|^2 / (2 * 10^2)), of rows scaled to unit length

Only on the embeddings of CLIP ViT-L/14 at 336 pixels is it the paper's CMMD; on other features it is the same measure,
and the extractor in its name says so. The paper speaks of an unbiased estimate while its released code computes the
biased one, which shrinks as samples are added: ``cmmd_u`` and ``cmmd_v``, and never one beside the other.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Interval, Space, metric
from metrics._arrays import Array, checked_pair
from metrics.features._mmd import LEAST, Discrepancy, discrepancy, gaussian

SIGMA, SCALE = 10.0, 1000
HOME = {"clip"}  # the protocol belongs to it; elsewhere the measure is taken when it is asked for
PAPER = "arXiv:2401.09603"
Statistic = Literal["U", "V"]


def gaussian_distance(fake: Array, real: Array, statistic: Statistic) -> Estimate:
    """Features ``(n, D)`` and ``(m, D)``, at least 4 rows each.

    U is unbiased, about 0 for equal sides; its interval is of a distance of 0 or more, and begins below 0 only with a
    value there. V holds the pairs of rows with themselves and is at least 0; its interval
    says how it scatters about its own mean at these sizes, not where the unbiased value is.
    Raises GenbenchError for fewer rows, other shapes, different D, NaN, infinity, or a row of zeros.
    """
    return _estimate(_pass(fake, real), statistic)


@metric("cmmd_u", extractors=HOME, aspect="realism", unit="1", better="lower", paper=PAPER)
def cmmd_u(space: Space) -> Estimate:
    """Gaussian kernel distance of unit-length features, unbiased as the paper says."""
    return _estimate(space.once(_shared), "U")


@metric("cmmd_v", extractors=HOME, aspect="realism", unit="1", better="lower", least=0, paper=PAPER)
def cmmd_v(space: Space) -> Estimate:
    """Gaussian kernel distance of unit-length features, biased as the released code computes it."""
    return _estimate(space.once(_shared), "V")


def _shared(space: Space) -> Discrepancy:
    return _pass(space.fake, space.real)


def _pass(fake: Array, real: Array) -> Discrepancy:
    x, y = checked_pair(fake, real, LEAST)
    return discrepancy(_unit(x), _unit(y), gaussian(SIGMA))


def _unit(x: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    if not bool((length > 0).all()):
        raise GenbenchError("a row of zeros cannot be scaled to unit length: leave it out or use another measure")
    return x.div(length)


def _estimate(found: Discrepancy, statistic: Statistic) -> Estimate:
    return Estimate(
        value=SCALE * (found.unbiased if statistic == "U" else found.biased),
        n=found.fake.n,
        interval=_interval(found, statistic),
        protocol={"kernel": "rbf", "sigma": SIGMA, "scale": SCALE, "rows": "unit length", "statistic": statistic},
    )


def _interval(found: Discrepancy, statistic: Statistic) -> Interval:
    around = found.interval()
    if statistic == "U":
        return Interval(lo=SCALE * around.lo, hi=SCALE * around.hi, level=around.level, method=around.method)
    # The diagonal of this kernel is constant, so V is U moved and drawn together by a factor of 1 - 1/n.
    bias = found.biased - found.unbiased
    # Equal sides lie at the mean of this bias, of which one drawing does not know the last digits: there it is 0.
    lo, hi = max(0.0, around.lo + bias) if around.lo > 0 else 0.0, around.hi + bias
    method = f"{around.method}, of the expectation at this n"
    return Interval(lo=SCALE * lo, hi=SCALE * hi, level=around.level, method=method)
