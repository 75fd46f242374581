"""AuthPct: the percentage of samples that are authentic (Alaa et al. 2022, arXiv:2102.08921, section 4).

A sample is authentic if it is farther from its nearest training example than that example is from its own nearest
other training example. Training data is used in full: a part of it stretches the distances within. Of training
examples at one distance, their content decides which is the nearest, not their order. Where half of the training
examples or more have a copy among the others there is no number: all samples but exact copies would be authentic.

It has no natural ideal: held-out data itself reaches some 60 to 75 %, depending on the data, so ``auth_gap`` subtracts
the value of the held-out data. Below 0 the samples hug the training data, by copying it or by shrinking to the middle
of its modes, which the measure cannot tell apart (Stein et al. 2023, arXiv:2306.04675); above 0 they stay away from
it, as noise does. Both are faults, so the gap is not ranked.

Intervals are of new samples (and held-out data) given this training data, as the methods say: Wilson's, and for the
difference Newcombe's (1998, method 10). Another draw of training data moves the values by more than that.
"""

from __future__ import annotations

from bench import Estimate, Interval, Omitted, Space, difference_interval, metric, proportion_interval
from metrics._arrays import Array
from metrics.features._neighbours import (
    Nearest,
    among_train,
    as_pair,
    as_rows,
    neighbours,
    neighbours_among,
    within_train,
)

PAPER = "arXiv:2102.08921, section 4"


def authentic_percentage(fake: Array, train: Array) -> Estimate:
    """Of ``(n, D)`` fakes against ``(t, D)`` training data; 0 to 100.

    Raises GenbenchError for bad input, Omitted where half of the training rows or more have a copy.
    """
    pair = as_pair(fake, train, 2)
    return _percentage(neighbours_among(*pair, 1), neighbours(pair[1], 1))


def authentic_gap(fake: Array, held_out: Array, train: Array) -> Estimate:
    """AuthPct of fakes less AuthPct of held-out data, in percentage points; -100 to 100, 0 for new data.

    Raises GenbenchError for bad input, Omitted where half of the training rows or more have a copy.
    """
    within = neighbours(as_rows(train, 2), 1)
    near = [neighbours_among(*as_pair(side, train, 2), 1) for side in (fake, held_out)]
    return _gap(*(_percentage(side, within) for side in near))


def _percentage(near: Nearest, within: Nearest) -> Estimate:
    repeated = (within.squared[:, 0] == 0).double().mean().item()
    if repeated >= 0.5:
        raise Omitted(
            f"{repeated:.0%} of the training examples have an exact copy, beside which all but copies are authentic: "
            "leave repeated ones out"
        )
    count, n = int((near.squared[:, 0] > within.squared[near.indices[:, 0], 0]).sum()), len(near.squared)
    share = proportion_interval(count, n)
    method = "Wilson, new samples given this training data"
    method += "; some training examples have a copy" if repeated else ""
    return Estimate(value=100 * count / n, n=n, interval=Interval(lo=100 * share.lo, hi=100 * share.hi, method=method))


def _gap(fake: Estimate, held_out: Estimate) -> Estimate:
    method = "Newcombe, new samples and held-out data given this training data"
    return Estimate(value=fake.value - held_out.value, n=fake.n, interval=difference_interval(fake, held_out, method))


@metric(
    "auth_pct",
    aspect="novelty",
    unit="%",
    better="none",
    least=0,
    most=100,
    sides=("samples", "train"),
    paper=PAPER,
)
def auth_pct(space: Space) -> Estimate:
    """Percentage of samples farther from the training data than its nearest example is from the rest."""
    return _percentage(space.once(among_train, "samples"), space.once(within_train))


@metric(
    "auth_gap",
    aspect="novelty",
    unit="%",
    better="none",
    least=-100,
    most=100,
    sides=("samples", "reference", "train"),
    paper=PAPER,
)
def auth_gap(space: Space) -> Estimate:
    """Authentic percentage of samples less that of held-out data: below 0 hugs the training data, above 0 avoids it."""
    within = space.once(within_train)
    return _gap(*(_percentage(space.once(among_train, side), within) for side in ("samples", "reference")))
