"""Eight Gaussians on a ring, on which a generator that forgets modes is seen to forget them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench import Batch
from generators._adversarial import Adversarial

SPREAD = 0.05
# on_modes of a circle that knows no modes: its arcs whose chords from a mode are shorter than 4 SPREAD.
ON_A_CIRCLE = 8 * 4 * math.asin(4 * SPREAD / 2) / (2 * math.pi)
CENTRES = torch.stack([f(torch.arange(8) * math.pi / 4) for f in (torch.cos, torch.sin)], dim=1)


def ring(n: int, rng: torch.Generator) -> Tensor:
    """``(n, 2)`` points, each of one of the eight, which are as likely as one another; radius 1."""
    which = torch.randint(8, (n,), generator=rng)
    return CENTRES[which] + SPREAD * torch.randn(n, 2, generator=rng)


def modes(points: Tensor) -> int:
    """How many of the eight have at least a quarter of their share of the points within four standard deviations."""
    near = torch.cdist(points, CENTRES) < 4 * SPREAD
    return int((near.double().mean(0) > 1 / 32).sum())


def on_modes(points: Tensor) -> float:
    """The share of points within four standard deviations of a mode; of real ones it is 0.9997."""
    return float((torch.cdist(points, CENTRES).min(1).values < 4 * SPREAD).double().mean())


class Perceptron(nn.Module):
    """Points ``(n, 2)`` to points, or to one number each; labels play no part."""

    def __init__(self, outside: int, wrap: Callable[[nn.Linear], nn.Module] = lambda layer: layer) -> None:
        super().__init__()
        first, second, last = (wrap(nn.Linear(a, b)) for a, b in ((2, 64), (64, 64), (64, outside)))
        self.layers = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), last)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.layers(x)
        return out.squeeze(1) if out.shape[1] == 1 else out


def learned(family: Any, discriminator: Perceptron, *, steps: int = 500, lr: float = 4e-3) -> Tensor:
    """4,000 points of a perceptron that has learned the ring as this family learns images: by its own steps.

    The family's nets are replaced by perceptrons; its losses, turns and schedules are what they are.
    """
    buffers = dict(family.named_buffers(recurse=False))
    Adversarial.__init__(
        family, Perceptron(2), discriminator, latent=2, lr=lr, betas=(0.0, 0.9), ema_decay=0.99, rounds=family.rounds
    )
    for name, buffer in buffers.items():
        family.register_buffer(name, buffer)
    rng = torch.Generator().manual_seed(0)
    for step in range(steps):
        family.pace(step / steps)
        family.train().train_step(Batch(ring(256, rng)), rng)
    with torch.no_grad():
        points: Tensor = family.eval().average(torch.randn(4000, 2, generator=rng))
    return points
