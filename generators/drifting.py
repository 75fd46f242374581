"""Drifting: samples of a one-step generator are moved a little towards data and apart (Deng et al. 2026,
arXiv:2602.04770).

A generator x = f(e) learns where a field V takes its own samples, x <- x + V(x), and V is nothing but a difference of
two mean shifts: towards data y+, away from other samples y-:

    loss = E |f(e) - sg(f(e) + V(f(e)))|^2                                                                      (Eq. 6)
    V(x) = sum_ij A(x, y+_i) A(x, y-_j) (y+_i - y-_j)                                                          (Eq. 11)

A is the affinity of pairs, exp(-|x - y| / tau), normalised over all y for an x and over all x for a y, of which the
geometric mean is taken (Algorithm 2). Where samples are distributed as the data, swapping the two changes nothing but
the sign of V: it is 0, and nothing moves. No adversary, and no path.

Distances are in units of their mean over the pairs that count, so that tau is the same for any data; V is brought to a
mean square of 1 for each tau and summed (Appendix A.6). Where labels are told, a sample knows only data and samples of
its label. Data is what the last steps have seen, ``pool`` examples, for a mean shift by few is mostly chance. Features
of a net that was trained on other images, in which the paper measures distances, play no part here: the space is that
of pixels or, better, of latents.

With guidance w a sample of a label is driven away from data of all labels too, which is a share g = 1 - 1/w of what it
leaves. It then stands still where (1 - g) q(.|c) + g p(.) = p(.|c), that is where q(.|c) = w p(.|c) - (w - 1) p(.)
(Eqs. 15, 16): guidance is learned and costs nothing in sampling. One w for a training; the paper draws it and tells it.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import torch
from annotated_types import Ge, Le, MinLen
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from bench import DataSpec, GenbenchError, Presets, Rows, generator
from generators._denoising import Denoising

PRESETS: Presets = {
    "test": {"width": 8, "patch": 4, "lr": 5e-3, "pool": 24, "labels": True},
    "tiny": {"space": "latent", "width": 256, "depth": 4, "lr": 2e-3, "pool": 1024},
    # tau as there; besides features the paper has larger nets, batches class by class, and weights that are told
    "paper": {
        "net": "dit", "width": 256, "depth": 6, "patch": 4, "lr": 2e-4, "ema_decay": 0.999, "labels": True,
        "temperatures": [0.02, 0.05, 0.2],
    },
}  # fmt: skip


@generator("drifting", modalities={"image"}, paper="arXiv:2602.04770", presets=PRESETS)
class Drifting(Denoising):
    """A generator of one evaluation, from noise of the shape of what it makes.

    temperatures: tau, if left out chosen here for pools of hundreds; pool, guidance: see above. The rest as of
    ``generators/_denoising.py``. Raises GenbenchError for a guidance below 1, whose share would be negative, and for
    label_dropout: nothing is asked for without its label.
    """

    presets = PRESETS
    times = 0
    dequantised = False
    nfe = 1

    def __init__(
        self,
        spec: DataSpec,
        *,
        temperatures: Annotated[tuple[PositiveFloat, ...], MinLen(1)] = (0.05, 0.2, 0.5),
        pool: PositiveInt = 512,
        label_dropout: Annotated[float, Ge(0), Le(1)] = 0.0,
        **rest: Any,
    ) -> None:
        super().__init__(spec, **rest)
        if label_dropout:
            raise GenbenchError("drifting: nothing is asked for without its label: leave label_dropout out")
        if self.guidance < 1:
            raise GenbenchError(f"drifting: guidance = {self.guidance:g} would be a negative share: take 1 or more")
        self.label_dropout = label_dropout
        self.temperatures = temperatures
        self.pool: Tensor
        self.pool_labels: Tensor
        self.register_buffer("pool", torch.zeros(pool, *self.shape))
        self.register_buffer("pool_labels", torch.zeros(pool, dtype=torch.long))
        self.seen = 0

    def loss(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> Tensor:
        made = self.net(torch.randn(x.shape, generator=rng, device=rng.device), None, label).flatten(1)
        with torch.no_grad():
            data, of_data = self.remembered(x, label)
            every, apart = torch.cdist(made, data), torch.cdist(made, made)
            near = every
            if label is not None:
                near = near.masked_fill(label[:, None] != of_data, torch.inf)
                apart = apart.masked_fill(label[:, None] != label, torch.inf)
            unit = near[near.isfinite()].mean()
            besides = None
            if label is not None and self.guidance > 1:
                besides = Besides(every / unit, weight_of_data(label, len(data), self.guidance), label)
            moved = made / unit + drift(made / unit, data / unit, near / unit, apart / unit, self.temperatures, besides)
        error: Tensor = (made / unit - moved).square().mean()
        return error

    def remembered(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """This batch in the place of the oldest in the pool; all that it holds, ``(many, size)``, and their labels."""
        size = len(self.pool)
        places = (self.seen + torch.arange(min(len(x), size), device=x.device)) % size
        self.pool[places] = x[:size]
        if label is not None:
            self.pool_labels[places] = label[:size]
        self.seen += len(places)
        many = min(self.seen, size)
        return self.pool[:many].flatten(1), self.pool_labels[:many]

    def generate(self, rows: Rows, n: int, label: Tensor | None) -> Tensor:
        out: Tensor = self.average(rows.normal(*self.shape).to(self.device), None, label)
        return out


class Besides(NamedTuple):
    """Data of all labels among what samples leave: distances to it ``(n, m)``, what each of it counts for a sample
    ``(n, 1)``, where a sample counts 1, and labels of the samples ``(n,)``.
    """

    distances: Tensor
    weight: Tensor
    label: Tensor


def weight_of_data(label: Tensor, many: int, guidance: float) -> Tensor:
    """What each of ``many`` examples of all labels counts among what a sample leaves, ``(n, 1)``, that they are a share
    1 - 1/w of it beside the other samples of its label.
    """
    others = (label[:, None] == label).sum(1, keepdim=True) - 1
    return (guidance - 1) * others / many


def drift(
    x: Tensor, y: Tensor, near: Tensor, apart: Tensor, temperatures: tuple[float, ...], besides: Besides | None = None
) -> Tensor:
    """V of samples x ``(n, size)`` beside data y ``(m, size)``, ``(n, size)``; of mean square 1 for each temperature.

    near, apart: distances to data ``(n, m)`` and to one another ``(n, n)``, infinite where they play no part. No sample
    is moved away from itself. besides: with guidance, that data again.
    """
    apart, total = apart.clone().fill_diagonal_(torch.inf), torch.zeros_like(x)
    z, weight, label = x, None, None
    if besides is not None:
        weight = torch.cat([torch.ones_like(apart), besides.weight.expand_as(besides.distances)], dim=1)
        apart, z, label = torch.cat([apart, besides.distances], dim=1), torch.cat([x, y]), besides.label
    for tau in temperatures:
        v = field(near, apart, y, z, tau, weight, label)
        total += v / v.square().mean().sqrt().clamp(min=1e-12)
    return total


def field(
    near: Tensor,
    apart: Tensor,
    y: Tensor,
    z: Tensor,
    tau: float,
    weight: Tensor | None = None,
    label: Tensor | None = None,
) -> Tensor:
    """V of Eq. 11, ``(n, size)``, of samples whose distances to y ``(m, size)`` and to z ``(k, size)`` are these.

    weight: as how many each of z counts for each sample, ``(n, k)``. label: of samples, ``(n,)``; those of one label
    are as if there were no others.
    """
    logits = -torch.cat([near, apart], dim=1) / tau
    columns = _within(label, logits)
    if weight is not None:
        counts = torch.cat([torch.ones_like(near), weight], dim=1)
        logits, columns = logits + counts.log(), columns * counts
    affinity = (logits.softmax(1) * columns).sqrt()
    towards, away = affinity.nan_to_num().split([len(y), len(z)], dim=1)
    out: Tensor = (towards * away.sum(1, keepdim=True)) @ y - (away * towards.sum(1, keepdim=True)) @ z
    return out


def _within(label: Tensor | None, logits: Tensor) -> Tensor:
    """The softmax over samples, among those of one label."""
    if label is None:
        return logits.softmax(0).nan_to_num()
    out = torch.empty_like(logits)
    for mine in (label == each for each in label.unique()):
        out[mine] = logits[mine].softmax(0).nan_to_num()
    return out
