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

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import special
from torch import Tensor

from bench import Estimate, GenbenchError, Interval, Omitted, Space, alive, metric
from metrics._arrays import Array, by_content, checked_pair
from metrics.features._neighbours import slices

MOST = 10_000  # samples
SPLITS = 2
PAIRS, LEAST = 4, 40
RATE, EPOCHS, BATCH = 0.5, 50, 10_000
SETTLED = 5e-4  # nats a dimension: the fit ends with an epoch from which the last four lie no farther
NEARER = 0.9  # data is drawn so far to the mean before the wide Gaussian is asked
FLOOR = 1e-6  # of sigma^2, where features have variance 1
COLLAPSED = 0.1  # of the sigma that real examples have at the median: a Gaussian below it stands on a copy
CACHED = 2**25  # squared distances kept between steps: 128 MiB
BLOCK = 2**18  # squared distances of a tile: 2 MiB, which stay in the cache
SIDES: tuple[Literal["samples", "reference", "train"], ...] = ("samples", "reference", "train")
PAPER = "arXiv:2302.04440, section 3"
Tiles = Callable[[], Iterator[Tensor]]


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


@dataclass(frozen=True)
class Mixture:
    """Equal Gaussians N(centre_j, variance_j I). centres: ``(c, D)``; variance: ``(c,)``; float64.

    middle: ``(D,)``, where the wide Gaussian lies that they were fitted beside, of the variance ``spread``, ``(1,)``.
    """

    centres: Tensor
    variance: Tensor
    middle: Tensor
    spread: Tensor

    def nll(self, x: Tensor, wide: bool = False) -> float:
        """Mean negative log-likelihood of ``(n, D)``, nats a dimension. wide: beside the wide Gaussian, as in the fit.

        The two together are of mass 2.
        """
        width = x.shape[1]
        logs = torch.cat([_logs(tile, self.variance, width).logsumexp(1) for tile in _tiles(x, self.centres)])
        if wide:
            logs = torch.logaddexp(logs, _logs(_far(x, self.middle), self.spread, width))
        return -logs.mean().item() / width

    def gap(self, train: Tensor, held_out: Tensor) -> float:
        return self.nll(train, wide=True) - self.nll(held_out, wide=True)


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
    repeated = (_same(t).bincount() > 1)[_same(t)].double().mean().item()
    if repeated >= 0.5:
        raise Omitted(
            f"{repeated:.0%} of the training examples have an exact copy, and the baseline, fitted to some of them, "
            "knows the others by heart: leave repeated rows out"
        )
    rng = torch.Generator().manual_seed(0)
    sides = [side[by_content(side)][_shuffle(side, rng)] for side in standardised]
    divergence, gap, collapsed = _measured(*sides)
    return Likelihoods(divergence, gap, _errors(sides, rng), _count(sides[0], sides[2]), collapsed, repeated)


def _same(rows: Tensor) -> Tensor:
    """``(n,)``, a number that equal rows share."""
    order = by_content(rows)
    ordered = rows[order]
    numbers = torch.nn.functional.pad((ordered[1:] != ordered[:-1]).any(1), (1, 0)).cumsum(0)
    return numbers[order.argsort()]


def _measured(samples: Tensor, held_out: Tensor, train: Tensor) -> tuple[float, float, float]:
    """``fld``, ``fld_gap`` and the share of collapsed Gaussians, of rows in random order."""
    count = _count(samples, train)
    mixture = fit(samples[:count], train)
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


def _parts(train: Tensor, count: int) -> list[tuple[Tensor, Tensor]]:
    """As many examples for samples, others each time, and the rest but for what equals one of those."""
    same, found = _same(train), []
    for i in range(SPLITS):
        chosen, rest = torch.arange(len(train), device=train.device).roll(-i * count).split([count, len(train) - count])
        found.append((train[chosen], train[rest[~torch.isin(same[rest], same[chosen])]]))
    return found


def _errors(sides: list[Tensor], rng: torch.Generator) -> tuple[float, float] | None:
    """Standard errors of both values, told by halves."""
    if min(map(len, sides)) < LEAST:
        return None
    apart = []
    for _ in range(PAIRS):
        halves = zip(*(side[_shuffle(side, rng)].chunk(2) for side in sides), strict=True)
        one, other = (_measured(*half)[:2] for half in halves)
        apart.append(np.subtract(one, other) / 2)
    divergence, gap = np.sqrt(np.mean(np.square(apart), axis=0))
    return float(divergence), float(gap)


def _count(samples: Tensor, train: Tensor) -> int:
    """Gaussians of every mixture."""
    return min(len(samples), len(train) // 2, MOST)


def _shuffle(rows: Tensor, rng: torch.Generator) -> Tensor:
    """Row numbers in random order: what is sorted by class must not lose classes."""
    return torch.randperm(len(rows), generator=rng).to(rows.device)


def fit(centres: Tensor, data: Tensor, epochs: int = EPOCHS) -> Mixture:
    """Variances by the authors' maximum likelihood. data: in random order, since Adam steps once a batch of it."""
    width, floor = centres.shape[1], math.log(FLOOR)
    middle = data.mean(0)
    wide = _far(data, middle).float()
    batches = [(_remembered(data[i], centres, len(data)), wide[i]) for i in slices(len(data), BATCH)]
    nearest = torch.stack([tile.amin(0) for tiles, _ in batches for tile in tiles()]).amin(0)
    logs = torch.cat(
        [((nearest + 1e-3) / width).log(), nearest.new_zeros(1)]
    ).double()  # of each variance; last the wide one's
    adam, losses = _Adam(logs), list[float]()
    for _ in alive(range(epochs)):
        total = 0.0
        for tiles, far in batches:
            gradient, loss = _step(tiles(), far, logs, width)
            adam.step(gradient)
            logs[:-1].clamp_(min=floor)
            total += loss / len(batches)
        losses.append(total)
        if len(losses) > 6 and max(abs(total - loss) for loss in losses[-5:]) < SETTLED:
            break
    return Mixture(centres, logs[:-1].exp(), middle, logs[-1:].exp())


def _far(x: Tensor, middle: Tensor) -> Tensor:
    """Squared distances ``(n,)`` as the wide Gaussian is asked."""
    return NEARER**2 * (x - middle).square().sum(1)


class _Adam:
    """Kingma & Ba 2015 (arXiv:1412.6980), Algorithm 1; torch's own takes seconds to import its compiler."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.steps = values, 0
        self.mean, self.square = torch.zeros_like(values), torch.zeros_like(values)

    def step(self, gradient: Tensor) -> None:
        self.steps += 1
        self.mean.lerp_(gradient, 0.1)
        self.square.lerp_(gradient.square(), 0.001)
        deviation = (self.square / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
        self.values.addcdiv_(self.mean, deviation, value=-RATE / (1 - 0.9**self.steps))


def _step(tiles: Iterator[Tensor], wide: Tensor, logs: Tensor, width: int) -> tuple[Tensor, float]:
    """Gradient of the mean NLL a dimension in the logs of the variances, and that NLL."""
    variance, start, total = logs.exp().float(), 0, 0.0
    weight, spread = torch.zeros_like(logs), torch.zeros_like(logs)
    for tile in tiles:
        far = wide[start : start + len(tile)]
        start += len(tile)
        parts, other = _logs(tile, variance[:-1], width), _logs(far, variance[-1:], width)
        peak = torch.maximum(parts.amax(1), other)
        # Each Gaussian's share of a datum, but for the sum over Gaussians; below exp(-80) arithmetic is slow.
        parts.sub_(peak[:, None]).clamp_(min=-80).exp_()
        other = (other - peak).exp_()
        sums = parts.sum(1) + other
        share = sums.reciprocal()
        weight[:-1] += share @ parts
        spread[:-1] += share @ parts.mul_(tile)
        weight[-1] += share @ other
        spread[-1] += share @ (other * far)
        total -= (peak.double() + sums.log()).sum().item()
    return (width * weight - spread / variance) / (2 * start * width), total / (start * width)


def _logs(squared: Tensor, variance: Tensor, width: int) -> Tensor:
    """Log of each Gaussian's part of the density; variance: ``(c,)``, squared: ``(n, c)``, or ``(n,)`` for one."""
    constant = -0.5 * width * (2 * math.pi * variance).log() - math.log(len(variance))
    return torch.addcmul(constant, squared, -0.5 / variance)


def _tiles(x: Tensor, centres: Tensor) -> Iterator[Tensor]:
    """Squared distances of some rows at a time to all centres, ``(rows, c)``."""
    norms = centres.square().sum(1)
    for i in slices(len(x), max(1, BLOCK // len(centres))):
        own = x[i].square().sum(1, keepdim=True)
        yield torch.addmm(norms[None], x[i], centres.T, alpha=-2).add_(own).clamp_(min=0)


def _remembered(x: Tensor, centres: Tensor, n: int) -> Tiles:
    """The tiles in single precision, which is enough to step by; kept if those of all ``n`` rows are few."""
    if n * len(centres) > CACHED:
        return lambda: (tile.float() for tile in _tiles(x, centres))
    kept = [tile.float() for tile in _tiles(x, centres)]
    return lambda: iter(kept)


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
