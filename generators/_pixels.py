"""What a net says of the pixels of an image: the maps of its last layer as a distribution of every value.

    Bernoulli   black or white; or grey levels read as probabilities, which is a loss and no likelihood
    Square      minus the squared error; a loss and no likelihood
    Gaussian    a density of dequantised levels, of one variance that is learned
    Logistic    a mixture of discretised logistics: the mass of each of 256 levels (arXiv:1701.05517, section 2.1)

Given the maps, pixels are independent of one another. Images are ``(batch, channels, height, breadth)``, ``out`` is
``(batch, maps, height, breadth)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import DataSpec, Omitted, Unsupported, dequantise, spacing
from generators._heads import draw_one

Law = Literal["bernoulli", "square", "gaussian", "logistic"]
COMPONENTS = 5  # of the mixture of logistics


class Pixels(nn.Module, ABC):
    """``maps``: how many numbers of the net it reads at each place."""

    maps: int
    log_prob_of: Literal["mass", "density"] = "mass"

    @abstractmethod
    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        """log p of each image in nats, or what a family lowers in its place, ``(batch,)``."""

    @abstractmethod
    def mean(self, out: Tensor) -> Tensor:
        """The mean image in the range of the data; of binary pixels the likelier value."""

    def spread(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """What a training step sees: where a density is learned, levels spread over their cells, as it is measured."""
        if self.log_prob_of == "mass":
            return x
        return dequantise(x, torch.rand(x.shape, generator=rng, device=rng.device).to(x))

    def check(self, whose: str = "its decoder") -> None:
        """Raises Omitted, with the option to set, where ``log_prob`` is no likelihood. whose: as a reader knows it."""


class OfLevels(Pixels):
    """A law of which values can be drawn, pixel by pixel and channel by channel."""

    @abstractmethod
    def next_channel(self, out: Tensor, done: Tensor) -> Tensor:
        """Of one pixel, log p of every level of a channel, given the channels before it, but for a constant.

        out: ``(batch, maps)``; done: ``(batch, channels before)`` in the range of data. ``(batch, levels)``, in the
        order of ``levels``.
        """

    @abstractmethod
    def levels(self) -> Tensor:
        """The values that a channel can have, ``(levels,)``."""

    def drawn(self, log_p: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        """A value of each, ``(batch,)``, by ``u`` in [0, 1) and what ``next_channel`` says."""
        return self.levels().to(log_p)[draw_one(log_p, u, temperature)]


class Bernoulli(OfLevels):
    """Cross entropy; of binary pixels a mass, of grey levels in [0, 1] not normalised."""

    def __init__(self, channels: int, binary: bool) -> None:
        super().__init__()
        self.maps, self.binary = channels, binary

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        share = x if self.binary else (x + 1) / 2
        return -F.binary_cross_entropy_with_logits(out, share, reduction="none").flatten(1).sum(1)

    def next_channel(self, out: Tensor, done: Tensor) -> Tensor:
        logit = out[:, done.shape[1], None]
        return F.logsigmoid(torch.cat([-logit, logit], dim=1))

    def levels(self) -> Tensor:
        return torch.tensor([0.0, 1.0])

    def mean(self, out: Tensor) -> Tensor:
        return (out > 0).float() if self.binary else 2 * out.sigmoid() - 1

    def check(self, whose: str = "its decoder") -> None:
        if not self.binary:
            raise Omitted(
                f'{whose} is Bernoulli (decoder = "bernoulli"), which gives grey levels and colours no probability: '
                'set decoder = "logistic"'
            )


class Square(Pixels):
    """The squared error of means within [-1, 1] by a tanh."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.maps = channels

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        return -(x - out.tanh()).square().flatten(1).sum(1)

    def mean(self, out: Tensor) -> Tensor:
        return out.tanh()

    def check(self, whose: str = "its decoder") -> None:
        raise Omitted(f"{whose} learns by a squared error, which gives no image a probability")


class Gaussian(Pixels):
    """One variance for all values, which is learned; means within [-1, 1] by a tanh."""

    log_prob_of = "density"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.maps = channels
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        z = (x - out.tanh()) / self.log_sigma.exp()
        return (-0.5 * z.square() - self.log_sigma - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)

    def mean(self, out: Tensor) -> Tensor:
        return out.tanh()


class Logistic(OfLevels):
    """The mass of levels under ``components`` logistics, each cut at the middles between levels (Eq. 2).

    The first level has all that lies below, the last all above, so that the mass of all levels is 1. Within a component
    the mean of a channel moves with the channels before it in a line (section 2.2), as green with red; if not
    ``linked``, channels are independent.
    """

    def __init__(self, channels: int, components: int = COMPONENTS, levels: int = 256, *, linked: bool = True) -> None:
        super().__init__()
        self.channels, self.components, self.many = channels, components, levels
        self.pairs = [(a, b) for b in range(channels) for a in range(b) if linked]
        self.maps = components * (1 + 2 * channels + len(self.pairs))

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        weights, mean, log_scale, slopes = self._parts(out.contiguous())  # not channels last: their parts lie scattered
        mean = self._moved(mean, slopes, x[:, None])
        log_mass = self._log_mass(x[:, None], mean, log_scale).sum(2)
        return (weights.log_softmax(1) + log_mass).logsumexp(1).flatten(1).sum(1)

    def next_channel(self, out: Tensor, done: Tensor) -> Tensor:
        weights, mean, log_scale, slopes = (part[..., 0, 0] for part in self._parts(out[:, :, None, None]))
        c = done.shape[1]
        x = F.pad(done, (0, self.channels - c))[:, None, :, None, None]  # what comes after moves nothing before
        mean = self._moved(mean[..., None, None], slopes[..., None, None], x)[..., 0, 0]  # (batch, k, channels)
        log_w = weights.log_softmax(1)
        if c:
            log_w = log_w + self._log_mass(done[:, None], mean[:, :, :c], log_scale[:, :, :c]).sum(2)
        each = self._log_mass(self.levels().to(out), mean[:, :, c, None], log_scale[:, :, c, None])
        return (log_w[:, :, None] + each).logsumexp(1)

    def levels(self) -> Tensor:
        return torch.linspace(-1, 1, self.many)

    def _log_mass(self, x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        return log_mass_of_level(x, mean, log_scale, spacing(self.many))

    def mean(self, out: Tensor) -> Tensor:
        """Of each logistic, what lies outside of the range counts as its end: -1 plus the integral of 1 - F over it.

        A linked channel is moved by the means of those before it, which within the range is exact.
        """
        weights, mean, log_scale, slopes = self._parts(out.float())  # of fewer digits, white would lie beyond 1
        scale = log_scale.exp()
        found = _within(mean, scale)
        for _ in range(self.channels - 1):  # each time one more channel is moved by what is final
            found = _within(self._moved(mean, slopes, found), scale)
        return (weights.softmax(1)[:, :, None] * found).sum(1)

    def _parts(self, out: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of weights ``(batch, K, H, W)``; means and log scales ``(batch, K, C, H, W)``; slopes, one a pair."""
        k, c = self.components, self.channels
        weights, mean, log_scale, slopes = out.split([k, k * c, k * c, k * len(self.pairs)], dim=1)
        mean, log_scale, slopes = (
            part.unflatten(1, (k, -1)) if part.shape[1] else part for part in (mean, log_scale, slopes)
        )
        return weights, mean, log_scale.clamp(-7, 7), slopes.tanh()

    def _moved(self, mean: Tensor, slopes: Tensor, x: Tensor) -> Tensor:
        """Means as the channels before move them, those of ``x`` ``(batch, 1 or K, C, H, W)``."""
        moved = list(mean.unbind(2))
        for number, (a, b) in enumerate(self.pairs):
            moved[b] = moved[b] + slopes[:, :, number] * x[:, :, a]
        return torch.stack(moved, dim=2)


def _within(mean: Tensor, scale: Tensor) -> Tensor:
    """The means of logistics cut to [-1, 1]."""
    return (scale * (F.softplus((mean + 1) / scale) - F.softplus((mean - 1) / scale)) - 1).clamp(-1, 1)


def log_mass_of_level(x: Tensor, mean: Tensor, log_scale: Tensor, cell: float) -> Tensor:
    """log of what a logistic distribution gives to the cell of each level, whose first and last reach to infinity."""
    offset, half, inverse = x - mean, cell / 2, (-log_scale).exp()
    above, below = inverse * (offset + half), inverse * (offset - half)
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which no rounding takes to 0
    left, right = _log_sigmoid(above), _log_sigmoid(-below)
    inner = left + right + torch.log(-torch.expm1(-2 * half * inverse))
    return torch.where(x < -1 + half, left, torch.where(x > 1 - half, right, inner))


def _log_sigmoid(x: Tensor) -> Tensor:
    """As F.logsigmoid to a rounding of 1, by functions that take PyTorch a quarter of its time on a CPU."""
    return x.clamp(min=-80).sigmoid().log() + (x + 80).clamp(max=0)  # of less than -80 it is x


def pixels_of(spec: DataSpec, law: Law, logistics: int = COMPONENTS, linked: bool = True) -> Pixels:
    """The distribution of this law for such images. Raises Unsupported for a law that binary pixels cannot have.

    logistics, linked: how many are mixed, and whether channels move with those before them, where the law is of such.
    """
    binary = spec.kind == "binary"
    if binary and law != "bernoulli":
        raise Unsupported(f"binary pixels have no {law} distribution: take decoder = 'bernoulli'")
    channels = spec.shape[0]
    if law == "bernoulli":
        return Bernoulli(channels, binary)
    if law == "logistic":
        return Logistic(channels, logistics, linked=linked)
    return Gaussian(channels) if law == "gaussian" else Square(channels)
