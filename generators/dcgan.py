"""Deep convolutional GAN (Radford, Metz & Chintala 2016, arXiv:1511.06434).

The generator G grows noise z ~ N(0, I) into an image; the discriminator D tells its images from real ones, by the
logit D(x) of the probability that x is real. In the game of Goodfellow et al. 2014 (arXiv:1406.2661, Eq. 1), D raises
E log sigmoid(D(x)) + E log(1 - sigmoid(D(G(z)))). G lowers the same, but in the form that still has a gradient where D
is sure of itself (section 3 there). On logits, which no rounding takes to 0 or 1:

    L_D = E softplus(-D(x)) + E softplus(D(G(z)))          L_G = E softplus(-D(G(z)))

What made it train (sections 3 and 4): strided convolutions in place of pooling, batch normalisation in both nets but
for G's last layer and D's first, ReLU in G and leaky ReLU in D, tanh at the end, Adam with beta1 = 0.5 and a rate of
2e-4. D sees real and made images in batches of their own, or their statistics would mix.

It differs from the paper in that z is normal, not uniform, kernels are of 4x4 pixels, not 5x5, and weights begin as
PyTorch's layers do; and in that an average of G samples and rates fall, which is later practice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from bench import Batch, DataSpec, Presets, generator
from generators._adversarial import Adversarial
from generators._gan_nets import ConvDiscriminator, ConvGenerator

PRESETS: Presets = {
    "test": {"latent": 5, "width": 8, "lr": 5e-3},
    "tiny": {"width": 16, "latent": 64, "lr": 2e-3},
    "paper": {"width": 128, "latent": 100, "lr": 2e-4, "beta1": 0.5},  # Figure 1: 64x64 pixels from 4x4x1024
}
Net = Callable[[Tensor], Tensor]


@generator("dcgan", modalities={"image"}, paper="arXiv:1511.06434", presets=PRESETS)
class DCGAN(Adversarial):
    """Deep convolutional GAN with the non-saturating loss.

    width: channels of the finest map; twice as many after each halving. latent: size of z. lr, beta1: Adam's.
    ema_decay: of the average of the generator that samples.
    Raises Unsupported for binary pixels, channels that are not 1 or 3, and sides that are not 3 to 8 pixels doubled.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: PositiveInt = 100,
        width: PositiveInt = 64,
        lr: PositiveFloat = 2e-4,
        beta1: Annotated[float, Ge(0), Lt(1)] = 0.5,
        ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.99,
    ) -> None:
        super().__init__(
            ConvGenerator(spec, latent, width),
            ConvDiscriminator(spec, width, norm="batch"),
            latent=latent,
            lr=lr,
            betas=(beta1, 0.999),
            ema_decay=ema_decay,
        )

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        """Both nets learn, the discriminator first."""
        fake = self.generator(self.draw(len(batch.data), rng))
        loss_d = discriminator_loss(self.discriminator, batch.data, fake.detach())
        self.descend_discriminator(loss_d)
        loss_g = generator_loss(self.discriminator, fake)
        self.descend_generator(loss_g)
        return {"loss": loss_g.item(), "loss_discriminator": loss_d.item()}


def discriminator_loss(discriminator: Net, real: Tensor, fake: Tensor) -> Tensor:
    """Minus the mean log-probability, in nats, that it gives to what is true of each image."""
    return F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()


def generator_loss(discriminator: Net, fake: Tensor) -> Tensor:
    """Minus the mean log-probability, in nats, that the images made are real."""
    return F.softplus(-discriminator(fake)).mean()
