"""Encoders of images into vectors, and decoders of vectors into images, that families share.

    net = "conv"   convolutions of 4x4 pixels that halve the sides, once at least, until the shorter is of 8 pixels or
                   fewer: ``width`` channels at first, then twice as many; a linear layer between them and the vector
    net = "mlp"    two hidden layers of ``width``

Where there are classes, a label stands beside the vector, and beside what the encoder makes of the image. What comes
out is float32, whatever the nets compute in: it parametrises distributions.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import Unsupported
from generators._labels import needed

Net = Literal["conv", "mlp"]
Shape = tuple[int, int, int]


class Encoder(nn.Module):
    """``(batch, channels, height, breadth)``, and labels ``(batch,)``, to ``(batch, outside)``."""

    def __init__(self, shape: tuple[int, ...], outside: int, *, net: Net, width: int, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        if net == "mlp":
            self.features, size, hidden = nn.Sequential(nn.Flatten()), math.prod(shape), [width, width]
        else:
            widths, coarse = _widths(shape, width)
            self.features = nn.Sequential(*(layer for a, b in pairwise(widths) for layer in _halve(a, b)), nn.Flatten())
            size, hidden = widths[-1] * math.prod(coarse), []
        self.head = _perceptron(size + classes, *hidden, outside)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.head(beside(self.features(x), label, self.classes))
        return out.float()


class Decoder(nn.Module):
    """``(batch, inside)``, and labels ``(batch,)``, to ``(batch, maps, height, breadth)``."""

    def __init__(
        self, inside: int, shape: tuple[int, ...], maps: int, *, net: Net, width: int, classes: int = 0
    ) -> None:
        super().__init__()
        self.classes, sides = classes, shape[1:]
        if net == "mlp":
            size = maps * math.prod(sides)
            self.head = _perceptron(inside + classes, width, width, size)
            self.image = nn.Sequential(nn.Unflatten(1, (maps, *sides)))
        else:
            widths, coarse = _widths((maps, *sides), width)
            self.head = _perceptron(inside + classes, widths[-1] * math.prod(coarse))
            ways = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
            self.image = nn.Sequential(
                nn.Unflatten(1, (widths[-1], *coarse)), *(layer for way in ways for layer in _double(*way))
            )
            self.image.to(memory_format=torch.channels_last)  # samples are made a third faster on a CPU

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.image(self.head(beside(z, label, self.classes)))
        return out.float()


def beside(x: Tensor, label: Tensor | None, classes: int) -> Tensor:
    """``(batch, size)`` with a label's one of ``classes`` places beside it, if there are classes.

    The one-hot vector is scaled by sqrt(classes), so that each entry has a variance of about 1, as a latent has.
    """
    if not classes:
        return x
    return torch.cat([x, math.sqrt(classes) * F.one_hot(needed(label), classes).to(x)], dim=1)


def _widths(shape: tuple[int, ...], width: int) -> tuple[list[int], tuple[int, int]]:
    """Channels at each size, from the image's own, and the sides of the coarsest map. Raises Unsupported."""
    channels, height, breadth = shape
    halvings = max(1, math.ceil(math.log2(min(height, breadth) / 8)))
    if height % 2**halvings or breadth % 2**halvings:
        raise Unsupported(
            f"convolutions halve images whose sides are multiples of {2**halvings}, not {height}x{breadth}: "
            'take net = "mlp"'
        )
    return [channels, width, *[2 * width] * (halvings - 1)], (height >> halvings, breadth >> halvings)


def _perceptron(*widths: int) -> nn.Sequential:
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    return nn.Sequential(*(part for layer in layers[:-1] for part in (layer, nn.SiLU())), layers[-1])


def _halve(inside: int, outside: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inside, outside, 4, stride=2, padding=1), nn.SiLU()


def _double(inside: int, outside: int) -> tuple[nn.Module, ...]:
    return nn.SiLU(), nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1)
