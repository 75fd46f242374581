"""Inception Score (Salimans et al. 2016, arXiv:1606.03498, section 4).

    IS = exp E_x KL(p(y|x) || p(y))

High when each sample is clearly of one class and all classes appear. It never looks at real data, so it cannot see
memorised or merely class-typical samples; the control `real` shows what is reachable.

Custom takes the mean over ten parts of a shuffle; a part of few samples knows p(y) poorly and scores low, so numbers
of different n or parts do not compare. One part (`is_1`) uses every sample for p(y) and depends on no order.
The interval is the delta method's: within its part a sample moves log IS by KL(p(y|x) || p(y)) less the mean, also
counting what it does to p(y).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Space, metric, normal_interval
from metrics._arrays import Array, checked

SPLITS = 10
SEED = 2020  # of the shuffle; the one that published scores were taken with
PAPER = "arXiv:1606.03498, section 4"


class Score(NamedTuple):
    """Of one part: its score, and its standard error."""

    value: float
    error: float


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
    method = f"delta method over {_counted(splits)}, of the expectation at this n"
    interval = normal_interval(value, error, method, lo=1, hi=x.shape[1])
    return Estimate(value=value, n=len(x), interval=interval, protocol=_protocol(splits))


@metric("is", on={"image"}, sides=["samples"], aspect="realism", unit="1", better="higher",
        classic={"inception": "is"}, paper=PAPER)  # fmt: skip
def mean_of_ten(space: Space) -> Estimate:
    """Inception Score: how clearly samples are of one class and how evenly of all; mean over ten parts, as is usual."""
    return inception_score(space.logits)


@metric("is_1", on={"image"}, sides=["samples"], aspect="realism", unit="1", better="higher", paper=PAPER)
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
    p = logits.softmax(1)
    divergence = -torch.special.entr(p).sum(1) - torch.xlogy(p, p.mean(0)).sum(1)
    value = math.exp(divergence.mean())
    return Score(value, value * float(divergence.std()) / len(logits) ** 0.5)


def _counted(splits: int) -> str:
    return "samples" if splits == 1 else f"samples of {splits} parts"


def _protocol(splits: int) -> dict[str, str | int | float | bool]:
    return {"splits": splits} if splits == 1 else {"splits": splits, "shuffle_seed": SEED}
