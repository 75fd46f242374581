"""Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114), and what was made of it.

Encoder q(z|x) = N(mu(x), diag sigma(x)^2) and decoder p(x|z) are trained together on the evidence lower bound

    log p(x) >= E_q log p(x|z) - KL(q(z|x) || N(0, I)),                                               (Eq. 3)
    KL = -1/2 sum_j (1 + log sigma_j^2 - mu_j^2 - sigma_j^2)                                          (Appendix B)

with z = mu + sigma * eps, eps ~ N(0, I) (Eq. 10, one draw). Both terms are sums, over pixels and over latents.

beta      weighs the KL in training (Higgins et al. 2017); 1 is the bound.
free_bits nats that each latent may hold without cost, on average over a batch (Kingma et al. 2016, arXiv:1606.04934,
          Eq. 15), against decoders that ignore z.
prior     "gmm": a mixture of Gaussians, fitted to draws of q(z|x) of training images when training ends, takes the
          place of N(0, I), in samples and in the bound: the second stage of Dai & Wipf 2019 (arXiv:1903.05789) with
          a mixture for its VAE. Where labels are told, one for each.

``cvae`` is told a label on both sides (Sohn et al. 2015). ``iwae`` trains on, and is measured by, the bound of k draws,
which k tightens (Burda et al. 2016, arXiv:1509.00519, Eq. 8):

    L_k = E log 1/k sum_i p(x|z_i) p(z_i) / q(z_i|x),    z_i ~ q(z|x)
"""

from __future__ import annotations

import math
import zlib
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, Presets, Rows, Split, generator
from generators._coders import Decoder, Encoder, Net
from generators._labels import classes_of, needed
from generators._pixels import COMPONENTS, pixels_of
from generators._prior import MixturePrior, latents
from generators._schedule import descend, set_rate

PRESETS: Presets = {
    "test": {"latent": 3, "width": 16, "lr": 5e-3, "components": 3},
    "tiny": {"latent": 16, "net": "conv", "width": 32, "lr": 3e-3},
    "paper": {"latent": 20, "width": 500},  # sizes of section 5 for MNIST; one layer more, Adam instead of Adagrad
}
WEIGHTED: Presets = {
    "test": {"latent": 3, "width": 16, "lr": 5e-3, "measured_draws": 20},
    "tiny": {"latent": 16, "net": "conv", "width": 32, "lr": 3e-3},
    "paper": {"latent": 50, "width": 200, "draws": 50, "measured_draws": 5000},  # section 5, one stochastic layer
}
Law = Literal["bernoulli", "gaussian", "logistic"]
AT_ONCE = 20  # draws of a batch that are decoded together
WIDEST = math.log1p(math.e)  # log sigma^2 of q(z|x), at most: softplus(1)


@generator("vae", modalities={"image"}, paper="arXiv:1312.6114", presets=PRESETS)
class VAE(nn.Module):
    """Variational autoencoder with a convolutional or a multi-layer perceptron on both sides.

    latent: size of z. net, width: see ``generators/_coders.py``. decoder: "bernoulli" for binary pixels, or for grey
    levels as probabilities, which is no likelihood; "gaussian" for a density of pixels in [-1, 1]; "logistic" for the
    mass of 256 levels under a mixture of ``logistics``, in which a channel moves with those before it if ``linked``
    (see ``generators/_pixels.py``): more of them, and linked, they bound more tightly; samples show the mean, which is
    sharper of one and of channels that z alone must tell. beta, free_bits, prior: see above; components: of the "gmm".
    lr: Adam's. ``log_prob`` is the evidence bound by one draw of z, found from the image itself.
    Raises Unsupported for binary pixels with another decoder than "bernoulli", and of "conv" for sides that cannot be
    halved, once at least, until the shorter is of 8 pixels or fewer.
    """

    bound = True
    conditional = False  # but of cvae
    names = ("cvae", "vae")  # with labels, and without

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: PositiveInt = 20,
        net: Net = "mlp",
        width: PositiveInt = 500,
        decoder: Law = "bernoulli",
        logistics: PositiveInt = COMPONENTS,
        linked: bool = True,
        beta: PositiveFloat = 1.0,
        free_bits: NonNegativeFloat = 0.0,
        prior: Literal["normal", "gmm"] = "normal",
        components: PositiveInt = 50,
        lr: PositiveFloat = 1e-3,
    ) -> None:
        super().__init__()
        self.latent, self.beta, self.free_bits, self.fits = latent, beta, free_bits, prior == "gmm"
        classes = classes_of(spec, self.conditional, *self.names)
        self.pixels = pixels_of(spec, decoder, logistics, linked)
        self.encoder = Encoder(spec.shape, 2 * latent, net=net, width=width, classes=classes)
        self.decoder = Decoder(latent, spec.shape, self.pixels.maps, net=net, width=width, classes=classes)
        self.prior = MixturePrior(latent, components if self.fits else 1, classes)  # until it is fitted N(0, I)
        self.optimiser = torch.optim.Adam(self.parameters(), lr=lr, fused=True)

    @property
    def log_prob_of(self) -> Literal["mass", "density"]:
        return self.pixels.log_prob_of

    def pace(self, share: float) -> None:
        set_rate(self.optimiser, share)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        batch = batch._replace(data=self.pixels.spread(batch.data, rng))
        eps = torch.randn(len(batch.data), self.latent, generator=rng, device=rng.device)
        mu, log_var = self.encode(batch)
        log_p = self.pixels.log_prob(batch.data, self.decoder(mu + (0.5 * log_var).exp() * eps, batch.condition))
        kl = kl_by_latent(mu, log_var)  # (batch, latent)
        paid = kl.mean(0).clamp(min=self.free_bits).sum() if self.free_bits else kl.sum(1).mean()
        loss = self.beta * paid - log_p.mean()
        descend(self.optimiser, loss)
        return {"loss": loss.item(), "kl": kl.sum(1).mean().item()}

    def refit(self, data: Split, rng: torch.Generator) -> None:
        """Fit the prior, where one is to be fitted, to draws of q(z|x); to its means, it would be too narrow."""

        def drawn(batch: Batch) -> Tensor:
            mu, log_var = self.encode(batch._replace(data=self.pixels.spread(batch.data, rng)))
            return mu + (0.5 * log_var).exp() * torch.randn(mu.shape, generator=rng).to(mu)

        if self.fits:
            self.prior.fit(*latents(drawn, data, rng, self.prior.means.device), rng)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """Means of p(x|z), of binary pixels the likelier values, as is custom; z from the prior."""
        rows = Rows(rng, n)
        label = self._labels(rows, condition)
        return self.pixels.mean(self.decoder(self.prior.draw(rows, label), label))

    def _labels(self, rows: Rows, asked: Tensor | None) -> Tensor | None:
        if not self.decoder.classes:
            return None
        return rows.labels(self.decoder.classes, asked).to(self.prior.means.device)

    @torch.no_grad()
    def reconstruct(self, batch: Batch) -> Tensor:
        """Mean of p(x|z) at the mean of q(z|x)."""
        return self.pixels.mean(self.decoder(self.encode(batch)[0], batch.condition))

    def log_prob(self, batch: Batch) -> Tensor:
        """The evidence lower bound in nats, ``(batch,)``. Raises Omitted for a Bernoulli decoder of grey levels."""
        self.pixels.check()
        return -self.example_loss(batch)

    @torch.no_grad()
    def example_loss(self, batch: Batch) -> Tensor:
        """Minus the evidence lower bound of each image in nats, ``(batch,)``.

        eps is drawn from a seed found from the image itself: the bound can be repeated, and no batch changes it.
        """
        mu, log_var = self.encode(batch)
        z = mu + (0.5 * log_var).exp() * own_noise(batch.data, self.latent)
        log_p = self.pixels.log_prob(batch.data, self.decoder(z, batch.condition))
        if self.fits:  # has no KL in closed form
            return log_normal(z, mu, log_var) - self.prior.log_prob(z, batch.condition) - log_p
        return kl_by_latent(mu, log_var).sum(1) - log_p

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """mu and log sigma^2 of q(z|x), ``(batch, latent)`` each.

        What the encoder says of log sigma^2 is bent so that it stays below WIDEST, 0 still being 0: KL grows with its
        exponential, and one step that makes q(z|x) wider than any prior (on colour images, after thousands) would end
        the training.
        """
        classes = self.encoder.classes
        label = needed(batch.condition, classes) if classes else None
        mu, width = self.encoder(batch.data, label).chunk(2, dim=1)
        return mu, WIDEST - F.softplus(1 - width)


@generator("cvae", modalities={"image"}, paper="Sohn et al. 2015, NeurIPS 28", presets=PRESETS)
class ConditionalVAE(VAE):
    """A VAE whose encoder and decoder are told the label: it bounds p(x|y), and makes images of what is asked for."""

    conditional = True


@generator("iwae", modalities={"image"}, paper="arXiv:1509.00519, Eq. 8", presets=WEIGHTED)
class IWAE(VAE):
    """A VAE trained on the importance-weighted bound of ``draws``, and measured by that of ``measured_draws``.

    The rest, and what it refuses, as of ``VAE``.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        draws: PositiveInt = 5,
        measured_draws: PositiveInt = 500,
        latent: PositiveInt = 20,
        net: Net = "mlp",
        width: PositiveInt = 500,
        decoder: Law = "bernoulli",
        logistics: PositiveInt = COMPONENTS,
        linked: bool = True,
        lr: PositiveFloat = 1e-3,
    ) -> None:
        pixels: dict[str, Any] = {"decoder": decoder, "logistics": logistics, "linked": linked}
        super().__init__(spec, latent=latent, net=net, width=width, lr=lr, **pixels)
        self.draws, self.measured_draws = draws, measured_draws

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        batch = batch._replace(data=self.pixels.spread(batch.data, rng))
        eps = torch.randn(self.draws, len(batch.data), self.latent, generator=rng, device=rng.device)
        log_w = self.log_weights(batch, eps, *self.encode(batch))
        loss = math.log(self.draws) - log_w.logsumexp(0).mean()
        descend(self.optimiser, loss)
        return {"loss": loss.item(), "loss_one_draw": -log_w.mean().item()}

    @torch.no_grad()
    def example_loss(self, batch: Batch) -> Tensor:
        """Minus the bound of ``measured_draws`` in nats, ``(batch,)``, by draws that the image itself decides."""
        eps = own_noise(batch.data, self.measured_draws * self.latent).view(len(batch.data), -1, self.latent)
        parts, q = eps.transpose(0, 1).split(AT_ONCE), self.encode(batch)
        log_w = torch.cat([self.log_weights(batch, part, *q).double() for part in parts])
        return math.log(self.measured_draws) - log_w.logsumexp(0)

    def log_weights(self, batch: Batch, eps: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
        """log p(x|z) p(z) / q(z|x), ``(draws, batch)``, for eps ``(draws, batch, latent)`` and q(z|x) of ``encode``."""
        z, draws = mu + (0.5 * log_var).exp() * eps, len(eps)
        x = batch.data.repeat(draws, *[1] * (batch.data.ndim - 1))
        log_p = self.pixels.log_prob(x, self.decoder(z.flatten(0, 1))).view(draws, -1)
        return log_p + log_normal(z, torch.zeros_like(mu), torch.zeros_like(mu)) - log_normal(z, mu, log_var)


def kl_by_latent(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mu, exp(log_var)) || N(0, 1)) of each latent in nats, ``(batch, latent)``."""
    return -0.5 * (1 + log_var - mu.square() - log_var.exp())  # Appendix B


def log_normal(z: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    """log N(z; mu, diag exp(log_var)) in nats, the last axis summed over."""
    return -0.5 * (math.log(2 * math.pi) + log_var + (z - mu).square() / log_var.exp()).sum(-1)


def own_noise(x: Tensor, size: int) -> Tensor:
    """Standard normal draws ``(batch, size)`` on the device of ``x``, each row's decided by that row of ``x`` alone."""
    rng = torch.Generator()
    seeds = [zlib.crc32(row.tobytes()) for row in x.flatten(1).cpu().numpy()]
    return torch.stack([torch.randn(size, generator=rng.manual_seed(seed)) for seed in seeds]).to(x.device)
