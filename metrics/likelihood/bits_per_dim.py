"""Bits per dimension of 8-bit images under a density (Theis et al. 2016, arXiv:1511.01844, section 3.1).

A model of x in [-1, 1] gives a density p; the data are levels l in 0..255, shown to it as x = l / 127.5 - 1. With
uniform noise t in [-1/2, 1/2) the dequantised u = l + t fills the cell that rounds to l, and has density
p(u / 127.5 - 1) / 127.5 in each dimension. By Jensen's inequality

    -log2 P(l)  <=  E_t[-log2 p(x)] + D log2 127.5,    bits/dim = (nats / D) / ln 2 + log2 127.5

so the number is a bound, also where log_prob is exact. A density even over all cells needs 8 bits.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Likelihood, Omitted, Trial, alive, metric, normal_interval, uniform

LEVEL = 1 / 127.5  # the distance of two levels on the scale [-1, 1]


@metric(
    "bits_per_dim",
    on={"image"},
    aspect="likelihood",
    unit="bit/dim",
    better="lower",
    paper="arXiv:1511.01844, section 3.1",
)
def bits_per_dim(trial: Trial[Likelihood]) -> Estimate:
    """Bits needed to code one colour value (of 256 levels) of the test images with the model's density; a bound."""
    model = _density(trial)
    rng, nats = trial.rng("dequantise"), []
    for index in alive(torch.arange(len(trial.dataset.test)).split(trial.batch_size)):
        x = trial.dataset.test.batch(index).data
        noisy = dequantised(x, uniform(rng, *x.shape))
        nats.append(_nats(model, noisy.to(trial.device)))
    found = bits_of_density(torch.cat(nats).numpy(), math.prod(trial.spec.shape))
    return found.model_copy(update={"protocol": {**found.protocol, "split": "test", "n_real": found.n}})


def bits_of_density(nats: np.ndarray, dimensions: int) -> Estimate:
    """Bits per dimension from each image's negative log-density, ``(n,)`` nats, of ``dimensions`` values in [-1, 1].

    The mean over images with its normal interval. Raises GenbenchError for NaN or infinity.
    """
    if not np.isfinite(nats).all():
        raise GenbenchError("log_prob returned NaN or infinity")
    bits = nats.astype(np.float64) / dimensions / math.log(2) - math.log2(LEVEL)
    value, n = float(bits.mean()), len(bits)
    error = float(bits.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return Estimate(
        value=value,
        n=n,
        interval=None if error is None else normal_interval(value, error, "normal, over images"),
        kind="bound",
        protocol={"levels": 256, "dequantisation": "uniform", "draws": 1},
    )


def dequantised(x: Tensor, u: Tensor) -> Tensor:
    """Levels on the scale [-1, 1] spread over the cells that round to them, by draws ``u`` in [0, 1) of that shape."""
    return x + (u - 0.5) * LEVEL


@torch.no_grad()
def _nats(model: Likelihood, x: Tensor) -> Tensor:
    return -model.log_prob(x).double().cpu()


def _density(trial: Trial[Likelihood]) -> Likelihood:
    """The model, if its log_prob is a density of grey levels. Raises Omitted with what it is instead."""
    if not isinstance(trial.model, Likelihood):
        raise Omitted("needs a model with log_prob")
    if trial.spec.kind != "continuous":
        raise Omitted(f"needs images of 256 levels, not {trial.spec.kind} data")
    kind = getattr(trial.model, "log_prob_of", "density")
    if kind == "mass":
        raise Omitted("the model's log_prob is the mass of discrete values, not a density of levels in [-1, 1]")
    if kind != "density":
        raise Omitted("the model's log_prob is no probability of grey levels: it is not normalised")
    return trial.model
