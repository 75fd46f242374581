"""Log-likelihood of continuous data: the mean log-density of test examples, in nats an example.

So density estimators of tables are compared (Papamakarios et al. 2017, arXiv:1705.07057, table 1). It depends on the
unit of every column, so numbers compare on the same data alone, brought to the same scale, and it has no end above: a
density that falls on values which repeat in the data can be as high as one likes. Data of levels has ``bits_per_dim``.
"""

from __future__ import annotations

import math

import numpy as np

from bench import Estimate, Likelihood, Omitted, Trial, metric, modality_of, normal_interval, ratio_parts
from metrics.likelihood._examples import finite, nats_of, told


@metric(
    "log_likelihood",
    on={"vector", "audio", "music"},
    aspect="likelihood",
    unit="nat",
    better="higher",
    paper="arXiv:1705.07057, table 1",
)
def log_likelihood(trial: Trial[Likelihood]) -> Estimate:
    """Mean log-density of a test example, in nats, of data without levels."""
    if modality_of(trial.spec).levels(trial.spec) is not None:
        raise Omitted(f"{trial.spec.kind} data has levels, which are counted in bits: see bits_per_dim")
    if trial.model.log_prob_of != "density":
        raise Omitted("the model's log_prob is a mass, and continuous data has a density")
    return told(mean_of(-nats_of(trial).nats), trial, bound=trial.model.bound)


def mean_of(log_p: np.ndarray) -> Estimate:
    """The mean of each example's log-density, ``(n,)`` nats, with its normal interval, of one example without.

    Raises GenbenchError for NaN or infinity.
    """
    nats, n = finite(log_p), len(log_p)
    value = float(nats.mean())
    if n < 2:
        return Estimate(value=value, n=n)
    error = float(nats.std(ddof=1)) / math.sqrt(n)
    interval, parts = normal_interval(value, error, "normal, over examples"), ratio_parts(nats, np.ones(n))
    return Estimate(value=value, n=n, interval=interval, parts=parts)
