"""Autoencoder, sampled through a density that is fitted to its latents (Ghosh et al. 2020, arXiv:1903.12436).

An encoder E and a decoder D learn to copy images through a vector z of few numbers:

    L = |x - D(E(x'))|^2 + beta |E(x')|^2 / 2                                                            (section 3)

x' is x, or x with Gaussian noise added, which the copy is to be without (denoising: Vincent et al. 2010, JMLR 11, p.
3371). On binary pixels the first term is the cross entropy by D's logits. The second keeps latents together, so that
there is something to fit. An autoencoder is no generative model before z has a law: when training ends one Gaussian, or
a mixture of them, is fitted to the latents of training images (section 4, ex-post density estimation), drawn from, and
decoded.

Left out is the regulariser of the decoder, a third term there: what remains is the plain one of the variants that the
paper compares.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, Presets, Rows, Split, generator
from generators._coders import Decoder, Encoder, Net
from generators._pixels import pixels_of
from generators._prior import MixturePrior, latents
from generators._schedule import descend, set_rate

PRESETS: Presets = {
    "test": {"latent": 3, "net": "mlp", "width": 16, "lr": 5e-3, "components": 3},
    "tiny": {"net": "conv", "width": 32, "lr": 3e-3},
    "paper": {"latent": 16, "net": "conv", "width": 128, "components": 10},
    # z and the mixture as for MNIST; at 28 pixels two convolutions, of 128 and 256 channels, where the paper has the
    # four of a Wasserstein autoencoder, of 128 to 1024 channels, with batch normalisation
}


@generator("autoencoder", modalities={"image"}, paper="arXiv:1903.12436", presets=PRESETS)
class Autoencoder(nn.Module):
    """Autoencoder, sampled through a mixture of Gaussians fitted to its latents.

    latent: size of z. net, width: see ``generators/_coders.py``. prior: what is fitted, "gmm" of ``components``
    Gaussians or one "gaussian". noise: standard deviation of what is added to training images. beta: see above. lr:
    Adam's. What is learned is a squared error, of binary pixels the cross entropy.
    Raises Unsupported, of "conv", for sides that cannot be halved, once at least, until the shorter is of
    8 pixels or fewer.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: PositiveInt = 16,
        net: Net = "conv",
        width: PositiveInt = 32,
        prior: Literal["gmm", "gaussian"] = "gmm",
        components: PositiveInt = 50,
        noise: NonNegativeFloat = 0.0,
        beta: NonNegativeFloat = 2e-2,
        lr: PositiveFloat = 1e-3,
    ) -> None:
        super().__init__()
        self.noise, self.beta = noise, beta
        self.pixels = pixels_of(spec, "bernoulli" if spec.kind == "binary" else "square")
        self.encoder = Encoder(spec.shape, latent, net=net, width=width)
        self.decoder = Decoder(latent, spec.shape, self.pixels.maps, net=net, width=width)
        self.prior = MixturePrior(latent, components if prior == "gmm" else 1)
        self.optimiser = torch.optim.Adam(self.parameters(), lr=lr, fused=True)

    def pace(self, share: float) -> None:
        set_rate(self.optimiser, share)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        x = batch.data
        seen = x + self.noise * torch.randn(x.shape, generator=rng, device=rng.device) if self.noise else x
        error, size = self._terms(x, seen)
        loss = (error + self.beta * size).mean()
        descend(self.optimiser, loss)
        return {"loss": loss.item(), "reconstruction": error.mean().item()}

    def refit(self, data: Split, rng: torch.Generator) -> None:
        """Fit the law of z to training images."""
        found = latents(lambda batch: self.encoder(batch.data), data, rng, self.prior.means.device)
        self.prior.fit(*found, rng)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.pixels.mean(self.decoder(self.prior.draw(Rows(rng, n))))

    @torch.no_grad()
    def reconstruct(self, batch: Batch) -> Tensor:
        return self.pixels.mean(self.decoder(self.encoder(batch.data)))

    @torch.no_grad()
    def example_loss(self, batch: Batch) -> Tensor:
        """Error of each copy, ``(batch,)``: no likelihood, as the latent of an image is a point and not a law."""
        return self._terms(batch.data, batch.data)[0]

    def _terms(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What the copy is wrong by, and |z|^2 / 2; both summed over an image, ``(batch,)``."""
        z = self.encoder(seen)
        return -self.pixels.log_prob(x, self.decoder(z)), z.square().sum(1) / 2
