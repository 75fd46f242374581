"""Bits per dimension of discrete images: what the model needs to code one colour value of them.

Of a probability mass P it is -log2 P(image) / D, over D values: 8 for a model to which all 256 levels are alike. A
density p of points in [-1, 1] bounds the mass through dequantisation (``bench.dequantise``):

    -log2 P(l)  <=  E_t[-log2 p(x + t * spacing)] - D log2 spacing

so that the number is a bound, also where log_prob is exact. Uniform noise, one draw a value. A density even over all
cells needs 8 bits too.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bench import (
    Batch,
    Estimate,
    GenbenchError,
    Likelihood,
    Omitted,
    Trial,
    alive,
    dequantise,
    metric,
    normal_interval,
    spacing,
    uniform,
)
from metrics.likelihood._labels import given


@metric(
    "bits_per_dim",
    on={"image"},
    aspect="likelihood",
    unit="bit/dim",
    better="lower",
    paper="arXiv:1511.01844, section 3.1",
)
def bits_per_dim(trial: Trial[Likelihood]) -> Estimate:
    """Bits needed to code one colour value of the test images: of a mass as it is, of a density by dequantisation."""
    model, rng, nats = trial.model, trial.rng("dequantise"), []
    density = model.log_prob_of == "density"
    if density and trial.spec.kind != "continuous":
        raise Omitted(f"the model's log_prob is a density, and {trial.spec.kind} data has none")
    for index in alive(torch.arange(len(trial.dataset.test)).split(trial.batch_size)):
        batch = trial.dataset.test.batch(index)
        if density:
            batch = batch._replace(data=dequantise(batch.data, uniform(rng, *batch.data.shape)))
        nats.append(_nats(model, batch.to(trial.device)))
    bits = bits_of(torch.cat(nats).numpy(), math.prod(trial.spec.shape), spacing() if density else 1)
    kind: Literal["point", "bound"] = "bound" if density or model.bound else "point"
    protocol = {"split": "test", "n_real": bits.n, "levels": _levels(trial), **given(trial)}
    return bits.model_copy(update={"kind": kind, "protocol": protocol})


def bits_of(nats: np.ndarray, dimensions: int, cell: float = 1) -> Estimate:
    """Bits per dimension from each image's negative log-probability, ``(n,)`` nats, of ``dimensions`` values.

    cell: of a density, the width of the cell that each value stands for.
    The mean over images with its normal interval. Raises GenbenchError for NaN or infinity.
    """
    if not np.isfinite(nats).all():
        raise GenbenchError("log_prob returned NaN or infinity")
    bits = nats.astype(np.float64) / dimensions / math.log(2) - math.log2(cell)
    value, n = float(bits.mean()), len(bits)
    error = float(bits.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return Estimate(
        value=value, n=n, interval=None if error is None else normal_interval(value, error, "normal, over images")
    )


@torch.no_grad()
def _nats(model: Likelihood, batch: Batch) -> Tensor:
    return -model.log_prob(batch).double().cpu()


def _levels(trial: Trial) -> int:
    """How many values each dimension may take."""
    match trial.spec.kind:
        case "tokens":
            return trial.spec.vocab or 0
        case "binary":
            return 2
        case "continuous":
            return 256
