"""A prior that is fitted to the latents of a trained model: a mixture of Gaussians with full covariances.

A decoder is good where its encoder puts data, and N(0, I) is not that place (Ghosh et al. 2020, arXiv:1903.12436,
section 4; Dai & Wipf 2019, arXiv:1903.05789). In float64, as a covariance of single precision may not be one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from bench import Batch, Rows, Split

FITTED = 20_000  # latents, at most
STEPS = 30  # of expectation maximisation
LEAST = 20  # latents for each component


class MixturePrior(nn.Module):
    """Until it is fitted it is N(0, I). ``components``: of the mixture, as many as the latents are enough for."""

    weights: Tensor  # (components,)
    means: Tensor  # (components, size)
    scales: Tensor  # (components, size, size): lower triangles L with L L' the covariance

    def __init__(self, size: int, components: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.eye(components, dtype=torch.float64)[0])
        self.register_buffer("means", torch.zeros(components, size, dtype=torch.float64))
        self.register_buffer("scales", torch.eye(size, dtype=torch.float64).repeat(components, 1, 1))

    def fit(self, z: Tensor, rng: torch.Generator) -> None:
        """To latents ``(n, size)``, by expectation maximisation."""
        seed = int(torch.randint(2**31, (), generator=rng))
        mixture = GaussianMixture(
            max(1, min(len(self.weights), len(z) // LEAST)), reg_covar=1e-4, max_iter=STEPS, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # so many steps are what it has
            mixture.fit(z.double().cpu().numpy())
        found = len(mixture.weights_)
        covariances = torch.from_numpy(mixture.covariances_)
        self.weights.zero_()
        self.weights[:found] = torch.from_numpy(mixture.weights_)
        self.means[:found] = torch.from_numpy(mixture.means_)
        self.scales[:found] = torch.linalg.cholesky(covariances).to(self.scales.device)

    def draw(self, rows: Rows) -> Tensor:
        """``(n, size)`` float32."""
        cumulative = self.weights.cumsum(0)
        u = rows.uniform().to(cumulative) * cumulative[-1]
        chosen = torch.searchsorted(cumulative, u, right=True).clamp(max=len(cumulative) - 1)
        noise = rows.normal(self.means.shape[1]).to(self.means)
        return torch.baddbmm(self.means[chosen, :, None], self.scales[chosen], noise[:, :, None]).squeeze(2).float()

    def log_prob(self, z: Tensor) -> Tensor:
        """In nats, ``(batch,)`` float64, of ``(batch, size)``."""
        offset = (z.double()[:, None] - self.means).unsqueeze(3)  # (batch, components, size, 1)
        y = torch.linalg.solve_triangular(self.scales, offset, upper=False).squeeze(3)
        volume = self.scales.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * z.shape[1] * math.log(2 * math.pi)
        log_p: Tensor = (self.weights.log() - volume - 0.5 * y.square().sum(2)).logsumexp(1)
        return log_p


@torch.no_grad()
def latents(encode: Callable[[Batch], Tensor], data: Split, rng: torch.Generator, device: torch.device) -> Tensor:
    """What ``encode`` makes of at most ``FITTED`` examples, ``(n, size)``, all different."""
    order = torch.randperm(len(data), generator=rng)[:FITTED]
    return torch.cat([encode(data.batch(index).to(device)) for index in order.split(1000)])
