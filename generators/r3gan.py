"""R3GAN: a relativistic pairing loss, regularised by R1 and R2 (Huang et al. 2024, arXiv:2501.05441).

A classical discriminator may put all images made on one side of a boundary, and then G has nothing to gain from making
the modes that it lacks. A relativistic one judges a made image beside a real one (section 2.1), so that each region of
data keeps a say:

    L_D = E softplus(D(G(z)) - D(x))          L_G = E softplus(D(x) - D(G(z)))

By itself this game need not converge. Gradients of D are held down at data, and at images made (section 2.2):

    R1 = gamma/2 E ||grad D(x)||^2            R2 = gamma/2 E ||grad D(G(z))||^2

with the norm over all pixels of an image. Either makes it converge near its end; far from there, R1 alone lets D's
gradients at made images grow without bound, and so both are used. Then the tricks of earlier nets can go: there are no
norms, in G or in D, but residual blocks of 1x1, grouped 3x3 and 1x1 convolutions that begin as the identity, leaky
ReLU, bilinear resampling (section 3), and Adam with beta1 = 0.

Schedules are the authors': from their first to their last value by a cosine, there over the first 20 million images,
here over the whole of the training. gamma falls to a tenth, beta2 rises from 0.9 to 0.99, and the memory of the average
that samples grows from nothing. There the rate falls to a quarter and stays at it, which is ``floor = 0.25``; by
default it falls to 0, for in a short training that is what brings it to rest.

Left out is their augmentation. G ends in tanh, where theirs is linear, and begins with a full linear layer, where
theirs has a learned basis of 4x4 pixels; layers outside of residual blocks, and biases, begin as PyTorch has them.
``net = "conv"`` takes G and D of DCGAN, with batch normalisation in G and none in D: on a CPU many times as fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le, Lt
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bench import Batch, DataSpec, Presets, generator
from generators._adversarial import Adversarial
from generators._gan_nets import ConvDiscriminator, ConvGenerator, ResidualDiscriminator, ResidualGenerator

PRESETS: Presets = {
    "test": {"latent": 5, "width": 4, "lr": 2e-3},
    "tiny": {"net": "conv", "width": 16, "latent": 64, "lr": 2e-3, "gamma": 1.0},
    # the authors' for CIFAR-10, but that they have 768 channels at every size
    "paper": {"width": 96, "latent": 64, "lr": 2e-4, "gamma": 0.05, "floor": 0.25, "ema_decay": 0.9999},
}
BETA2 = (0.9, 0.99)
Net = Callable[[Tensor], Tensor]


@generator("r3gan", modalities={"image"}, paper="arXiv:2501.05441", presets=PRESETS)
class R3GAN(Adversarial):
    """Relativistic GAN with penalties on gradients at data and at images made.

    width: channels of the finest map; twice as many after each halving. net: "residual": the paper's; "conv": DCGAN's.
    latent: size of z. gamma: of R1 and R2 at first, to be tuned for the data: the authors take 0.05 for CIFAR-10, 0.5
    and 1 for ImageNet at 32 and 64 pixels, 2 and 150 for faces at 64 and 256. lr: at first. floor: the share of it at
    the end. ema_decay: of the average.
    Raises Unsupported for binary pixels, channels that are not 1 or 3, and sides that are not 3 to 8 pixels doubled.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: PositiveInt = 64,
        width: PositiveInt = 32,
        net: Literal["residual", "conv"] = "residual",
        gamma: NonNegativeFloat = 1.0,
        lr: PositiveFloat = 2e-4,
        floor: Annotated[float, Ge(0), Le(1)] = 0.0,
        ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.99,
    ) -> None:
        super().__init__(
            ResidualGenerator(spec, latent, width) if net == "residual" else ConvGenerator(spec, latent, width),
            ResidualDiscriminator(spec, width) if net == "residual" else ConvDiscriminator(spec, width),
            latent=latent,
            lr=lr,
            betas=(0.0, BETA2[0]),
            ema_decay=ema_decay,
        )
        self.first, self.gamma, self.floor = gamma, gamma, floor

    def pace(self, share: float) -> None:
        self.gamma = cosine(self.first, self.first / 10, share)
        for optimiser in (self.opt_g, self.opt_d):
            lr = optimiser.defaults["lr"]
            for group in optimiser.param_groups:
                group["lr"] = cosine(lr, self.floor * lr, share)
                group["betas"] = (0.0, cosine(*BETA2, share))

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        """Both nets learn, the discriminator first."""
        fake = self.generator(self.draw(len(batch.data), rng))
        discriminator = self.discriminator.forward  # not compiled: see discriminator_loss
        loss_d = discriminator_loss(discriminator, batch.data, fake.detach(), self.gamma)
        self.descend_discriminator(loss_d)
        loss_g = generator_loss(discriminator, batch.data, fake)
        self.descend_generator(loss_g)
        return {"loss": loss_g.item(), "loss_discriminator": loss_d.item()}


def discriminator_loss(discriminator: Net, real: Tensor, fake: Tensor, gamma: float) -> Tensor:
    """L_D + R1 + R2; real and made are paired by their place in the batch, ``(batch, ...)`` each.

    Its gradient is a second derivative of the discriminator, which ``torch.compile`` does not have.
    """
    both = torch.cat([real, fake]).detach().requires_grad_()
    answers = discriminator(both)
    (slope,) = torch.autograd.grad(answers.sum(), both, create_graph=True)
    on_real, on_fake = answers.chunk(2)
    r1, r2 = slope.flatten(1).square().sum(1).chunk(2)
    return (F.softplus(on_fake - on_real) + gamma / 2 * (r1 + r2)).mean()


def generator_loss(discriminator: Net, real: Tensor, fake: Tensor) -> Tensor:
    """L_G. No gradient flows through the real images' answers."""
    with torch.no_grad():
        on_real = discriminator(real)
    return F.softplus(on_real - discriminator(fake)).mean()


def cosine(first: float, last: float, share: float) -> float:
    """From one value to another along half a wave, at a share of the way from 0 to 1."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
