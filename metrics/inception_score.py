"""Inception Score (Salimans et al. 2016, arXiv:1606.03498, section 4).

    IS = exp E_x KL(p(y|x) || p(y))

High when each sample is clearly of one class and all classes appear. It never looks at real data, so it cannot see
memorised or merely class-typical samples; the control `real` shows what is reachable.
"""

from __future__ import annotations

from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

from bench import Estimate, Omitted, Trial, metric
from metrics.features import checked, pair

SPLITS = 10


def inception_score(logits: Tensor, splits: int = SPLITS) -> float:
    """Mean over ``splits`` parts of the seeded shuffle of ``(n, classes)`` logits; between 1 and classes.

    Raises GenbenchError for fewer rows than splits, NaN or infinity.
    """
    return float(isc_features_to_metric(checked(logits, splits), splits=splits)[KEY_METRIC_ISC_MEAN])


def _score(trial: Trial, extractor: str) -> Estimate:
    _, _, logits, protocol = pair(trial, extractor)
    if logits is None:
        raise Omitted(f"{extractor} is no classifier")
    kept = {name: value for name, value in protocol.items() if name not in ("n_real", "reference")}
    return Estimate(value=inception_score(logits), n=len(logits), protocol={**kept, "splits": SPLITS})


@metric(
    "is", on={"image"}, aspect="realism", unit="1", better="higher", extractor="inception", paper="arXiv:1606.03498"
)
def inception_score_of_inception(trial: Trial) -> Estimate:
    """Inception Score under Inception's 1,008 classes (2015-12-05 weights)."""
    return _score(trial, "inception")


@metric(
    "is_lenet", on={"image"}, aspect="realism", unit="1", better="higher", extractor="lenet", paper="arXiv:1606.03498"
)
def inception_score_of_lenet(trial: Trial) -> Estimate:
    """Inception Score under the ten digits of the shipped classifier."""
    return _score(trial, "lenet")
