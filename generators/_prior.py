"""A prior that is fitted to the latents of a trained model: a mixture of Gaussians with full covariances.

A decoder is good where its encoder puts data, and N(0, I) is not that place (Ghosh et al. 2020, arXiv:1903.12436,
section 4; Dai & Wipf 2019, arXiv:1903.05789). In float64, as a covariance of single precision may not be one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench import Batch, Rows, Split

FITTED = 20_000  # latents, at most
STEPS = 30  # of expectation maximisation
LEAST = 20  # latents for each component, and twice as many as each has numbers


class MixturePrior(nn.Module):
    """Until it is fitted it is N(0, I). With classes, the latents of each have a mixture of their own.

    components: of all mixtures together, shared out among the classes; fewer where the latents are not enough for them.
    """

    weights: Tensor  # (classes or 1, components): of a class, 0 but for its own components
    means: Tensor  # (components, size)
    scales: Tensor  # (components, size, size): lower triangles L with L L' the covariance

    def __init__(self, size: int, components: int, classes: int = 0) -> None:
        super().__init__()
        self.mixtures = max(classes, 1)
        self.each = max(components // self.mixtures, 1)
        many = self.mixtures * self.each
        own = torch.eye(self.mixtures, dtype=torch.float64).repeat_interleave(self.each, 1)
        self.register_buffer("weights", own / self.each)
        self.register_buffer("means", torch.zeros(many, size, dtype=torch.float64))
        self.register_buffer("scales", torch.eye(size, dtype=torch.float64).repeat(many, 1, 1))

    def fit(self, z: Tensor, label: Tensor | None, rng: torch.Generator) -> None:
        """To latents ``(n, size)``, and where there are classes their labels ``(n,)``, by expectation maximisation."""
        self.weights.zero_()
        self.means.zero_()
        self.scales.copy_(torch.eye(z.shape[1]))
        for y in range(self.mixtures):
            part = z if label is None or self.mixtures == 1 else z[label == y]
            # A class with fewer examples than a component needs has the mixture of all of them.
            weights, means, scales = fitted(part if len(part) >= least(z) else z, self.each, rng)
            places = slice(y * self.each, y * self.each + len(weights))
            self.weights[y, places], self.means[places], self.scales[places] = weights, means, scales

    def draw(self, rows: Rows, label: Tensor | None = None) -> Tensor:
        """``(n, size)`` float32. Component by component: a covariance for each of n would be n times as much memory."""
        u = rows.uniform().to(self.weights)
        cumulative = self._weights(len(u), label).cumsum(1)
        chosen = torch.searchsorted(cumulative, u[:, None] * cumulative[:, -1:], right=True)
        chosen = chosen.squeeze(1).clamp(max=len(self.means) - 1)
        noise, z = rows.normal(self.means.shape[1]).to(self.means), self.means[chosen]
        for component in chosen.unique().tolist():
            its = chosen == component
            z[its] += noise[its] @ self.scales[component].T
        return z.float()

    def log_prob(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """In nats, ``(batch,)`` float64, of ``(batch, size)``."""
        offset = (z.double()[:, None] - self.means).permute(1, 2, 0)  # (components, size, batch)
        y = torch.linalg.solve_triangular(self.scales, offset, upper=False)
        volume = self.scales.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * z.shape[1] * math.log(2 * math.pi)
        log_p: Tensor = (self._weights(len(z), label).log() - volume - 0.5 * y.square().sum(1).T).logsumexp(1)
        return log_p

    def _weights(self, n: int, label: Tensor | None) -> Tensor:
        """Of each row, ``(n, components)``; labels play no part where there is one mixture for all."""
        return self.weights.expand(n, -1) if label is None or self.mixtures == 1 else self.weights[label]


def least(z: Tensor) -> int:
    """How many latents ``(n, size)`` a component is fitted to at least."""
    return max(LEAST, 2 * z.shape[1])


def fitted(z: Tensor, components: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and scales of at most so many components, by scikit-learn."""
    from sklearn.exceptions import ConvergenceWarning  # half a second to import
    from sklearn.mixture import GaussianMixture

    seed = int(torch.randint(2**31, (), generator=rng))
    mixture = GaussianMixture(
        max(1, min(components, len(z) // least(z))), reg_covar=1e-4, max_iter=STEPS, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many steps are what it has
        mixture.fit(z.double().cpu().numpy())
    weights, means, covariances = map(torch.from_numpy, (mixture.weights_, mixture.means_, mixture.covariances_))
    return weights, means, torch.linalg.cholesky(covariances)


@torch.no_grad()
def latents(
    encode: Callable[[Batch], Tensor], data: Split, rng: torch.Generator, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """What ``encode`` makes of at most ``FITTED`` different examples, ``(n, size)``; and their labels, ``(n,)``."""
    order = torch.randperm(len(data), generator=rng)[:FITTED]
    found, labels = [], []
    for index in order.split(1000):
        batch = data.batch(index).to(device)
        found.append(encode(batch))
        labels += [] if batch.condition is None else [batch.condition]
    return torch.cat(found), torch.cat(labels) if labels else None
