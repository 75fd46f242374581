"""The networks of the adversarial families: generators of images, and discriminators that give an image one number.

    ConvGenerator, ConvDiscriminator            convolutions of 4x4 pixels and stride 2 (Radford, Metz & Chintala 2016,
                                                arXiv:1511.06434)
    the same with layout = "sngan"              and of 3x3 pixels, between the halvings and at full size (Miyato et al.
                                                2018, arXiv:1802.05957, Table 3, with the channels of the authors' code)
    ResidualGenerator, ResidualDiscriminator    residual grouped convolutions without any norm (Huang et al. 2024,
                                                arXiv:2501.05441, section 3)

An image is halved while both of its sides are even and above 4, and grown again from there: 28 pixels are 14 and 7,
32 are 16, 8 and 4, 64 are 32, 16, 8 and 4, 8 are 4. Maps have ``width`` channels where they are finest, and twice as
many after each halving.

The last layer of a discriminator has no bias: where only differences of its answers count, as in WGAN-GP and R3GAN, a
bias would never learn.

Weights are laid out with their channels last: on a CPU samples are made a sixth to a third faster, and steps up to a
tenth. Only the residual discriminator is not, whose second derivatives would be slower.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from bench import DataSpec, Unsupported
from generators._labels import needed

Layout = Literal["dcgan", "sngan"]
Norm = Literal["none", "batch", "spectral"]
GROUP = 16  # channels of one group of a grouped convolution (arXiv:2501.05441: 96 groups of 1536 channels), at most


class ConvGenerator(nn.Module):
    """Noise ``(batch, latent)``, and labels ``(batch,)``, to images ``(batch, channels, height, breadth)`` in (-1, 1).

    Batch normalisation before each ReLU; its scale and shift are those of the label where there are classes.
    """

    def __init__(
        self, spec: DataSpec, latent: int, width: int, *, layout: Layout = "dcgan", classes: int | None = None
    ) -> None:
        super().__init__()
        channels, widths, self.coarse = _sizes(spec, width, layout)
        self.head = nn.Linear(latent, widths[-1] * math.prod(self.coarse), bias=False)
        self.norms = nn.ModuleList(BatchNorm(size, classes) for size in widths[::-1])
        ways = [*pairwise(widths[::-1])]
        self.grow = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=False) for a, b in ways)
        if layout == "sngan":
            self.grow.append(nn.Conv2d(widths[0], channels, 3, padding=1))
        else:
            self.grow.append(nn.ConvTranspose2d(widths[0], channels, 4, stride=2, padding=1))
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        h = self.head(z).unflatten(1, (-1, *self.coarse))
        for norm, grow in zip(self.norms, self.grow, strict=True):
            h = grow(F.relu(norm(h, label)))
        return torch.tanh(h)


class ConvDiscriminator(nn.Module):
    """Images ``(batch, channels, height, breadth)``, and labels ``(batch,)``, to one number each, ``(batch,)``.

    norm: "batch": before each leaky ReLU but the first; "spectral": of every weight, by one power iteration a call in
    training and none in evaluation.
    classes: the answer is psi(phi(x)) + <v_y, phi(x)>, a projection on a vector of the label (arXiv:1802.05637).
    """

    def __init__(
        self,
        spec: DataSpec,
        width: int,
        *,
        layout: Layout = "dcgan",
        norm: Norm = "none",
        classes: int | None = None,
    ) -> None:
        super().__init__()
        channels, widths, coarse = _sizes(spec, width, layout)
        size = widths[-1] * math.prod(coarse)
        if layout == "sngan":
            layers = [nn.Conv2d(channels, widths[0], 3, padding=1)]
            for a, b in pairwise(widths):
                layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.Conv2d(b, b, 3, padding=1)]
        else:
            layers = [
                nn.Conv2d(a, b, 4, stride=2, padding=1, bias=not (norm == "batch" and i))
                for i, (a, b) in enumerate(pairwise([channels, *widths]))
            ]
        parts = [part for i, layer in enumerate(layers) for part in _stage(layer, norm, first=not i)]
        self.features = nn.Sequential(*parts, nn.Flatten())  # phi
        self.answer: nn.Module = nn.Linear(size, 1, bias=False)  # psi
        self.label: nn.Module | None = nn.Embedding(classes, size) if classes else None
        if norm == "spectral":
            for layer in [*layers, self.answer, *([self.label] if self.label else [])]:
                spectral_norm(layer)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        h = self.features(x)
        out: Tensor = self.answer(h).squeeze(1)
        return out if self.label is None else out + (self.label(needed(label)) * h).sum(1)


class ResidualGenerator(nn.Module):
    """Noise ``(batch, latent)`` to images ``(batch, channels, height, breadth)`` in (-1, 1), without any norm.

    Two residual blocks at each size, with bilinear resampling in between.
    """

    def __init__(self, spec: DataSpec, latent: int, width: int) -> None:
        super().__init__()
        channels, widths, self.coarse = _sizes(spec, width, "sngan")
        self.head = nn.Linear(latent, widths[-1] * math.prod(self.coarse), bias=False)
        self.blocks = nn.ModuleList(_residuals(size, len(widths)) for size in widths[::-1])
        self.between = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in pairwise(widths[::-1]))
        self.image = nn.Conv2d(widths[0], channels, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:
        h = self.head(z).unflatten(1, (-1, *self.coarse))
        for i, blocks in enumerate(self.blocks):
            if i:
                h = F.interpolate(self.between[i - 1](h), scale_factor=2, mode="bilinear")
            h = blocks(h)
        out: Tensor = self.image(h)
        return out.tanh()


class ResidualDiscriminator(nn.Module):
    """The mirror of ``ResidualGenerator``: images to one number each, ``(batch,)``."""

    def __init__(self, spec: DataSpec, width: int) -> None:
        super().__init__()
        channels, widths, coarse = _sizes(spec, width, "sngan")
        self.image = nn.Conv2d(channels, widths[0], 1)
        self.blocks = nn.ModuleList(_residuals(size, len(widths)) for size in widths)
        self.between = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in pairwise(widths))
        self.answer = nn.Sequential(
            nn.Conv2d(widths[-1], widths[-1], coarse, groups=widths[-1], bias=False),
            nn.Flatten(),
            nn.Linear(widths[-1], 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.image(x)
        for i, blocks in enumerate(self.blocks):
            if i:
                h = self.between[i - 1](F.avg_pool2d(h, 2))
            h = blocks(h)
        out: Tensor = self.answer(h).squeeze(1)
        return out


class BatchNorm(nn.Module):
    """Batch normalisation of maps; with classes each has a scale and a shift of its own (arXiv:1707.00683)."""

    def __init__(self, channels: int, classes: int | None = None) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not classes)
        self.scale, self.shift = (nn.Embedding(classes, channels) if classes else None for _ in range(2))
        if self.scale is not None and self.shift is not None:
            nn.init.ones_(self.scale.weight)
            nn.init.zeros_(self.shift.weight)

    def forward(self, h: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.norm(h)
        if self.scale is None or self.shift is None:
            return out
        label = needed(label)
        scale, shift = (table(label)[:, :, None, None] for table in (self.scale, self.shift))
        return torch.addcmul(shift, out, scale)


class Residual(nn.Module):
    """1x1 to twice the channels, grouped 3x3, and 1x1 back, added to the input.

    In place of norms, the first two begin small and the last at zero (Zhang, Dauphin & Ma 2019, arXiv:1901.09321), by
    the number of all ``blocks`` of the net.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        inside = 2 * channels
        layers = [
            nn.Conv2d(channels, inside, 1),
            nn.Conv2d(inside, inside, 3, padding=1, groups=inside // math.gcd(inside, GROUP)),
        ]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, a=0.2)
            layer.weight.data *= blocks**-0.25
        last = nn.Conv2d(inside, channels, 1, bias=False)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(*(part for layer in layers for part in (layer, nn.LeakyReLU(0.2))), last)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


def _residuals(channels: int, sizes: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(channels, 2 * sizes) for _ in range(2)))


def _stage(layer: nn.Conv2d, norm: Norm, *, first: bool) -> Iterator[nn.Module]:
    yield layer
    if norm == "batch" and not first:
        yield nn.BatchNorm2d(layer.out_channels)
    yield nn.LeakyReLU(0.2)


def _sizes(spec: DataSpec, width: int, layout: Layout) -> tuple[int, list[int], tuple[int, int]]:
    """Channels of the image, those of the maps from fine to coarse, and the sides of the coarsest. Raises Unsupported.

    The "dcgan" layout has no maps at full size.
    """
    channels, height, breadth = spec.shape
    if spec.kind == "binary":
        raise Unsupported("adversarial families make grey levels or colours, not binary pixels: those have no gradient")
    if channels not in (1, 3):
        raise Unsupported(f"adversarial families make images of 1 or 3 channels, not {channels}")
    halvings, coarse = 0, (height, breadth)
    while min(coarse) > 4 and not (coarse[0] % 2 or coarse[1] % 2):
        halvings, coarse = halvings + 1, (coarse[0] // 2, coarse[1] // 2)
    if not halvings or max(coarse) > 8:
        raise Unsupported(
            "adversarial families make images whose sides are 3 to 8 pixels doubled some times, such as 8, 28, 32 and "
            f"64, not {height}x{breadth}"
        )
    return channels, [width * 2**i for i in range(halvings + (layout == "sngan"))], coarse
