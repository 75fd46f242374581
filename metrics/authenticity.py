"""AuthPct: the percentage of samples that are authentic (Alaa et al. 2022, arXiv:2102.08921, section 4).

A sample is authentic if it is farther from its nearest training example than that example is from its own nearest
other training example. Training data is used in full: a part of it stretches the distances within.

It has no natural ideal: held-out data itself reaches some 60 to 75 %, depending on the data, so ``auth_gap`` subtracts
the value of the held-out data. Below 0 the samples hug the training data, by copying it or by shrinking to the middle
of its modes, which the measure cannot tell apart (Stein et al. 2023, arXiv:2306.04675); above 0 they stay away from
it, as noise does. Both are faults, so the gap is not ranked.

Intervals hold the training data fixed: Wilson's, and for the difference Newcombe's (1998, method 10).
"""

from __future__ import annotations

import math

from torch import Tensor

from bench import Estimate, Interval, Space, metric, proportion_interval
from metrics.features import EVERY, Array
from metrics.neighbours import Nearest, among_train, as_pair, as_rows, neighbours, neighbours_among, within_train

PAPER = "arXiv:2102.08921, section 4"


def authentic_percentage(fake: Array, train: Array) -> Estimate:
    """Of ``(n, D)`` fakes against ``(t, D)`` training data; 0 to 100. Raises GenbenchError for bad input."""
    pair = as_pair(fake, train, 2)
    return _percentage(_authentic(neighbours_among(*pair, 1), neighbours(pair[1], 1)))


def authentic_gap(fake: Array, held_out: Array, train: Array) -> Estimate:
    """AuthPct of fakes less AuthPct of held-out data, in percentage points; -100 to 100, 0 for new data.

    Raises GenbenchError for bad input.
    """
    within = neighbours(as_rows(train, 2), 1)
    return _gap(*(_authentic(neighbours_among(*as_pair(side, train, 2), 1), within) for side in (fake, held_out)))


def _authentic(near: Nearest, within: Nearest) -> Tensor:
    """``(n,)`` bool."""
    return near.squared[:, 0] > within.squared[near.indices[:, 0], 0]


def _percentage(authentic: Tensor) -> Estimate:
    count, n = int(authentic.sum()), len(authentic)
    share = proportion_interval(count, n)
    interval = Interval(lo=100 * share.lo, hi=100 * share.hi, method="Wilson, training data fixed")
    return Estimate(value=100 * count / n, n=n, interval=interval)


def _gap(fake: Tensor, held_out: Tensor) -> Estimate:
    a, b = _percentage(fake), _percentage(held_out)
    assert a.interval is not None and b.interval is not None
    gap = a.value - b.value
    lo = gap - math.hypot(a.value - a.interval.lo, b.interval.hi - b.value)
    hi = gap + math.hypot(a.interval.hi - a.value, b.value - b.interval.lo)
    return Estimate(value=gap, n=a.n, interval=Interval(lo=lo, hi=hi, method="Newcombe, training data fixed"))


@metric(
    "auth_pct",
    of="features",
    on=EVERY,
    aspect="novelty",
    unit="%",
    better="none",
    sides=("samples", "train"),
    paper=PAPER,
)
def auth_pct(space: Space) -> Estimate:
    """Percentage of samples farther from the training data than its nearest example is from the rest."""
    return _percentage(_authentic(among_train(space, "samples"), within_train(space)))


@metric(
    "auth_gap",
    of="features",
    on=EVERY,
    aspect="novelty",
    unit="%",
    better="none",
    sides=("samples", "reference", "train"),
    paper=PAPER,
)
def auth_gap(space: Space) -> Estimate:
    """Authentic percentage of samples less that of held-out data: below 0 hugs the training data, above 0 avoids it."""
    within = within_train(space)
    return _gap(*(_authentic(among_train(space, side), within) for side in ("samples", "reference")))
