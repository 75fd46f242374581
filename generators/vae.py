"""Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114).

Encoder q(z|x) = N(mu(x), diag sigma(x)^2) and decoder p(x|z) are trained together on the evidence lower bound

    log p(x) >= E_q log p(x|z) - KL(q(z|x) || N(0, I)),                                               (Eq. 3)
    KL = -1/2 sum_j (1 + log sigma_j^2 - mu_j^2 - sigma_j^2)                                          (Appendix B)

with z = mu + sigma * eps, eps ~ N(0, I) (Eq. 10, one draw). The decoder is Bernoulli for grey levels read as
probabilities (Appendix C.1) or Gaussian with one learned variance (Appendix C.2).
"""

from __future__ import annotations

import math
import zlib
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, Omitted, Presets, Unsupported, generator, normal

PRESETS: Presets = {
    "test": {"latent": 3, "width": 16, "lr": 5e-3},
    "tiny": {"latent": 16, "width": 256, "lr": 2e-3},
    "paper": {"latent": 20, "width": 500},  # sizes of section 5 for MNIST; one layer more, Adam instead of Adagrad
}


@generator("vae", modalities={"image"}, paper="arXiv:1312.6114", presets=PRESETS)
class VAE(nn.Module):
    """Variational autoencoder with multi-layer perceptrons.

    latent: size of z. width: of the hidden layers. decoder: "bernoulli" for binary pixels, or grey levels as
    probabilities; "gaussian" for a density. ``log_prob`` is the evidence bound by one draw of z: of the Gaussian
    decoder on the density of pixels in [-1, 1], of the Bernoulli one on the mass of binary pixels. The cross entropy of
    grey levels in [0, 1] is not normalised, and so no likelihood.
    """

    bound = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: PositiveInt = 20,
        width: PositiveInt = 500,
        decoder: Literal["bernoulli", "gaussian"] = "bernoulli",
        lr: PositiveFloat = 1e-3,
    ) -> None:
        super().__init__()
        if spec.kind == "binary" and decoder == "gaussian":
            raise Unsupported("vae: binary pixels have no density; take decoder = 'bernoulli'")
        self.shape, self.latent, self.kind = spec.shape, latent, decoder
        self.binary = spec.kind == "binary"
        size = math.prod(spec.shape)
        self.encoder = nn.Sequential(nn.Flatten(), *_hidden(size, width), nn.Linear(width, 2 * latent))
        self.decoder = nn.Sequential(*_hidden(latent, width), nn.Linear(width, size))
        self.log_sigma = nn.Parameter(torch.zeros(()))  # of the Gaussian decoder
        self.optimiser = torch.optim.Adam(self.parameters(), lr=lr)

    @property
    def log_prob_of(self) -> Literal["mass", "density"]:
        return "density" if self.kind == "gaussian" else "mass"

    @property
    def idle_parameters(self) -> set[str]:
        """The variance is the Gaussian decoder's alone."""
        return set() if self.kind == "gaussian" else {"log_sigma"}

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        eps = torch.randn(len(batch.data), self.latent, generator=rng, device=rng.device)
        reconstruction, kl = self.terms(batch.data, eps)
        loss = (kl - reconstruction).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return {"loss": loss.item(), "kl": kl.mean().item()}

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """Means of p(x|z), z ~ N(0, I), as is custom: the decoder's own noise is left out."""
        return self.mean(normal(rng, n, self.latent).to(self.log_sigma.device))

    @torch.no_grad()
    def reconstruct(self, batch: Batch) -> Tensor:
        """Mean of p(x|z) at the mean of q(z|x)."""
        mu, _ = self.encoder(batch.data).chunk(2, dim=1)
        return self.mean(mu)

    def log_prob(self, batch: Batch) -> Tensor:
        """The evidence lower bound in nats, ``(batch,)``. Raises Omitted for a Bernoulli decoder of grey levels."""
        if self.kind == "bernoulli" and not self.binary:
            raise Omitted('a Bernoulli decoder gives grey levels no probability: take decoder = "gaussian"')
        return -self.example_loss(batch)

    @torch.no_grad()
    def example_loss(self, batch: Batch) -> Tensor:
        """Minus the evidence lower bound of each image in nats, ``(batch,)``.

        eps is drawn from a seed found from the image itself: the bound can be repeated, and no batch changes it.
        """
        reconstruction, kl = self.terms(batch.data, own_noise(batch.data, self.latent))
        return kl - reconstruction

    def terms(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """E_q log p(x|z) by one draw, and the KL divergence, each ``(batch,)`` in nats."""
        mu, log_var = self.encoder(x).chunk(2, dim=1)  # (batch, latent) each
        z = mu + (0.5 * log_var).exp() * eps  # Eq. 10
        return self.log_likelihood(x.flatten(1), self.decoder(z)), gaussian_kl(mu, log_var)

    def log_likelihood(self, x: Tensor, out: Tensor) -> Tensor:
        """log p(x|z) summed over pixels, ``(batch,)``; ``out`` is the decoder's last layer."""
        if self.kind == "bernoulli":
            share = x if self.binary else (x + 1) / 2
            return -F.binary_cross_entropy_with_logits(out, share, reduction="none").sum(1)
        z = (x - out.tanh()) / self.log_sigma.exp()
        return (-0.5 * z.square() - self.log_sigma - 0.5 * math.log(2 * math.pi)).sum(1)

    def mean(self, z: Tensor) -> Tensor:
        """Mean image of p(x|z) in [-1, 1]; of binary pixels the likelier value, 0 or 1."""
        out: Tensor = self.decoder(z).view(-1, *self.shape)
        if self.kind == "gaussian":
            return out.tanh()
        return (out > 0).float() if self.binary else 2 * out.sigmoid() - 1


def gaussian_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mu, diag exp(log_var)) || N(0, I)) in nats, ``(batch,)``."""
    return -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(1)  # Appendix B


def own_noise(x: Tensor, size: int) -> Tensor:
    """Standard normal draws ``(batch, size)`` on the device of ``x``, each row's decided by that row of ``x`` alone."""
    rng = torch.Generator()
    seeds = [zlib.crc32(row.tobytes()) for row in x.flatten(1).cpu().numpy()]
    return torch.stack([torch.randn(size, generator=rng.manual_seed(seed)) for seed in seeds]).to(x.device)


def _hidden(inside: int, width: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inside, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
