"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, arXiv:1706.08500, Eq. 6).

    FD = |mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2))

It is called FID only with the Inception weights of 2015-12-05, and otherwise after its extractor. The value falls
with the number of samples (its bias is about c / n), so numbers from different n are never compared.
"""

from __future__ import annotations

from torch import Tensor
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

from bench import Estimate, Trial, metric
from metrics.features import checked, pair


def frechet_distance(fake: Tensor, real: Tensor) -> float:
    """Of two sets of features, ``(n, D)`` and ``(m, D)``; in squared feature units, 0 for equal moments.

    Raises GenbenchError for fewer than two rows, NaN or infinity.
    """
    statistics = [fid_features_to_statistics(checked(side)) for side in (fake, real)]
    return float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID])


def _frechet(trial: Trial, extractor: str) -> Estimate:
    fake, real, _, protocol = pair(trial, extractor)
    return Estimate(value=frechet_distance(fake, real), n=len(fake), protocol=protocol)


@metric(
    "fid",
    on={"image"},
    aspect="realism",
    unit="1",
    better="lower",
    extractor="inception",
    paper="arXiv:1706.08500, Eq. 6",
)
def fid(trial: Trial) -> Estimate:
    """Fréchet distance on Inception features (2015-12-05 weights)."""
    return _frechet(trial, "inception")


@metric(
    "fd_lenet",
    on={"image"},
    aspect="realism",
    unit="1",
    better="lower",
    extractor="lenet",
    paper="arXiv:1706.08500, Eq. 6",
)
def fd_lenet(trial: Trial) -> Estimate:
    """Fréchet distance on features of the shipped digit classifier."""
    return _frechet(trial, "lenet")
