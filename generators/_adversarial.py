"""What adversarial families have in common: two nets that learn in turns, and an average of one of them that samples.

A family is its loss and its schedule. It builds both nets (``_gan_nets``), and in ``train_step`` it lets each descend
its own loss. The losses are functions of a net and of images, so that they can be tried on any net.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import Rows
from generators._ema import averaged_copy
from generators._schedule import descend, set_rate


class Adversarial(nn.Module):
    """A generator and its discriminator, each with its own Adam.

    latent: size of z, N(0, I) where a family has no other law. betas: Adam's. ema_decay: of the average of the
    generator's weights. rounds: updates of the discriminator for each of the generator.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        latent: int,
        lr: float,
        betas: tuple[float, float],
        ema_decay: float,
        rounds: int = 1,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        self.latent, self.rounds, self.classes = latent, rounds, classes
        self.generator, self.discriminator = generator, discriminator
        self.average = averaged_copy(generator, ema_decay)
        self.opt_g = torch.optim.Adam(generator.parameters(), lr=lr, betas=betas, fused=True)
        self.opt_d = torch.optim.Adam(discriminator.parameters(), lr=lr, betas=betas, fused=True)
        self.turn: Tensor
        self.register_buffer("turn", torch.zeros((), dtype=torch.long))

    def pace(self, share: float) -> None:
        for optimiser in (self.opt_g, self.opt_d):
            set_rate(optimiser, share)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """From the averaged generator; of a family with classes, labels are those asked for, or uniform."""
        rows, device = Rows(rng, n), self.turn.device
        given = [self.draw_rows(rows).to(device)]
        if self.classes:
            given.append(rows.labels(self.classes, condition).to(device))
        image: Tensor = self.average(*given)  # (n, channels, height, breadth)
        return image

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """z of a training step, ``(n, latent)``."""
        return torch.randn(n, self.latent, generator=rng, device=rng.device)

    def draw_rows(self, rows: Rows) -> Tensor:
        """z of samples, of the same law, each from its row's own stream, ``(n, latent)``."""
        return rows.normal(self.latent)

    def take_turn(self) -> bool:
        """Count this step, and say whether it is the generator's: one in ``rounds + 1``, the last."""
        self.turn += 1
        return int(self.turn) % (self.rounds + 1) == 0

    def descend_discriminator(self, loss: Tensor) -> None:
        descend(self.opt_d, loss)

    def descend_generator(self, loss: Tensor) -> None:
        """The generator learns through the discriminator, whose own weights stand still."""
        descend(self.opt_g, loss)
        self.average.update_parameters(self.generator)
