"""Flow matching with straight paths (Lipman et al. 2023, arXiv:2210.02747), by a small perceptron.

Noise x_0 ~ N(0, I) and data x_1 are joined by a line, along which a point has one velocity:

    x_t = (1 - t) x_0 + t x_1,    v = x_1 - x_0
    loss = E |net(x_t, t) - v|^2                          t uniform in [0, 1]

A sample starts from noise and follows the velocity of the net from t = 0 to 1, in ``steps`` steps of Euler's.
"""

import math

import torch
from bench import Batch, DataSpec, Unsupported, generator, normal
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn


@generator(
    "acme_generator",
    modalities={"image", "vector"},
    paper="arXiv:2210.02747",
    presets={"test": {"width": 32, "steps": 4}, "tiny": {}},
    sampling=("steps",),
)
class Flow(nn.Module):
    """Straight paths from noise to data, by a small perceptron."""

    def __init__(
        self, spec: DataSpec, *, width: PositiveInt = 256, lr: PositiveFloat = 1e-3, steps: PositiveInt = 20
    ) -> None:
        super().__init__()
        if spec.kind != "continuous":
            raise Unsupported(f"straight paths join real numbers, and the data is {spec.kind}")
        self.shape, self.steps, self.is_image = spec.shape, steps, spec.modality == "image"
        size = math.prod(spec.shape)
        self.net = nn.Sequential(
            nn.Linear(size + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, size)
        )
        self.optimiser = torch.optim.Adam(self.parameters(), lr)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """At points ``(batch, size)`` and times ``(batch, 1)`` in [0, 1]."""
        found: Tensor = self.net(torch.cat([x, t], 1))
        return found

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        x1 = batch.data.flatten(1)
        x0 = torch.randn(x1.shape, generator=rng, device=x1.device)
        t = torch.rand(len(x1), 1, generator=rng, device=x1.device)
        loss = (self.velocity((1 - t) * x0 + t * x1, t) - (x1 - x0)).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"loss": loss.item()}

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        first = next(self.parameters())
        x = normal(rng, n, math.prod(self.shape)).to(first.device)  # row i does not depend on how many there are
        for step in range(self.steps):
            t = x.new_full((n, 1), step / self.steps)
            x = x + self.velocity(x, t) / self.steps
        return (x.clamp(-1, 1) if self.is_image else x).view(n, *self.shape)

    @property
    def nfe(self) -> int:
        """Evaluations of the net for a sample."""
        return self.steps
