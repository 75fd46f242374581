"""Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028).

Kantorovich and Rubinstein: the Wasserstein-1 distance between the distribution of data and that of images made is

    W(P_r, P_g) = max over f that are 1-Lipschitz of  E f(x) - E f(G(z))                                   (Eq. 2)

and a critic f that comes near to the maximum has a useful gradient for G wherever the two lie. The best critic has
gradients of norm 1 nearly everywhere between them (Proposition 1), and so it is asked for that, softly:

    L_f = E f(G(z)) - E f(x) + lambda E (||grad f(x^)||_2 - 1)^2,    x^ = alpha x + (1 - alpha) G(z)       (Eq. 3)
    L_G = -E f(G(z))

with one alpha ~ U[0, 1] an image, and the norm taken over all pixels and channels of an image: lambda = 10. The
penalty is of each image alone, so the critic must not look at others: it has no batch normalisation (section 4). It
learns n = 5 times for each time that G does (Algorithm 1).

Here a training step is one update of one of the nets, n of the critic and then one of G, so that steps cost alike,
and a budget counts them all. The learning rate is constant for the first 40 % of the training and then falls linearly
to 0, and samples come from an exponential moving average of G.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, Presets, generator
from generators._adversarial import Adversarial
from generators._gan_nets import ConvDiscriminator, ConvGenerator

PRESETS: Presets = {
    "test": {"latent": 5, "width": 8, "lr": 5e-3, "critic_steps": 1},
    "tiny": {"width": 16, "latent": 64, "lr": 2e-3, "critic_steps": 1},
    # Algorithm 1's hyperparameters, the convolutional nets of the authors' CIFAR-10 model (4x4 pixels for 5x5)
    "paper": {"width": 128, "latent": 128, "lr": 1e-4, "beta1": 0.0, "beta2": 0.9, "critic_steps": 5, "penalty": 10.0},
}
Net = Callable[[Tensor], Tensor]


@generator("wgan_gp", modalities={"image"}, paper="arXiv:1704.00028", presets=PRESETS)
class WGANGP(Adversarial):
    """Wasserstein GAN with gradient penalty.

    width: channels of the finest map; twice as many after each halving. latent: size of z. penalty: lambda.
    critic_steps: n. lr, beta1, beta2: Adam's. ema_decay: of the average of the generator that samples.
    nets: the generator and the critic, where they are of no images.
    Of the losses, ``loss`` is E f(x) - E f(G(z)) as it was last seen, an estimate of the distance.
    Raises Unsupported for binary pixels, channels that are not 1 or 3, and sides that are not 3 to 8 pixels doubled.
    """

    def __init__(
        self,
        spec: DataSpec,
        nets: tuple[nn.Module, nn.Module] | None = None,
        *,
        latent: PositiveInt = 128,
        width: PositiveInt = 64,
        critic_steps: PositiveInt = 5,
        penalty: NonNegativeFloat = 10.0,
        lr: PositiveFloat = 1e-4,
        beta1: Annotated[float, Ge(0), Lt(1)] = 0.0,
        beta2: Annotated[float, Ge(0), Lt(1)] = 0.9,
        ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.99,
    ) -> None:
        made, critic = nets or (ConvGenerator(spec, latent, width), ConvDiscriminator(spec, width))
        super().__init__(
            made,
            critic,
            latent=latent,
            lr=lr,
            betas=(beta1, beta2),
            ema_decay=ema_decay,
            rounds=critic_steps,
        )
        self.penalty = penalty
        self.distance: Tensor
        self.register_buffer("distance", torch.zeros(()))

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        """One update, of the critic or, after ``critic_steps`` of those, of the generator."""
        z, critic = self.draw(len(batch.data), rng), self.discriminator.forward  # not compiled: see gradient_penalty
        if self.take_turn():
            loss = generator_loss(critic, self.generator(z))
            self.descend_generator(loss)
            return {"loss": self.distance.item(), "loss_generator": loss.item()}
        with torch.no_grad():
            fake = self.generator(z)
        alpha = torch.rand(len(fake), generator=rng, device=rng.device)
        distance = distance_seen(critic, batch.data, fake)
        penalty = gradient_penalty(critic, batch.data, fake, alpha)
        self.descend_discriminator(self.penalty * penalty - distance)  # Eq. 3
        self.distance.copy_(distance.detach())
        return {"loss": distance.item(), "gradient_penalty": penalty.item()}


def distance_seen(critic: Net, real: Tensor, fake: Tensor) -> Tensor:
    """E f(x) - E f(G(z)): of a critic that is 1-Lipschitz, no more than the Wasserstein-1 distance."""
    on_real, on_fake = critic(torch.cat([real, fake])).chunk(2)
    return on_real.mean() - on_fake.mean()


def gradient_penalty(critic: Net, real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """E (||grad f(x^)||_2 - 1)^2 at points between pairs of ``(batch, ...)``, alpha: ``(batch,)``; without lambda.

    Its own gradient is a second derivative of the critic, which ``torch.compile`` does not have.
    """
    alpha = alpha.view(-1, *[1] * (real.ndim - 1))
    between = (alpha * real + (1 - alpha) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norm = torch.linalg.vector_norm(slope.flatten(1), dim=1)
    return torch.mean((norm - 1) ** 2)


def generator_loss(critic: Net, fake: Tensor) -> Tensor:
    """-E f(G(z))."""
    return -critic(fake).mean()
