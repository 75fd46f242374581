"""Eight Gaussians on a ring, on which a generator that forgets modes is seen to forget them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from generators._adversarial import descend
from generators._ema import averaged_copy

SPREAD = 0.05
CENTRES = torch.stack([f(torch.arange(8) * math.pi / 4) for f in (torch.cos, torch.sin)], dim=1)
Net = Callable[[Tensor], Tensor]


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


def perceptron(outside: int, wrap: Callable[[nn.Linear], nn.Module] = lambda layer: layer) -> nn.Sequential:
    layers = [wrap(nn.Linear(a, b)) for a, b in ((2, 64), (64, 64), (64, outside))]
    return nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1], nn.LeakyReLU(0.2), layers[2])


def learned(
    discriminator: nn.Module,
    discriminator_loss: Callable[[Net, Tensor, Tensor], Tensor],
    generator_loss: Callable[[Net, Tensor, Tensor], Tensor],
    *,
    steps: int = 500,
    lr: float = 4e-3,
) -> Tensor:
    """4,000 points of a perceptron that has learned the ring by these losses; rates fall to 0 in a line."""
    rng = torch.Generator().manual_seed(0)
    generator = perceptron(2)
    average = averaged_copy(generator, 0.99)
    opt_g, opt_d = (
        torch.optim.Adam(net.parameters(), lr=lr, betas=(0.0, 0.9), fused=True) for net in (generator, discriminator)
    )
    for step in range(steps):
        for optimiser in (opt_g, opt_d):
            optimiser.param_groups[0]["lr"] = lr * (1 - step / steps)
        real, fake = ring(256, rng), generator(torch.randn(256, 2, generator=rng))
        descend(opt_d, discriminator_loss(discriminator, real, fake.detach()))
        descend(opt_g, generator_loss(discriminator, real, fake))
        average.update_parameters(generator)
    with torch.no_grad():
        points: Tensor = average(torch.randn(4000, 2, generator=rng))
    return points
