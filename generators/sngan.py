"""Spectrally normalised GAN (Miyato et al. 2018, arXiv:1802.05957), with the hinge loss.

A discriminator that is K-Lipschitz gives the generator G bounded gradients. A layer h -> W h stretches no vector by
more than the largest singular value sigma(W) (Eq. 6), the leaky ReLU none at all, and so a net of layers with weights

    W_SN = W / sigma(W)                                                                                     (Eq. 8)

is 1-Lipschitz (Eq. 7), up to what reading a convolution's kernel as a matrix leaves out. sigma(W) = u' W v is found by
power iteration, v <- W'u / ||W'u||, u <- W v / ||W v|| (Algorithm 1). Weights move little in a step, so that one
iteration a step, from where the last one ended, is enough; u and v are kept in buffers. Gradients flow through sigma,
not through u and v. Losses are the hinge's (Eq. 16 and 17):

    L_D = E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))          L_G = -E D(G(z))

D sees real and made images in one batch, which nothing in it mixes: one call, one power iteration. While G learns, D
is in evaluation mode, in which u and v stand still.

A training step is one update of one of the nets: n of D (the paper takes 1 and 5), then one of G. The learning rate is
constant for the first 40 % of the training and then falls linearly to 0 (for the paper's ResNet it falls all the way),
and samples come from an exponential moving average of G, which is later practice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from bench import Batch, DataSpec, Presets, generator
from generators._adversarial import Adversarial
from generators._gan_nets import ConvDiscriminator, ConvGenerator, Layout
from generators._labels import classes_of, needed

PRESETS: Presets = {
    "test": {"latent": 5, "width": 8, "lr": 5e-3},
    "tiny": {"width": 16, "latent": 64, "lr": 4e-3},
    # channels of the authors' standard CNN; Adam and n of their residual nets
    "paper": {"layout": "sngan", "width": 64, "latent": 128, "lr": 2e-4, "beta1": 0.0, "beta2": 0.9, "critic_steps": 5},
}
Net = Callable[[Tensor], Tensor]


@generator("sngan", modalities={"image"}, paper="arXiv:1802.05957", presets=PRESETS)
class SNGAN(Adversarial):
    """Spectrally normalised GAN with the hinge loss.

    width: channels of the finest map; twice as many after each halving. layout: "sngan": the paper's, with 3x3
    convolutions in between; "dcgan": without, several times as fast. latent: size of z. critic_steps: n. lr, beta1,
    beta2: Adam's. ema_decay: of the average of the generator that samples.
    Of the losses, ``loss`` is L_D as it was last seen.
    Raises Unsupported for binary pixels, channels that are not 1 or 3, and sides that are not 3 to 8 pixels doubled.
    """

    conditional = False  # but of projection_gan
    names = ("projection_gan", "sngan")  # with labels, and without

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: PositiveInt = 128,
        width: PositiveInt = 64,
        layout: Layout = "dcgan",
        critic_steps: PositiveInt = 1,
        lr: PositiveFloat = 2e-4,
        beta1: Annotated[float, Ge(0), Lt(1)] = 0.0,
        beta2: Annotated[float, Ge(0), Lt(1)] = 0.9,
        ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.99,
    ) -> None:
        classes = classes_of(spec, self.conditional, *self.names)
        super().__init__(
            ConvGenerator(spec, latent, width, layout=layout, classes=classes),
            ConvDiscriminator(spec, width, layout=layout, norm="spectral", classes=classes),
            latent=latent,
            lr=lr,
            betas=(beta1, beta2),
            ema_decay=ema_decay,
            rounds=critic_steps,
            classes=classes,
        )
        self.loss: Tensor
        self.register_buffer("loss", torch.zeros(()))

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        """One update, of the discriminator or, after ``critic_steps`` of those, of the generator."""
        z = self.draw(len(batch.data), rng)
        label = needed(batch.condition, self.classes) if self.classes else None
        if self.take_turn():
            self.discriminator.eval()  # no power iteration
            loss = generator_loss(partial(self.discriminator, label=label), self.generator(z, label))
            self.descend_generator(loss)
            self.discriminator.train()
            return {"loss": self.loss.item(), "loss_generator": loss.item()}
        with torch.no_grad():
            fake = self.generator(z, label)
        both = None if label is None else label.repeat(2)
        loss = discriminator_loss(partial(self.discriminator, label=both), batch.data, fake)
        self.descend_discriminator(loss)
        self.loss.copy_(loss.detach())
        return {"loss": loss.item()}


def discriminator_loss(discriminator: Net, real: Tensor, fake: Tensor) -> Tensor:
    """Eq. 16, with its sign turned. The discriminator is called once."""
    on_real, on_fake = discriminator(torch.cat([real, fake])).chunk(2)
    return F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()


def generator_loss(discriminator: Net, fake: Tensor) -> Tensor:
    """Eq. 17: -E D(G(z)), which has a gradient whatever D says."""
    return -discriminator(fake).mean()
