"""What a model says of each test example."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from bench import Batch, Estimate, GenbenchError, Likelihood, Trial, alive
from metrics.likelihood._given import given


class Nats(NamedTuple):
    """-log p of each test example, ``(n,)`` float64, and how many values each has, padding left aside."""

    nats: np.ndarray
    sizes: np.ndarray


@torch.no_grad()
def nats_of(trial: Trial[Likelihood], prepared: Callable[[Batch], Batch] = lambda batch: batch) -> Nats:
    """The test split under the trial's model. Raises GenbenchError for NaN or infinity.

    prepared: what is done to each batch before.
    """
    nats, sizes, split = [], [], trial.dataset.test
    rows, *row = trial.spec.shape
    for index in alive(torch.arange(len(split)).split(trial.batch_size)):
        batch = prepared(split.batch(index))
        lengths = torch.full((len(index),), rows) if batch.lengths is None else batch.lengths
        sizes.append(lengths.cpu() * math.prod(row))
        nats.append(-trial.model.log_prob(batch.to(trial.device)).double().cpu())
    return Nats(finite(torch.cat(nats).numpy()), torch.cat(sizes).numpy())


def finite(nats: np.ndarray) -> np.ndarray:
    """The same as float64. Raises GenbenchError for NaN or infinity."""
    if not np.isfinite(nats).all():
        raise GenbenchError("log_prob returned NaN or infinity")
    return nats.astype(np.float64)


def told(estimate: Estimate, trial: Trial[Likelihood], *, bound: bool, **protocol: Any) -> Estimate:
    """The estimate with what a likelihood of the test split says of itself."""
    own = {"split": "test", "n_real": estimate.n, **protocol, **given(trial)}
    return estimate.model_copy(update={"kind": "bound" if bound else "point", "protocol": own})
