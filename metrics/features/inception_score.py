"""Inception Score (Salimans et al. 2016, arXiv:1606.03498, section 4).

    IS = exp E_x KL(p(y|x) || p(y))

High when each sample is clearly of one class and all classes appear. It never looks at real data, so it cannot see
memorised or merely class-typical samples; the control `real` shows what is reachable.

Custom takes the mean over ten parts of a shuffle; a part of few samples knows p(y) poorly and scores low, so numbers
of different n or parts do not compare. One part (`is_1`) uses every sample for p(y) and depends on no order.
The interval is the delta method's: within its part a sample moves log IS by KL(p(y|x) || p(y)) less the mean, also
counting what it does to p(y). Where all samples are as sure and classes as many, that vanishes, and what is left is of
second order: two samples move log IS together by (1 - sum_c p(c|x) p(c|x') / p(c)) / n^2, whose variance over pairs,
halved and divided by n^2, is added. The interval knows the ends. Where fewer than ``DECISIVE`` samples bring half of
what lies above 1, as of a model whose rare samples alone are of another class, others drawn might bring far more, and
the method says so.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Space, metric
from metrics._arrays import Array, checked
from metrics.features._effective_number import effective_interval

SPLITS = 10
DECISIVE = 30
ROWS = 1000  # of a part, whose pairs tell the second order
SEED = 2020  # of the shuffle; the one that published scores were taken with
PAPER = "arXiv:1606.03498, section 4"


class Score(NamedTuple):
    """Of one part: its score, its standard error, and KL(p(y|x) || p(y)) of each sample."""

    value: float
    error: float
    divergence: Tensor


def inception_score(logits: Array, splits: int = SPLITS) -> Estimate:
    """Mean over ``splits`` parts of the seeded shuffle of ``(n, classes)`` logits; between 1 and classes.

    Raises GenbenchError for one class, fewer than two rows a part, NaN or infinity.
    """
    x = checked(logits, 2 * splits, math.inf)
    if x.shape[1] < 2:
        raise GenbenchError("the Inception Score needs logits of at least two classes, got one")
    scores = [_score(part) for part in _parts(x, splits)]
    value = min(max(math.fsum(s.value for s in scores) / splits, 1.0), float(x.shape[1]))
    error = math.hypot(*(s.error for s in scores)) / splits
    counted = "samples" if splits == 1 else f"samples of {splits} parts"
    method = f"delta method to second order over {counted}, of the expectation at this n"
    brought = torch.cat([s.divergence for s in scores]).sort(descending=True).values.cumsum(0)
    decisive = int((brought < brought[-1] / 2).sum()) + 1  # samples, that bring half of it
    if decisive < DECISIVE and 10 * decisive < len(brought):
        method += f"; fewer than {DECISIVE} samples bring half, too narrow on heavy tails"
    interval = effective_interval(value, error if error > 1e-9 else 0.0, len(x), float(x.shape[1]), method)
    protocol = {"splits": splits} if splits == 1 else {"splits": splits, "shuffle_seed": SEED}
    return Estimate(value=value, n=len(x), interval=interval, protocol=protocol)


@metric("is", on={"image"}, sides=["samples"], aspect="realism", unit="1", better="higher", least=1,
        classic={"inception": "is"}, paper=PAPER)  # fmt: skip
def mean_of_ten(space: Space) -> Estimate:
    """Inception Score: how clearly samples are of one class and how evenly of all; mean over ten parts, as is usual."""
    return inception_score(space.logits)


@metric("is_1", on={"image"}, sides=["samples"], aspect="realism", unit="1", better="higher", least=1, paper=PAPER)
def of_all_at_once(space: Space) -> Estimate:
    """Inception Score of all samples at once, not the mean over parts: less biased and blind to their order."""
    return inception_score(space.logits, splits=1)


def _parts(x: Tensor, splits: int) -> list[Tensor]:
    """The parts that torch-fidelity takes; one part needs no shuffle."""
    n = len(x)
    if splits > 1:
        x = x[torch.from_numpy(np.random.RandomState(SEED).permutation(n)).to(x.device)]
    return [x[i * n // splits : (i + 1) * n // splits] for i in range(splits)]


def _score(logits: Tensor) -> Score:
    """exp of the mean KL, whose standard error is as many times its value as that of the mean KL."""
    logs = logits.log_softmax(1)
    p = logs.exp()
    divergence = torch.linalg.vecdot(p, logs) - p @ p.mean(0).clamp(min=1e-300).log()
    value, n = math.exp(divergence.mean()), len(logits)
    return Score(value, value * math.sqrt(float(divergence.var()) / n + _together(p) / (2 * n**2)), divergence)


def _together(p: Tensor) -> float:
    """Variance over pairs of different samples of sum_c p(c|x) p(c|x') / p(c)."""
    mean = p.mean(0)
    rows = p[:: max(1, len(p) // ROWS)][:, mean > 0] / mean[mean > 0].sqrt()
    own, pairs = rows.square().sum(1), len(rows) * (len(rows) - 1)
    products = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows  # of one norm
    squares = products.square().sum() - own.square().sum()
    average = (rows.sum(0).square().sum() - own.sum()) / pairs
    return max(0.0, float(squares / pairs - average.square()))
