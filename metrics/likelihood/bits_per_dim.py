"""Bits per dimension of discrete data: what the model needs to code one value of it, a pixel's colour or a note.

Of a probability mass P it is -log2 P(example) / D, over D values: 8 for a model to which all 256 levels of an image are
alike, 1 for one to which notes of a piano roll are. A density p of points in [-1, 1] bounds the mass of levels through
dequantisation (``bench.dequantise``):

    -log2 P(l)  <=  E_t[-log2 p(x + t * spacing)] - D log2 spacing

so that the number is a bound, also where log_prob is exact. Uniform noise, one draw a value. A density even over all
cells needs 8 bits too. Of sequences of unequal length it is the sum of all bits over the number of all values. What has
no levels, such as vectors, has no bits: ``log_likelihood`` is for those.
"""

from __future__ import annotations

import math

import numpy as np

from bench import (
    Batch,
    Estimate,
    Likelihood,
    Omitted,
    Trial,
    dequantise,
    metric,
    modality_of,
    ratio_interval,
    ratio_parts,
    spacing,
    uniform,
)
from metrics.likelihood._examples import finite, nats_of, told


@metric(
    "bits_per_dim",
    on={"image", "video", "music", "audio", "vector"},
    aspect="likelihood",
    unit="bit/dim",
    better="lower",
    paper="arXiv:1511.01844, section 3.1",
)
def bits_per_dim(trial: Trial[Likelihood]) -> Estimate:
    """Bits needed to code one value of the test data: of a mass as it is, of a density by dequantisation."""
    kind, modality = trial.spec.kind, modality_of(trial.spec)
    density, levels, rng = trial.model.log_prob_of == "density", modality.levels(trial.spec), trial.rng("dequantise")
    if levels is None:
        raise Omitted(f"needs data of levels, and {kind} {modality.examples} have none: see log_likelihood")
    if density and kind != "continuous":
        raise Omitted(f"the model's log_prob is a density, and {kind} data has none")

    def spread(batch: Batch) -> Batch:
        return batch._replace(data=dequantise(batch.data, uniform(rng, *batch.data.shape), levels))

    nats, sizes = nats_of(trial, spread) if density else nats_of(trial)
    bits = bits_of(nats, sizes, spacing(levels) if density else 1)
    return told(bits, trial, bound=density or trial.model.bound, levels=levels)


def bits_of(nats: np.ndarray, dimensions: int | np.ndarray, cell: float = 1) -> Estimate:
    """Bits per dimension from each example's negative log-probability, ``(n,)`` nats, of ``dimensions`` values.

    dimensions: of all, or of each, ``(n,)``.  cell: of a density, the width of the cell that each value stands for.
    All bits over all values, with the normal interval over examples. Raises GenbenchError for NaN or infinity.
    """
    sizes = np.broadcast_to(dimensions, nats.shape).astype(np.float64)
    bits = finite(nats) / math.log(2) - sizes * math.log2(cell)
    interval = ratio_interval(bits, sizes, method="normal, over examples")
    value, parts = float(bits.sum() / sizes.sum()), ratio_parts(bits, sizes)
    return Estimate(value=value, n=len(bits), interval=interval, parts=parts)
