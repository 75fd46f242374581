"""Deep convolutional GAN (Radford, Metz & Chintala 2016, arXiv:1511.06434).

The generator G grows noise z ~ N(0, I) into an image through transposed convolutions; the discriminator D tells its
images from real ones. With logits D(x), both minimise a logistic loss, G in its non-saturating form
(Goodfellow et al. 2014, arXiv:1406.2661, section 3):

    L_D = E softplus(-D(x)) + E softplus(D(G(z)))          L_G = E softplus(-D(G(z)))
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, Presets, Unsupported, generator, normal

PRESETS: Presets = {
    "test": {"noise": 5, "width": 16, "lr": 5e-3},
    "tiny": {"width": 48, "lr": 1e-3},  # for two CPU cores: a twentieth of the work, a faster pace
    "paper": {"width": 256, "noise": 100, "lr": 2e-4, "beta1": 0.5},  # width for 28x28 and 32x32 images
}


@generator("dcgan", modalities={"image"}, paper="arXiv:1511.06434", presets=PRESETS)
class DCGAN(nn.Module):
    """Deep convolutional GAN with the non-saturating loss.

    width: channels of the coarsest map; halved at each of the next two. noise: size of z. beta1: Adam's.
    dropout: of the discriminator.
    Raises Unsupported for images whose sides are not multiples of 4.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        noise: PositiveInt = 100,
        width: Annotated[int, Ge(4)] = 256,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.3,
        lr: PositiveFloat = 2e-4,
        beta1: Annotated[float, Ge(0), Lt(1)] = 0.5,
    ) -> None:
        super().__init__()
        channels, height, breadth = spec.shape
        if height % 4 or breadth % 4:
            raise Unsupported(f"dcgan makes images whose sides are multiples of 4, not {height}x{breadth}")
        self.noise = noise
        self.generator = make_generator(noise, width, channels, (height // 4, breadth // 4))
        self.discriminator = make_discriminator(width // 4, channels, (height // 4, breadth // 4), dropout)
        self.opt_g = torch.optim.Adam(self.generator.parameters(), lr=lr, betas=(beta1, 0.999))
        self.opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=lr, betas=(beta1, 0.999))

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        z = torch.randn(len(batch.data), self.noise, generator=rng, device=rng.device)
        fake = self.generator(z)

        loss_d = F.softplus(-self.discriminator(batch.data)).mean()
        loss_d = loss_d + F.softplus(self.discriminator(fake.detach())).mean()
        self.opt_d.zero_grad(set_to_none=True)
        loss_d.backward()
        self.opt_d.step()

        loss_g = F.softplus(-self.discriminator(fake)).mean()
        self.opt_g.zero_grad(set_to_none=True)
        loss_g.backward()
        self.opt_g.step()
        return {"loss": loss_g.item(), "loss_discriminator": loss_d.item()}

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        z = normal(rng, n, self.noise).to(next(self.parameters()).device)
        image: Tensor = self.generator(z)  # (n, channels, height, breadth)
        return image


def make_generator(noise: int, width: int, channels: int, coarse: tuple[int, int]) -> nn.Sequential:
    """Noise to a coarse map, then twice double its sides: 100 -> 7x7x256 -> 7x7x128 -> 14x14x64 -> 28x28x1."""
    height, breadth = coarse
    return nn.Sequential(
        nn.Linear(noise, width * height * breadth, bias=False),
        nn.BatchNorm1d(width * height * breadth),
        nn.LeakyReLU(0.3),
        nn.Unflatten(1, (width, height, breadth)),
        *_grow(width, width // 2, stride=1),
        *_grow(width // 2, width // 4, stride=2),
        nn.ConvTranspose2d(width // 4, channels, 5, stride=2, padding=2, output_padding=1),
        nn.Tanh(),
    )


def make_discriminator(width: int, channels: int, coarse: tuple[int, int], dropout: float) -> nn.Sequential:
    """Image to one logit: 28x28x1 -> 14x14x64 -> 7x7x128 -> 1."""
    return nn.Sequential(
        *_shrink(channels, width, dropout),
        *_shrink(width, 2 * width, dropout),
        nn.Flatten(),
        nn.Linear(2 * width * coarse[0] * coarse[1], 1),
    )


def _grow(inside: int, outside: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.ConvTranspose2d(
        inside, outside, 5, stride=stride, padding=2, output_padding=stride - 1, bias=False
    )
    return convolution, nn.BatchNorm2d(outside), nn.LeakyReLU(0.3)


def _shrink(inside: int, outside: int, dropout: float) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inside, outside, 5, stride=2, padding=2), nn.LeakyReLU(0.3), nn.Dropout(dropout)
