"""Kernel Inception distance (Binkowski et al. 2018, arXiv:1801.01401, section 4).

The squared maximum mean discrepancy under k(x, y) = (x.y / D + 1)^3, estimated without bias on subsets and averaged.
It may be slightly negative when both sides are alike.
"""

from __future__ import annotations

from torch import Tensor
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from bench import Estimate, Trial, metric
from metrics.features import checked, pair

SUBSETS, SUBSET_SIZE = 100, 1000


def kernel_distance(fake: Tensor, real: Tensor, subset_size: int) -> float:
    """Mean over seeded subsets of ``subset_size`` rows a side; features ``(n, D)`` and ``(m, D)``.

    100 subsets, or 1 where it holds every row of both sides and another would be the same.
    Raises GenbenchError for fewer rows than a subset holds, NaN or infinity.
    """
    found = kid_features_to_metric(
        checked(fake, subset_size),
        checked(real, subset_size),
        kid_subsets=count_subsets(fake, real, subset_size),
        kid_subset_size=subset_size,
        verbose=False,
    )
    return float(found[KEY_METRIC_KID_MEAN])


def count_subsets(fake: Tensor, real: Tensor, subset_size: int) -> int:
    return 1 if len(fake) == len(real) == subset_size else SUBSETS


def _kid(trial: Trial, extractor: str) -> Estimate:
    fake, real, _, protocol = pair(trial, extractor)
    subset = min(SUBSET_SIZE, len(fake), len(real))
    protocol |= {"kernel": "poly3", "subsets": count_subsets(fake, real, subset), "subset_size": subset}
    return Estimate(value=kernel_distance(fake, real, subset), n=len(fake), protocol=protocol)


@metric(
    "kid", on={"image"}, aspect="realism", unit="1", better="lower", extractor="inception", paper="arXiv:1801.01401"
)
def kid(trial: Trial) -> Estimate:
    """Kernel distance on Inception features (2015-12-05 weights)."""
    return _kid(trial, "inception")


@metric(
    "kid_lenet", on={"image"}, aspect="realism", unit="1", better="lower", extractor="lenet", paper="arXiv:1801.01401"
)
def kid_lenet(trial: Trial) -> Estimate:
    """Kernel distance on features of the shipped digit classifier."""
    return _kid(trial, "lenet")
