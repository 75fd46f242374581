"""A mixture of two Gaussians in the plane, of which every score, velocity and density is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MEANS = torch.tensor([[1.5, 0.5], [-1.0, -1.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.3, 0.7], dtype=torch.float64)
SPREAD = 0.4  # standard deviation of both


def log_density(x: Tensor, scale: float | Tensor = 1.0, spread: float | Tensor = SPREAD) -> Tensor:
    """Of the mixture with its means times ``scale`` and such a standard deviation, ``(n,)``."""
    return _each(x, scale, spread).logsumexp(1)


def shares(x: Tensor, scale: float | Tensor, spread: float | Tensor) -> Tensor:
    """How much of each point is either component's, ``(n, 2)``."""
    return _each(x, scale, spread).softmax(1)


def _each(x: Tensor, scale: float | Tensor, spread: float | Tensor) -> Tensor:
    scale, spread = (torch.as_tensor(v, dtype=torch.float64).view(-1, 1) for v in (scale, spread))
    squared = (x.double()[:, None] - scale[:, :, None] * MEANS).square().sum(2)
    return WEIGHTS.log() - squared / (2 * spread**2) - 2 * spread.log() - math.log(2 * math.pi)


def drawn(n: int, rng: torch.Generator) -> Tensor:
    which = torch.multinomial(WEIGHTS, n, replacement=True, generator=rng)
    return MEANS[which] + SPREAD * torch.randn(n, 2, generator=rng, dtype=torch.float64)


class Velocity(nn.Module):
    """E(x_1 - x_0 | x_t) on straight lines from N(0, I) at t = 0 to the mixture at t = 1."""

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        t = t.double()
        var = (1 - t) ** 2 + (t * SPREAD) ** 2  # (n,)
        off = x.double()[:, None] - t[:, None, None] * MEANS  # (n, 2 components, 2)
        each = MEANS + ((t * SPREAD**2 - (1 - t)) / var)[:, None, None] * off
        return (shares(x, t, var.sqrt())[:, :, None] * each).sum(1).to(x.dtype)


class Denoiser(nn.Module):
    """D(x; sigma): the mean of data given what is seen of it with noise."""

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        sigma = sigma.double()
        var = SPREAD**2 + sigma**2
        off = x.double()[:, None] - MEANS
        each = MEANS + (SPREAD**2 / var)[:, None, None] * off
        return (shares(x, torch.ones_like(sigma), var.sqrt())[:, :, None] * each).sum(1).to(x.dtype)


class Preconditioned(nn.Module):
    """F(w; ln(sigma) / 4) of EDM, of which that denoiser follows."""

    def forward(self, w: Tensor, c_noise: Tensor, label: Tensor | None = None) -> Tensor:
        sigma = (4 * c_noise).exp()
        at = sigma[:, None]
        x = w * (at.square() + 1).sqrt()
        f: Tensor = (Denoiser()(x, sigma) - x / (at.square() + 1)) * (at.square() + 1).sqrt() / at
        return f


class Says(nn.Module):
    """In the place of a net: a function of x, t and a label."""

    def __init__(self, says: Callable[[Tensor, Tensor, Tensor | None], Tensor]) -> None:
        super().__init__()
        self.says = says

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        return self.says(x, t, label)


def in_the_plane(model: Any, net: nn.Module) -> Any:
    """A family that works on points ``(n, 2)``, and whose net is known."""
    model.shape, model.net, model.average = (2,), net, net
    model.somewhere = nn.Parameter(torch.zeros(()))  # says on what device the model is
    return model.eval()


def exact_density(model: Any, x: Tensor) -> Tensor:
    """Its density ``(n,)`` by two probes: with (1, 1) and (1, -1) the trace of a matrix of two rows is exact."""
    probes = (torch.tensor([1.0, sign]).expand(len(x), 2) for sign in (1, -1))
    with torch.no_grad():
        densities = torch.stack([model.density(x, None, probe) for probe in probes])
    return densities.mean(0)
