"""Feature Likelihood Divergence and its generalisation gap (Jiralerspong et al. 2023, arXiv:2302.04440).

The samples become a density: a Gaussian around each, isotropic, with a width of its own that is fitted to the training
data by maximum likelihood. A copy gets a narrow Gaussian on the example it copies, and held-out data pays for it.

    fld     = 100 / D (NLL of held-out data - baseline)         realism and novelty in one number, 0 for real data
    fld_gap = 100 / D (NLL of training data - NLL of held-out)  far below 0: the density fits training data only

Baseline: the NLL of held-out data under real examples for samples: as many training examples as there are samples (at
most half of them), fitted to the rest. Both mixtures have the same number of Gaussians, or the difference would say
which had more; of more samples than that, so many are drawn.

Features are standardised by held-out data, as the authors do; columns that are constant there are left out. Widths are
found by expectation maximisation, which never lowers the likelihood and needs no learning rate; sigma^2 is kept above
``FLOOR``, or a copy would have an infinite likelihood. The authors add a wide Gaussian around the mean while fitting
and use Adam, so values are near theirs, not theirs.

Samples drawn to the middle of their modes describe data better than data itself does: fld falls below 0 for them. Read
it beside coverage.

Intervals: the mean over examples, both mixtures held fixed. The baseline is paired with it, example by example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Space, metric, normal_interval
from metrics.features import EVERY, Array, checked_pair
from metrics.neighbours import slices

FLOOR = 1e-6  # of sigma^2, where features have variance 1
STEPS = 50
TOLERANCE = 1e-5  # nats a dimension: a thousandth of a unit of FLD
CACHED = 2**23  # squared distances kept between steps: 64 MiB
BLOCK = 2**21  # squared distances of a tile: 16 MiB
SIDES: tuple[Literal["samples", "reference", "train"], ...] = ("samples", "reference", "train")
PAPER = "arXiv:2302.04440, section 3"


@dataclass(frozen=True)
class Likelihoods:
    """Negative log-likelihoods in nats a dimension under the samples' mixture, and of held-out under the baseline's."""

    train: Tensor
    held_out: Tensor
    baseline: Tensor
    gaussians: int


@dataclass(frozen=True)
class Mixture:
    """Equal Gaussians N(centre_j, variance_j I). centres: ``(c, D)``; variance: ``(c,)``; float64."""

    centres: Tensor
    variance: Tensor

    def nll(self, x: Tensor) -> Tensor:
        """``(n,)`` nats a dimension."""
        parts = [_logs(tile, self.variance, x.shape[1]).logsumexp(1) for _, tile in _tiles(x, self.centres)]
        return -torch.cat(parts) / x.shape[1]


def likelihood_divergence(fake: Array, held_out: Array, train: Array) -> Estimate:
    """FLD of ``(n, D)``, ``(m, D)`` and ``(t, D)`` features; about 0 for real data, lower is better.

    Raises GenbenchError for bad input or held-out data that is constant, TooFew for fewer than 2 rows (4 to train).
    """
    return _divergence(likelihoods(fake, held_out, train))


def generalisation_gap(fake: Array, held_out: Array, train: Array) -> Estimate:
    """FLD's generalisation gap; below 0 as far as the samples tell more of the training data than of new data.

    Raises GenbenchError as ``likelihood_divergence`` does.
    """
    return _gap(likelihoods(fake, held_out, train))


def likelihoods(fake: Array, held_out: Array, train: Array) -> Likelihoods:
    """Fit both mixtures. Raises GenbenchError as ``likelihood_divergence`` does."""
    x, h = checked_pair(fake, held_out)
    _, t = checked_pair(fake, train)
    checked_pair(train, train, 4)
    x, h, t = _standardised(h, x, h, t)
    count = min(len(x), len(t) // 2)
    order = _shuffle(t)
    samples = fit(x if count == len(x) else x[_shuffle(x)[:count]], t)
    reals = fit(t[order[:count]], t[order[count:]])
    return Likelihoods(samples.nll(t), samples.nll(h), reals.nll(h), count)


def _shuffle(rows: Tensor) -> Tensor:
    """Row numbers in a fixed random order: what is sorted by class must not lose classes."""
    return torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).to(rows.device)


def fit(centres: Tensor, data: Tensor, steps: int = STEPS) -> Mixture:
    """Variances of highest likelihood, from each centre's distance to its nearest datum on."""
    width = centres.shape[1]
    tiles = _remembered(data, centres)
    nearest = torch.stack([tile.amin(0) for _, tile in tiles()]).amin(0)
    variance, before = (nearest / width).clamp(min=FLOOR), math.inf
    for _ in range(steps):
        variance, nll = _step(tiles(), variance, width)
        if before - nll < TOLERANCE:
            break
        before = nll
    return Mixture(centres, variance)


def _step(tiles: Iterator[tuple[slice, Tensor]], variance: Tensor, width: int) -> tuple[Tensor, float]:
    """One step of expectation maximisation, and the mean NLL a dimension before it."""
    weight, spread, total, n = torch.zeros_like(variance), torch.zeros_like(variance), 0.0, 0
    for _, tile in tiles:
        logs = _logs(tile, variance, width)
        peak = logs.amax(1, keepdim=True)
        parts = logs.sub_(peak).exp_()  # each Gaussian's share of a datum, but for the sum over Gaussians
        sums = parts.sum(1)
        weight += sums.reciprocal() @ parts
        spread += sums.reciprocal() @ parts.mul_(tile)
        total, n = total - (peak[:, 0] + sums.log()).sum().item(), n + len(tile)
    # A Gaussian that no datum belongs to keeps its width: nothing is known of it.
    found = torch.where(weight > 1e-100, spread / (width * weight.clamp(min=1e-100)), variance)
    return found.clamp(min=FLOOR), total / (n * width)


def _logs(squared: Tensor, variance: Tensor, width: int) -> Tensor:
    """``(n, c)`` log of each Gaussian's part of the density."""
    constant = -0.5 * width * (2 * math.pi * variance).log() - math.log(len(variance))
    return torch.addcmul(constant, squared, -0.5 / variance)


def _tiles(x: Tensor, centres: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances of some rows at a time to all centres, ``(rows, c)``."""
    norms = centres.square().sum(1)
    for i in slices(len(x), max(1, BLOCK // len(centres))):
        own = x[i].square().sum(1, keepdim=True)
        yield i, torch.addmm(norms[None], x[i], centres.T, alpha=-2).add_(own).clamp_(min=0)


def _remembered(x: Tensor, centres: Tensor) -> Callable[[], Iterator[tuple[slice, Tensor]]]:
    """The tiles, kept if they are few."""
    if len(x) * len(centres) > CACHED:
        return lambda: _tiles(x, centres)
    kept = list(_tiles(x, centres))
    return lambda: iter(kept)


def _standardised(by: Tensor, *sides: Tensor) -> tuple[Tensor, ...]:
    mean, deviation = by.mean(0), by.std(0)
    varies = deviation > 1e-12 * by.abs().amax(0).clamp(min=1e-300)
    if not varies.any():
        raise GenbenchError("held-out features are constant: check what was loaded")
    return tuple((side[:, varies] - mean[varies]) / deviation[varies] for side in sides)


def _divergence(found: Likelihoods) -> Estimate:
    apart = 100 * (found.held_out - found.baseline)
    value, error = apart.mean().item(), apart.std().item() / math.sqrt(len(apart))
    interval = normal_interval(value, error, "normal, over held-out examples, mixtures fixed")
    return Estimate(value=value, n=found.gaussians, interval=interval, protocol=_protocol(found))


def _gap(found: Likelihoods) -> Estimate:
    value = 100 * (found.train.mean() - found.held_out.mean()).item()
    error = 100 * math.sqrt(sum(side.var().item() / len(side) for side in (found.train, found.held_out)))
    interval = normal_interval(value, error, "normal, over training and held-out examples, mixture fixed")
    return Estimate(value=value, n=found.gaussians, interval=interval, protocol=_protocol(found))


def _protocol(found: Likelihoods) -> dict[str, int | float | str]:
    return {"gaussians": found.gaussians, "floor": FLOOR, "fit": f"expectation maximisation, {STEPS} steps"}


def _shared(space: Space) -> Likelihoods:
    return space.once("fld", lambda: likelihoods(space.fake, space.real, space.train))


@metric("fld", of="features", on=EVERY, aspect="realism", unit="1", better="lower", sides=SIDES, paper=PAPER)
def fld(space: Space) -> Estimate:
    """How badly samples describe held-out data, as a density: 0 for real data, large for bad, few or copied samples."""
    return _divergence(_shared(space))


@metric("fld_gap", of="features", on=EVERY, aspect="novelty", unit="1", better="none", sides=SIDES, paper=PAPER)
def fld_gap(space: Space) -> Estimate:
    """How much better samples describe held-out than training data; far below 0, they repeat the training data."""
    return _gap(_shared(space))
