"""Feature Likelihood Divergence and its generalisation gap (Jiralerspong et al. 2023, arXiv:2302.04440).

The samples become a density: a Gaussian around each, isotropic, with a width of its own that is fitted to the training
data by maximum likelihood. A copy gets a narrow Gaussian on the example it copies, and held-out data pays for it.

    fld     = 100 / D (NLL of held-out data - baseline)                    realism and novelty in one number
    fld_gap = 100 / D (NLL of training data - NLL of held-out - baseline)  far below 0: it fits training data only

Baseline: the same under real examples for samples, so that both are 0 for real data: as many training examples as there
are samples, fitted to the rest; the mean of two such splits.

The fit is that of the authors' program: the log of each sigma^2 by Adam, from the nearest training example on, beside
one wide Gaussian around the mean that explains what no sample is near, and that the density is then read without.
Without it in the fit, samples widen to reach the modes that they miss. Features are standardised by held-out data.

Samples that are copies have no likelihood at its maximum: their Gaussians narrow down to ``FLOOR``, and what lies under
no other is then less likely by its squared distance over that, in nats. So ``fld_gap`` is read with the wide Gaussian,
as was fitted: a copy gains what its own example gains and no more, and which other rows lie farther off does not
outweigh it. Where more than half of the samples' Gaussians have collapsed, to less than ``COLLAPSED`` of the sigma that
real examples have, there is no ``fld``. Any density also fits the data that it was fitted to better than new data, most
of all one of samples as near to it as real ones are: a perfect generator's gap is below 0, and those of poor ones are
not. The baseline takes that off; it is fitted to fewer rows, and so counts by the share that it was fitted to.

Where values may differ from theirs: of more samples than 10,000, or than half the training data, so many are drawn,
so that both densities have as many Gaussians (their ``gen_size``; otherwise the difference would say which had more);
sigma^2 stays above ``FLOOR``, theirs above exp(-40); their gap is read without the wide Gaussian and has no baseline
(samples that are all copies have a gap of millions there, of either sign); columns that are constant in held-out data
are left out. What is drawn and how data is split is decided by the content of the rows, so that their order does not
matter.

Samples drawn to the middle of their modes describe data better than data itself does: fld falls below 0 for them. Read
it beside coverage.

Training rows that come again would break the baseline, as a split that holds a row on either side knows it by heart:
what equals an example that stands for a sample is no part of the rest. Where half of the training rows or more have a
copy there is no number; of fewer the interval's method tells.

Intervals count the samples, the training data, the fits, the splits and the held-out data: all sides are halved at
random, each half is measured for itself, fits and splits anew, and their difference has four times the variance of the
whole (half-samples: McCarthy 1969, doi:10.2307/1402116); ``PAIRS`` times over. They are of what these numbers of rows
give at the median, which is not quite 0 for real data where rows are few. Not of the mean: where samples lie far from
all data, the first steps of the fit now and then send all variances far beyond the data, to values half as large again.
Sides of fewer than ``LEAST`` rows have no interval: their halves would be too small to fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import special
from torch import Tensor

from bench import Estimate, GenbenchError, Interval, Omitted, Space, metric
from metrics._arrays import Array, by_content, checked_pair
from metrics.features._mixture import EPOCHS, FLOOR, Rows, fit

MOST = 10_000  # samples
SPLITS = 2
PAIRS, LEAST = 4, 40
COLLAPSED = 0.1  # of the sigma that real examples have at the median: a Gaussian below it stands on a copy
SIDES: tuple[Literal["samples", "reference", "train"], ...] = ("samples", "reference", "train")
PAPER = "arXiv:2302.04440, section 3"


@dataclass(frozen=True)
class Likelihoods:
    """``fld`` and ``fld_gap``, with their standard errors; None for too few rows.

    collapsed: the share of the samples' Gaussians that have.  repeated: that of training rows that have a copy.
    """

    divergence: float
    gap: float
    errors: tuple[float, float] | None
    gaussians: int
    collapsed: float
    repeated: float


def likelihood_divergence(fake: Array, held_out: Array, train: Array) -> Estimate:
    """FLD of ``(n, D)``, ``(m, D)`` and ``(t, D)`` features; about 0 for real data, lower is better.

    Raises GenbenchError for bad input or held-out data that is constant, TooFew for fewer than 2 rows (4 to train),
    Omitted where half of the training rows or more have a copy, or more than half of the samples are copies or nearly.
    """
    return _divergence(likelihoods(fake, held_out, train))


def generalisation_gap(fake: Array, held_out: Array, train: Array) -> Estimate:
    """FLD's generalisation gap less real data's; below 0 as the samples tell more of training data than of new.

    Raises GenbenchError as ``likelihood_divergence`` does, but takes samples that are copies.
    """
    return _gap(likelihoods(fake, held_out, train))


def likelihoods(fake: Array, held_out: Array, train: Array) -> Likelihoods:
    """Fit all mixtures. Raises GenbenchError as ``generalisation_gap`` does."""
    x, h = checked_pair(fake, held_out)
    _, t = checked_pair(fake, train)
    checked_pair(train, train, 4)
    mean, deviation = h.mean(0), h.std(0)
    varies = deviation > 1e-12 * h.abs().amax(0).clamp(min=1e-300)
    if not varies.any():
        raise GenbenchError("held-out features are constant: check what was loaded")
    standardised = [(side[:, varies] - mean[varies]) / deviation[varies] for side in (x, h, t)]
    same = _same(t)
    repeated = (same.bincount() > 1)[same].double().mean().item()
    if repeated >= 0.5:
        raise Omitted(
            f"{repeated:.0%} of the training examples have an exact copy, and the baseline, fitted to some of them, "
            "knows the others by heart: leave repeated rows out"
        )
    rng = torch.Generator().manual_seed(0)
    sides = [Rows.of(side[by_content(side)][_shuffle(side, rng)]) for side in standardised]
    divergence, gap, collapsed = _measured(*sides)
    return Likelihoods(divergence, gap, _errors(sides, rng), _count(sides[0], sides[2]), collapsed, repeated)


def _same(rows: Tensor) -> Tensor:
    """``(n,)``, a number that equal rows share."""
    order = by_content(rows)
    ordered = rows[order]
    numbers = torch.nn.functional.pad((ordered[1:] != ordered[:-1]).any(1), (1, 0)).cumsum(0)
    return numbers[order.argsort()]


def _measured(samples: Rows, held_out: Rows, train: Rows) -> tuple[float, float, float]:
    """``fld``, ``fld_gap`` and the share of collapsed Gaussians, of rows in random order."""
    count = _count(samples, train)
    mixture = fit(samples.part(slice(count)), train)
    parts = _parts(train, count)
    reals = [fit(examples, rest) for examples, rest in parts]
    baseline = sum(real.nll(held_out) for real in reals) / SPLITS
    # As many variances fitted to more rows take less from each.
    optimism = (
        sum(real.gap(rest, held_out) * len(rest) / len(train) for real, (_, rest) in zip(reals, parts, strict=True))
        / SPLITS
    )
    typical = torch.cat([real.variance for real in reals]).median()
    collapsed = (mixture.variance < COLLAPSED**2 * typical).double().mean().item()
    return 100 * (mixture.nll(held_out) - baseline), 100 * (mixture.gap(train, held_out) - optimism), collapsed


def _parts(train: Rows, count: int) -> list[tuple[Rows, Rows]]:
    """As many examples for samples, others each time, and the rest but for what equals one of those."""
    same, found = _same(train.values), []
    for i in range(SPLITS):
        chosen, rest = torch.arange(len(train), device=same.device).roll(-i * count).split([count, len(train) - count])
        found.append((train.part(chosen), train.part(rest[~torch.isin(same[rest], same[chosen])])))
    return found


def _errors(sides: list[Rows], rng: torch.Generator) -> tuple[float, float] | None:
    """Standard errors of both values, told by halves."""
    if min(map(len, sides)) < LEAST:
        return None
    apart = []
    for _ in range(PAIRS):
        halves = zip(*(map(side.part, _shuffle(side.chosen, rng).chunk(2)) for side in sides), strict=True)
        one, other = (_measured(*half)[:2] for half in halves)
        apart.append(np.subtract(one, other) / 2)
    divergence, gap = np.sqrt(np.mean(np.square(apart), axis=0))
    return float(divergence), float(gap)


def _count(samples: Rows, train: Rows) -> int:
    """Gaussians of every mixture."""
    return min(len(samples), len(train) // 2, MOST)


def _shuffle(rows: Tensor, rng: torch.Generator) -> Tensor:
    """Row numbers in random order: what is sorted by class must not lose classes."""
    return torch.randperm(len(rows), generator=rng).to(rows.device)


def _divergence(found: Likelihoods) -> Estimate:
    if found.collapsed > 0.5:
        raise Omitted(
            f"{found.collapsed:.0%} of the samples are training examples, or nearly, and a density of these alone "
            "says nothing of other data: nn_ratio, auth_pct and fld_gap tell of copies"
        )
    return _estimate(found.divergence, found.errors and found.errors[0], found)


def _gap(found: Likelihoods) -> Estimate:
    estimate = _estimate(found.gap, found.errors and found.errors[1], found)
    return estimate.model_copy(update={"protocol": {**estimate.protocol, "density": "with the wide Gaussian"}})


def _estimate(value: float, error: float | None, found: Likelihoods) -> Estimate:
    fitted = f"Adam, {EPOCHS} epochs, beside a wide Gaussian"
    protocol: dict[str, int | float | str] = {
        "gaussians": found.gaussians,
        "floor": FLOOR,
        "fit": fitted,
        "splits": SPLITS,
    }
    if error is None:
        return Estimate(value=value, n=found.gaussians, protocol=protocol)
    reach = error * float(special.stdtrit(PAIRS, 0.975))
    method = f"t of {PAIRS} pairs of halves of all sides, fits and splits anew, of the median at this n"
    method += "; some training examples have copies" if found.repeated else ""
    interval = Interval(lo=value - reach, hi=value + reach, method=method)
    return Estimate(value=value, n=found.gaussians, interval=interval, protocol=protocol)


def _shared(space: Space) -> Likelihoods:
    return likelihoods(space.fake, space.real, space.train)


@metric("fld", aspect="realism", unit="1", better="lower", sides=SIDES, paper=PAPER)
def fld(space: Space) -> Estimate:
    """How badly samples describe held-out data, as a density: 0 for real data, large for bad, few or copied samples."""
    return _divergence(space.once(_shared))


@metric("fld_gap", aspect="novelty", unit="1", better="none", sides=SIDES, paper=PAPER)
def fld_gap(space: Space) -> Estimate:
    """How much better than real data samples describe held-out beside training data; far below 0, they copy it."""
    return _gap(space.once(_shared))
