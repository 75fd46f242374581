"""Energy-based model: a net gives each image an energy, p(x) = exp(-E(x)) / Z (Du & Mordatch 2019, arXiv:1903.08689).

The gradient of the likelihood needs no Z: energies of data fall, and those of the model's own samples rise,

    loss = E E(x+) - E E(x-) + alpha E (E(x+)^2 + E(x-)^2)                                 (section 3.3 and Algorithm 1)

with x- from Langevin dynamics, x <- x - step/2 grad E(x) + noise z, whose gradients are clipped. In training chains go
on from where they ended, in a buffer, a few of them from noise (section 3.2). The buffer has seen data for as long as
the training lasts, and would flatter the model: samples are fresh chains, from noise, of ``sample_steps``.

At the pixels step and noise do not belong together, as in the paper: chains are far colder than p. In a latent space
p(z) = exp(-f(z)) N(z; 0, I) / Z (Pang et al. 2020, arXiv:2006.08205, Eq. 2), E(z) is f(z) + |z|^2/2, the noise is
sqrt(step), which makes chains those of p, and alpha weighs f alone. Activations are smooth, without which users report
that it diverges, and an average samples; the paper has spectral norms and a large residual net.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le, Lt
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import DataSpec, Presets, Rows, generator
from generators._ema import averaged_copy
from generators._latent import InSpace
from generators._nets import ResidualMLP
from generators._schedule import descend

PRESETS: Presets = {
    "test": {"width": 8, "steps": 3, "sample_steps": 3, "buffer": 32, "lr": 1e-3},
    "tiny": {
        "space": "latent", "width": 128, "steps": 20, "sample_steps": 100, "alpha": 0.01, "lr": 3e-4,
    },
    # section 4 in [0, 1] has lr 10 without the half, clip 0.01, noise 0.005: in [-1, 1] these
    "paper": {
        "width": 128, "steps": 60, "sample_steps": 60, "step": 80.0, "noise": 0.01, "clip": 0.005, "alpha": 1.0,
        "buffer": 10_000, "lr": 1e-4,
    },
}  # fmt: skip


@generator("ebm", modalities={"image"}, paper="arXiv:1903.08689", presets=PRESETS, sampling=("sample_steps",))
class EBM(InSpace):
    """An energy, and Langevin dynamics that sample it.

    width: of the net. steps: of a chain in each training step; sample_steps: of a sample. step, noise: of the dynamics,
    whose gradients are clipped to [-clip, clip]; left out: 20, 0.005 and 0.01 at the pixels, in a latent space 0.1,
    sqrt(step) and no bound.
    alpha: see above. buffer: chains that are kept, of which a share ``fresh`` begins anew. lr, ema_decay: of the net
    and of its average. The rest as of ``generators/_latent.py``.
    """

    dequantised = False

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: PositiveInt = 64,
        steps: PositiveInt = 40,
        sample_steps: PositiveInt = 100,
        step: PositiveFloat | None = None,
        noise: NonNegativeFloat | None = None,
        clip: PositiveFloat | None = None,
        alpha: NonNegativeFloat = 0.1,
        buffer: PositiveInt = 4096,
        fresh: Annotated[float, Ge(0), Le(1)] = 0.05,
        lr: PositiveFloat = 1e-4,
        ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.99,
        **rest: Any,
    ) -> None:
        super().__init__(spec, **rest)
        self.steps, self.sample_steps = steps, sample_steps
        self.step = step or (0.1 if self.vae else 20.0)
        self.clip = clip or (math.inf if self.vae else 0.01)
        self.noise = (self.step**0.5 if self.vae else 0.005) if noise is None else noise
        self.alpha, self.fresh = alpha, fresh
        self.net = Energy(self.shape, width)
        self.average = averaged_copy(self.net, ema_decay)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=lr, betas=(0.0, 0.999), fused=True)
        self.buffer: Tensor
        self.register_buffer("buffer", self.start(torch.rand(buffer, *self.shape)))

    @property
    def nfe(self) -> int:
        """Evaluations of the net, and of its gradient, a sample."""
        return self.sample_steps

    def learn(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> float:
        size = min(len(x), len(self.buffer))
        which = torch.randperm(len(self.buffer), generator=rng, device=rng.device)[:size]
        anew = torch.rand(size, generator=rng, device=rng.device) < self.fresh
        u = torch.rand(size, *self.shape, generator=rng, device=rng.device)
        made = torch.where(anew.view(-1, *[1] * (x.ndim - 1)), self.start(u), self.buffer[which])
        for _ in range(self.steps):
            made = self.moved(self.net, made, torch.randn(made.shape, generator=rng, device=rng.device))
        self.buffer[which] = made
        seen = x if self.vae else x + self.noise * torch.randn(x.shape, generator=rng, device=rng.device)
        on_data, on_made = self.net(torch.cat([seen, made])).split([len(x), size])
        loss = on_data.mean() - on_made.mean() + self.alpha * (on_data.square().mean() + on_made.square().mean())
        descend(self.optimiser, loss, max_norm=1.0)
        self.average.update_parameters(self.net)
        return float(loss.item())

    def draw(self, rows: Rows, n: int, condition: Tensor | None) -> Tensor:
        x = self.start(rows.uniform(*self.shape).to(self.device))
        for _ in range(self.sample_steps):
            x = self.moved(self.average, x, rows.normal(*self.shape).to(x))
        return x

    def moved(self, net: nn.Module, x: Tensor, z: Tensor) -> Tensor:
        """One step of Langevin dynamics, within the range that pixels have."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(net(x).sum(), x)
        slope = slope.clamp(-self.clip, self.clip)
        slope = slope + x.detach() if self.vae else slope
        x = x.detach() - self.step / 2 * slope + self.noise * z
        return x if self.vae else x.clamp(-1, 1)

    def start(self, u: Tensor) -> Tensor:
        """Where chains begin, by uniform draws: anywhere in the range of pixels, or N(0, I) in a latent space."""
        return torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6)) if self.vae else 2 * u - 1


class Energy(nn.Module):
    """``(batch, *shape)`` to ``(batch,)``, by smooth activations: strided convolutions, or a perceptron."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        if len(shape) == 1:
            self.layers: nn.Module = ResidualMLP(shape[0], 1, width=width, depth=3)
            return
        self.layers = nn.Sequential(
            nn.Conv2d(shape[0], width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, width, 4, stride=2, padding=1), nn.SiLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 4, stride=2, padding=1), nn.SiLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x).squeeze(1)
        return out
