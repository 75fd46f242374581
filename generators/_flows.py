"""Pieces of normalising flows: maps with an inverse, and the logarithm of the volume that they stretch by.

    log p(x) = log N(f(x); 0, I) + log |det df/dx|

Each layer takes ``(batch, channels, height, breadth)`` or ``(batch, size)``, gives what it makes of it and its log
determinant ``(batch,)``, and has an ``inverse``. A flow at the pixels is of several scales: after each but the last,
half of the channels are done (Dinh et al. 2017, arXiv:1605.08803, section 3.6).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor, nn

from bench import DataSpec, Rows, Unsupported, spacing
from generators._latent import WithDensity
from generators._schedule import descend

Maps = tuple[Tensor, Tensor]
ROOM = 1 + spacing() / 2  # dequantised pixels lie in [-ROOM, ROOM)
BINS, BOUND = 8, 4.0  # of splines


class Layer(nn.Module, ABC):
    """A map with an inverse."""

    @abstractmethod
    def forward(self, x: Tensor) -> Maps: ...

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor: ...


class NormalisingFlow(WithDensity):
    """Layers by scale, trained on exact likelihood.

    lr: of Adam. temperature: samples are drawn from N(0, temperature^2 I); 1 is the model itself. logit: pixels are
    brought to [alpha, 1 - alpha] and their logits modelled, alpha = 0.05 (section 4.1); without, as they are.
    A family makes its ``scales``, each a list of layers, from the shape that comes to it. Raises GenbenchError for the
    logit of latents.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        lr: PositiveFloat = 1e-3,
        temperature: PositiveFloat = 1.0,
        logit: bool = False,
        **rest: Any,
    ) -> None:
        super().__init__(spec, **rest)
        if self.vae:
            self.refuse_idle(NormalisingFlow, "latents have none, leave it out", logit=logit)
        self.temperature, self.logit = temperature, logit and self.vae is None
        self.scales = nn.ModuleList()
        self.optimiser: torch.optim.Optimizer
        self.lr = lr

    def ready(self, scales: Sequence[Sequence[Layer]]) -> None:
        """Takes its layers, at the end of the family's constructor."""
        self.scales.extend(nn.ModuleList(layers) for layers in scales)
        self.done, shape = list[tuple[int, ...]](), self.shape  # what each scale is done with
        for i, layers in enumerate(scales):
            for _ in (layer for layer in layers if isinstance(layer, Squeeze)):
                shape = squeezed(shape)
            shape = shape if i == len(scales) - 1 else halved(shape)
            self.done.append(shape)
        flow = [p for layers in self.scales for p in layers.parameters()]
        self.optimiser = torch.optim.Adam(flow, lr=self.lr, fused=True)

    def learn(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> float:
        loss = -self.log_p(x).mean() / x[0].numel()
        descend(self.optimiser, loss, max_norm=1.0)
        return loss.item()

    def draw(self, rows: Rows, n: int, condition: Tensor | None) -> Tensor:
        z = rows.normal(*self.shape).to(self.device) * self.temperature
        with torch.autocast(z.device.type, enabled=False):  # an inverse in half precision is none
            return self.from_noise(z)

    def density(self, x: Tensor, label: Tensor | None, noise: Tensor) -> Tensor:
        return self.log_p(x)

    def log_p(self, x: Tensor) -> Tensor:
        """log p(x) in nats, ``(batch,)``, of what lies in the space."""
        z, log_det = self.to_noise(x)
        log_n = -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1)
        return log_n + log_det

    def to_noise(self, x: Tensor) -> Maps:
        """z of the shape of x, whose parts stand in the order in which they were done; and the log determinant."""
        total, done, h = x.new_zeros(len(x)), [], x
        if self.logit:
            h, total = logits(x)
        for i, layers in enumerate(self.scales):
            for layer in layers:  # type: ignore[attr-defined]
                h, log_det = layer(h)
                total = total + log_det
            if i < len(self.scales) - 1:
                out, h = h.chunk(2, dim=1)
                done.append(out.flatten(1))
        return torch.cat([*done, h.flatten(1)], dim=1).view_as(x), total

    def from_noise(self, z: Tensor) -> Tensor:
        """The inverse of ``to_noise``."""
        sizes = [math.prod(shape) for shape in self.done]
        parts = [part.view(-1, *shape) for part, shape in zip(z.flatten(1).split(sizes, 1), self.done, strict=True)]
        h = None
        for layers, part in zip(reversed(self.scales), reversed(parts), strict=True):
            h = part if h is None else torch.cat([part, h], dim=1)
            for layer in reversed(layers):  # type: ignore[call-overload]
                h = layer.inverse(h)
        assert h is not None
        return from_logits(h) if self.logit else h


Transform = Literal["affine", "spline"]


class Coupling(Layer):
    """Half of the channels, or of the numbers, moved one by one by what a net says of the other half.

    net: from the half that stays to ``parameters_of`` numbers for each value of the other, ``(batch, numbers *
    channels, ...)``. second: whether the second half stays, and not the first.
    transform: "affine", x exp(s) + t with s = 2 tanh(./2), that no step takes it away; or "spline" (see ``spline``).
    """

    def __init__(self, net: nn.Module, transform: Transform = "affine", *, second: bool = False) -> None:
        super().__init__()
        self.net, self.transform, self.second = net, transform, second

    def forward(self, x: Tensor) -> Maps:
        return self._moved(x, backwards=False)

    def inverse(self, y: Tensor) -> Tensor:
        return self._moved(y, backwards=True)[0]

    def _moved(self, x: Tensor, *, backwards: bool) -> Maps:
        many = x.shape[1] - x.shape[1] // 2  # that stay
        kept, rest = x.split([many, x.shape[1] - many], dim=1)
        if self.second:
            rest, kept = x.split([x.shape[1] - many, many], dim=1)
        moved, log_slope = transformed(rest, self.net(kept), self.transform, backwards=backwards)
        parts = [moved, kept] if self.second else [kept, moved]
        return torch.cat(parts, dim=1), log_slope.flatten(1).sum(1)


class CheckerboardCoupling(Layer):
    """As Coupling, by the colour of fields: values where row + column is even, or odd, stay (arXiv:1605.08803, Eq. 9).

    net: sees those that stay, zeros for the rest, and says something of every value.
    """

    def __init__(self, net: nn.Module, *, odd: bool) -> None:
        super().__init__()
        self.net, self.odd = net, odd

    def forward(self, x: Tensor) -> Maps:
        return self._moved(x, backwards=False)

    def inverse(self, y: Tensor) -> Tensor:
        return self._moved(y, backwards=True)[0]

    def _moved(self, x: Tensor, *, backwards: bool) -> Maps:
        rows, columns = (torch.arange(side, device=x.device) for side in x.shape[2:])
        stays = (rows[:, None] + columns) % 2 == int(self.odd)
        moved, log_slope = transformed(x, self.net(x * stays), "affine", backwards=backwards)
        return torch.where(stays, x, moved), log_slope.masked_fill(stays, 0).flatten(1).sum(1)


def parameters_of(transform: Transform) -> int:
    """How many numbers a coupling's net says for each value."""
    return 2 if transform == "affine" else 3 * BINS - 1


def transformed(x: Tensor, out: Tensor, transform: Transform, *, backwards: bool) -> Maps:
    """Values ``(batch, channels, ...)`` moved as the net says, or moved back; and the logarithms of the slopes."""
    out = out.float().unflatten(1, (-1, x.shape[1]))  # (batch, numbers, channels, ...)
    if transform == "spline":
        return spline(x, out.movedim(1, -1), backwards=backwards)
    shift, scale = out.unbind(1)
    scale = 2 * torch.tanh(scale / 2)
    return ((x - shift) * (-scale).exp(), -scale) if backwards else (x * scale.exp() + shift, scale)


class ActNorm(Layer):
    """A scale and a shift a channel, set by the first batch so that it has mean 0 and variance 1 (arXiv:1807.03039).

    What that batch sets are buffers; what is learned on top of it begins at 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale, self.shift = (nn.Parameter(torch.zeros(channels)) for _ in range(2))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.begun = False

    def forward(self, x: Tensor) -> Maps:
        if self.training and not self.begun:
            flat = x.detach().movedim(1, 0).flatten(1)
            self.mean.copy_(flat.mean(1))
            self.std.copy_(flat.std(1, correction=0) + 1e-6)
            self.begun = True
        scale, shift = self._now(x)
        log_det = (self.log_scale - self.std.log()).sum() * x[0, 0].numel()
        return x * scale + shift, log_det.expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        scale, shift = self._now(y)
        return (y - shift) / scale

    def _now(self, x: Tensor) -> Maps:
        scale = self.log_scale.exp() / self.std
        axes = (-1, *[1] * (x.ndim - 2))
        return scale.view(axes), (self.shift - self.mean * scale).view(axes)


class Invertible1x1(Layer):
    """A 1x1 convolution W = P L (U + diag(s)) (arXiv:1807.03039, Eq. 10), of a random rotation at first.

    In float32 where the rest is in less: the difference of two grey levels is little beside a rounded sum.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        order, lower, upper = torch.linalg.lu(rotation)
        self.order: Tensor
        self.sign: Tensor
        self.register_buffer("order", order)
        self.register_buffer("sign", upper.diagonal().sign())
        self.lower, self.upper = nn.Parameter(lower.tril(-1)), nn.Parameter(upper.triu(1))
        self.log_s = nn.Parameter(upper.diagonal().abs().log())

    def forward(self, x: Tensor) -> Maps:
        with torch.autocast(x.device.type, enabled=False):
            weight = self.order @ self._lower() @ self._upper()
            y = torch.einsum("ij,bj...->bi...", weight, x.to(weight))
        return y, (self.log_s.sum() * x[0, 0].numel()).expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        flat = (self.order.T @ y.movedim(1, 0).flatten(1)).contiguous()
        flat = torch.linalg.solve_triangular(self._lower(), flat, upper=False, unitriangular=True)
        flat = torch.linalg.solve_triangular(self._upper(), flat, upper=True)
        x: Tensor = flat.view(y.shape[1], len(y), *y.shape[2:]).movedim(0, 1)
        return x

    def _lower(self) -> Tensor:
        return self.lower.tril(-1) + torch.eye(len(self.lower), device=self.lower.device)

    def _upper(self) -> Tensor:
        return self.upper.triu(1) + torch.diag(self.sign * self.log_s.exp())


class Squeeze(Layer):
    """Squares of 2x2 pixels as four times the channels, place by place: half of them are two of the four places."""

    def forward(self, x: Tensor) -> Maps:
        places = F.pixel_unshuffle(x, 2).unflatten(1, (-1, 4)).transpose(1, 2)  # (batch, 4, channels, ...)
        return places.flatten(1, 2), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return F.pixel_shuffle(y.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2), 2)


def net_for(shape: tuple[int, ...], transform: Transform, width: int, *, whole: bool = False) -> nn.Module:
    """What a coupling of examples of ``shape`` asks: two hidden layers, of images convolutions (arXiv:1807.03039,
    section 5). The last begins at zero, and each layer of the flow as the identity.

    whole: for a checkerboard, from all channels to all; else from a half to the other. Raises Unsupported for vectors
    of one number.
    """
    size = shape[0]
    inside, outside = (size, size) if whole else (size - size // 2, size // 2)
    if not outside:
        raise Unsupported("a coupling moves one half by the other: take latent = 2 or more")
    outside *= parameters_of(transform)
    layers: list[nn.Module]
    if len(shape) == 3:
        layers = [nn.Conv2d(inside, width, 3, padding=1), nn.Conv2d(width, width, 1)]
        layers += [nn.Conv2d(width, outside, 3, padding=1)]
    else:
        layers = [nn.Linear(inside, width), nn.Linear(width, width), nn.Linear(width, outside)]
    first, second, last = layers
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return 4 * shape[0], shape[1] // 2, shape[2] // 2


def halved(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[0] // 2, *shape[1:]


def check_sides(spec: DataSpec, halvings: int) -> None:
    """Raises Unsupported where an image cannot be halved so often."""
    if any(side % 2**halvings for side in spec.shape[1:]):
        raise Unsupported(
            f"this flow halves images {halvings} times, and sides of {'x'.join(map(str, spec.shape[1:]))} are no "
            f"multiples of {2**halvings}: set fewer scales"
        )


def logits(x: Tensor, alpha: float = 0.05) -> Maps:
    """Logits of pixels that were brought from [-ROOM, ROOM) to [alpha, 1 - alpha], and the log determinant."""
    share = alpha + (1 - 2 * alpha) * (x / ROOM + 1) / 2
    y = share.logit()
    each = math.log((1 - 2 * alpha) / (2 * ROOM)) - share.log() - (1 - share).log()
    return y, each.flatten(1).sum(1)


def from_logits(y: Tensor, alpha: float = 0.05) -> Tensor:
    return ((y.sigmoid() - alpha) / (1 - 2 * alpha) * 2 - 1) * ROOM


def spline(x: Tensor, out: Tensor, *, backwards: bool = False) -> Maps:
    """Monotone rational-quadratic splines (Durkan et al. 2019, arXiv:1906.04032, Eqs. 4 to 8) of each value of x.

    out: ``(*x.shape, 3 BINS - 1)``: widths and heights of the bins before a softmax, slopes at the inner knots before a
    softplus; outside [-BOUND, BOUND], and at its ends, the slope is 1. Returns values and logarithms of slopes. Where
    a slope is a thousandth, an inverse has three digits less, as any has.
    """
    inside = (x > -BOUND) & (x < BOUND)
    at = x.clamp(-BOUND, BOUND)
    bins = bins_of(at, out, backwards=backwards)
    share = share_of_height(at, bins) if backwards else (at - bins.x0) / bins.width
    d0, d1, s = bins.d0, bins.d1, bins.slope
    rest = share * (1 - share)
    bottom = s + (d0 + d1 - 2 * s) * rest
    if backwards:
        value = bins.x0 + share * bins.width
    else:
        value = bins.y0 + bins.height * (s * share.square() + d0 * rest) / bottom
    slope = s.square() * (d1 * share.square() + 2 * s * rest + d0 * (1 - share).square()) / bottom.square()
    log_slope = slope.log().where(inside, 0.0)
    return value.where(inside, x), -log_slope if backwards else log_slope


class Bins(NamedTuple):
    """Of each value the bin of its spline, all of the shape of the values: corner, sides, slopes at both ends, and that
    of the line between them.
    """

    x0: Tensor
    y0: Tensor
    width: Tensor
    height: Tensor
    d0: Tensor
    d1: Tensor
    slope: Tensor


def bins_of(at: Tensor, out: Tensor, *, backwards: bool) -> Bins:
    """Where values in [-BOUND, BOUND] lie between the knots that a net says, along x or, backwards, along y."""
    least = 1e-3
    w, h, d = out.split([BINS, BINS, BINS - 1], dim=-1)
    w, h = (2 * BOUND * (least + (1 - least * BINS) * part.softmax(-1)) for part in (w, h))
    inner = least + F.softplus(d + math.log(math.expm1(1 - least)))  # 1 where the net says 0
    slopes = F.pad(inner, (1, 1), value=1.0)
    x, y = (F.pad(part.cumsum(-1), (1, 0)) - BOUND for part in (w, h))
    k = torch.searchsorted((y if backwards else x)[..., 1:-1].contiguous(), at[..., None].contiguous())
    picked = ((x, k), (y, k), (w, k), (h, k), (slopes, k), (slopes, k + 1))
    x0, y0, width, height, d0, d1 = (table.gather(-1, which).squeeze(-1) for table, which in picked)
    return Bins(x0, y0, width, height, d0, d1, height / width)


def share_of_height(y: Tensor, bins: Bins) -> Tensor:
    """How far into its bin the spline comes to y: the root of a quadratic, Eqs. 6 to 8."""
    d0, d1, s, rise = bins.d0, bins.d1, bins.slope, y - bins.y0
    a = bins.height * (s - d0) + rise * (d0 + d1 - 2 * s)
    b = bins.height * d0 - rise * (d0 + d1 - 2 * s)
    c = -s * rise
    return 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())
