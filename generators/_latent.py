"""Where a family that makes real numbers works: at the pixels, or among the latents of a small VAE of its own.

    space = "pixels"   images as they are, in [-1, 1]
    space = "latent"   latents of a VAE, each brought to mean 0 and variance 1 (Vahdat et al. 2021, arXiv:2106.05931;
                       Rombach et al. 2022, arXiv:2112.10752). The first ``latent_share`` of the training is the VAE's.
                       Minutes on a CPU, which buy a U-Net half an epoch, are thousands of steps of a perceptron

A family says how it learns what lies there (``learn``) and how it draws it (``draw``). One that knows its density there
has a likelihood of images in either space: among latents the evidence bound of the VAE with that density for a prior,

    log p(x) >= log p(x|z) + log p(z) - log q(z|x),    z from q(z|x)
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Gt, Lt
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, GenbenchError, Presets, Rows, Unsupported, dequantise
from generators._schedule import set_rate
from generators.vae import VAE, Law, log_normal, own_noise

OF_LATENTS = 'it works in the latents of a VAE (space = "latent", which presets may set), and the decoder of that VAE'
DRAWS = 4  # of q(z|x) for each image in a step: encoding it costs more than learning from one


class InSpace(nn.Module, ABC):
    """A family in a space of ``shape``.

    space, latent_share: see above. latent, coder_width, decoder, coder_lr: of the VAE; see ``VAE``.
    dequantised: whether a density of pixels is learned, of levels spread over their cells. presets: of the family,
    where one of them has settings that another space leaves idle. Raises GenbenchError for a VAE's at the pixels.
    """

    dequantised = True
    presets: ClassVar[Presets] = {}
    optimiser: torch.optim.Optimizer

    def __init__(
        self,
        spec: DataSpec,
        *,
        space: Literal["pixels", "latent"] = "pixels",
        latent: PositiveInt = 16,
        latent_share: Annotated[float, Gt(0), Lt(1)] = 0.5,
        coder_width: PositiveInt = 32,
        decoder: Law = "bernoulli",
        coder_lr: PositiveFloat = 3e-3,
    ) -> None:
        super().__init__()
        self.vae: VAE | None = None
        self.shape: tuple[int, ...] = spec.shape
        self.latent_share, self.parts = latent_share, ["vae", "net"]
        if space == "latent":
            self.vae = VAE(spec, latent=latent, net="conv", width=coder_width, decoder=decoder, lr=coder_lr)
            self.norm, self.shape = nn.BatchNorm1d(latent, affine=False), (latent,)
        elif spec.kind == "binary":
            raise Unsupported('binary pixels are no real numbers, which this family makes: take space = "latent"')
        else:
            self.refuse_idle(
                InSpace, 'latents alone have it, leave it out or take space = "latent"', latent=latent,
                latent_share=latent_share, coder_width=coder_width, decoder=decoder, coder_lr=coder_lr,
            )  # fmt: skip

    def refuse_idle(self, of: type, why: str, **settings: Any) -> None:
        """Raises GenbenchError for settings that have no effect, unless they are as left out, or as a preset has them.

        of: the class whose constructor they are those of. Whoever takes a preset to another space did not write them.
        """
        known = inspect.signature(of).parameters
        idle = [
            f"{name} = {value}"
            for name, value in settings.items()
            if value != known[name].default and all(preset.get(name) != value for preset in self.presets.values())
        ]
        if idle:
            raise GenbenchError(f"{' and '.join(idle)} would have no effect: {why}")

    @abstractmethod
    def learn(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> float:
        """One update by a batch ``(batch, *shape)`` of the space. Returns its loss."""

    @abstractmethod
    def draw(self, rows: Rows, n: int, condition: Tensor | None) -> Tensor:
        """n examples of the space, ``(n, *shape)``."""

    def pace(self, share: float) -> None:
        """The VAE is trained first and then the rest, each with a rate that falls to nothing."""
        if self.vae is None:
            self.parts = ["net"]
            self.slow(share)
        elif share < self.latent_share:
            self.parts = ["vae"]
            self.vae.pace(share / self.latent_share)
        else:
            self.parts = ["net"]
            self.slow((share - self.latent_share) / (1 - self.latent_share))

    def slow(self, share: float) -> None:
        """Told how much of the training but the VAE's is done."""
        set_rate(self.optimiser, share)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        """Of the VAE, of the rest, or of both where nobody tells how far the training is."""
        losses: dict[str, float] = {}
        if self.vae is not None and "vae" in self.parts:
            losses["vae"] = self.vae.train_step(batch, rng)["loss"]
        x, label = self.encode(batch, rng)  # while the VAE learns, for the moments of its latents
        if "net" in self.parts:
            losses["net"] = self.learn(x, label, rng)
        return {"loss": sum(losses.values()), **losses}

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.decode(self.draw(Rows(rng, n), n, condition))

    @torch.no_grad()
    def encode(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """What is learned from, and labels: images, of a density with levels spread over their cells; or ``DRAWS``
        normalised draws of q(z|x) for each.
        """
        x, label = batch.data, batch.condition
        if self.vae is None:
            return dequantise(
                x, torch.rand(x.shape, generator=rng, device=rng.device)
            ) if self.dequantised else x, label
        mu, log_var = (part.repeat(DRAWS, 1) for part in self.vae.encode(Batch(self.vae.pixels.spread(x, rng))))
        z = mu + (0.5 * log_var).exp() * torch.randn(mu.shape, generator=rng, device=rng.device)
        z = self.norm.train(self.training and "vae" in self.parts)(z)
        return z, None if label is None else label.repeat(DRAWS)

    def decode(self, x: Tensor) -> Tensor:
        """Images of what lies in the space."""
        if self.vae is None:
            return x.clamp(-1, 1)
        mean, scale = self.moments
        return self.vae.pixels.mean(self.vae.decoder(x * scale + mean))

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each latent."""
        mean, var = self.norm.running_mean, self.norm.running_var
        assert mean is not None and var is not None
        return mean, (var + self.norm.eps).sqrt()

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


class WithDensity(InSpace):
    """A family in a space whose density, or a bound on it, it knows."""

    @property
    def bound(self) -> bool:
        return self.vae is not None

    @property
    def log_prob_of(self) -> Literal["mass", "density"]:
        return "density" if self.vae is None else self.vae.pixels.log_prob_of

    @property
    def own_draws(self) -> int:
        """How many random numbers ``density`` needs for each example."""
        return 0

    @abstractmethod
    def density(self, x: Tensor, label: Tensor | None, noise: Tensor) -> Tensor:
        """log p of points of the space in nats, ``(batch,)``. noise: N(0, I), ``(batch, own_draws)``."""

    def log_prob(self, batch: Batch) -> Tensor:
        """The density of images in nats, ``(batch,)``; in a latent space the bound above.

        Raises Omitted for a Bernoulli decoder of grey levels.
        """
        if self.vae is not None:
            self.vae.pixels.check(OF_LATENTS)
        return -self.example_loss(batch)

    @torch.no_grad()
    def example_loss(self, batch: Batch) -> Tensor:
        """Minus that in nats, ``(batch,)``. The image itself decides what is drawn: it can be repeated, and no batch
        changes it.
        """
        if self.vae is None:
            return -self.density(batch.data, batch.condition, own_noise(batch.data, self.own_draws)).double()
        mu, log_var = self.vae.encode(batch)
        eps, noise = own_noise(batch.data, mu.shape[1] + self.own_draws).split([mu.shape[1], self.own_draws], dim=1)
        z, (mean, scale) = mu + (0.5 * log_var).exp() * eps, self.moments
        log_p = self.density((z - mean) / scale, batch.condition, noise).double() - scale.log().sum()
        log_p_x = self.vae.pixels.log_prob(batch.data, self.vae.decoder(z))
        return log_normal(z, mu, log_var) - log_p - log_p_x
