"""A recurrent net among the latents of frames: the vision and memory of world models (Ha & Schmidhuber 2018,
arXiv:1803.10122, sections 2.1 and 2.2), with no action and no controller.

    V   a VAE of single frames:     z_t ~ q(z | x_t)                                    trained first
    M   a GRU over their latents:   p(z_t | z_<t) = sum_k pi_k N(z_t; mu_k, sigma_k)    trained on what V makes of clips

A sample is a path of M through the latents, each point decoded by itself: what moves is M's, how it looks is V's. Its
likelihood is bounded by

    log p(x) >= sum_t log p(x_t | z_t) + log p(z_1, ..., z_T) - sum_t log q(z_t | x_t),    z_t ~ q(z | x_t)
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Gt, Lt
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from bench import Batch, DataSpec, Presets, Rows, generator
from generators._clips import filled
from generators._latent import InSpace
from generators.gru import GRU
from generators.vae import VAE, Law, log_normal, own_noise

PRESETS: Presets = {
    "test": {"latent": 3, "coder_width": 8, "coder_lr": 5e-3, "width": 16, "components": 2, "lr": 5e-3},
    "tiny": {"latent": 16, "coder_width": 32, "width": 192, "components": 5, "lr": 3e-3},
    "paper": {"latent": 32, "width": 256, "components": 5},  # Appendix A.1, for car racing
}


@generator("latent_rnn", modalities={"video"}, paper="arXiv:1803.10122", presets=PRESETS, sampling=("temperature",))
class LatentRNN(InSpace):
    """A GRU over the latents of single frames, each of which a VAE decodes.

    latent, coder_width, decoder, coder_lr, latent_share: of the VAE, as of ``generators/_latent.py``. width, layers,
    components, lr: of the GRU and the mixture that it says. temperature: of what is drawn from that.
    """

    bound = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: PositiveInt = 16,
        latent_share: Annotated[float, Gt(0), Lt(1)] = 0.5,
        coder_width: PositiveInt = 32,
        decoder: Law = "bernoulli",
        coder_lr: PositiveFloat = 3e-3,
        width: PositiveInt = 256,
        layers: PositiveInt = 1,
        components: NonNegativeInt = 5,
        lr: PositiveFloat = 2e-3,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        frame = DataSpec("image", spec.shape[1:], spec.kind)
        super().__init__(
            frame, space="latent", latent=latent, latent_share=latent_share, coder_width=coder_width, decoder=decoder,
            coder_lr=coder_lr,
        )  # fmt: skip
        self.frames = spec.shape[0]
        path = DataSpec("music", (self.frames, latent), "continuous")  # a sequence of vectors
        self.rnn = GRU(
            path, width=width, embedding=2 * latent, layers=layers, components=components, lr=lr,
            temperature=temperature,
        )  # fmt: skip

    @property
    def coder(self) -> VAE:
        assert self.vae is not None  # for the space is latent
        return self.vae

    @property
    def log_prob_of(self) -> Literal["mass", "density"]:
        return self.coder.pixels.log_prob_of

    def slow(self, share: float) -> None:
        self.rnn.pace(share)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        """Of the VAE, of the GRU, or of both where nobody tells how far the training is."""
        return super().train_step(Batch(filled(batch).data.flatten(0, 1)), rng)

    def learn(self, x: Tensor, label: Tensor | None, rng: torch.Generator) -> float:
        """x: draws of the latents of all frames, one clip behind the other, ``(draws clips frames, latent)``."""
        return self.rnn.train_step(Batch(x.view(-1, self.frames, x.shape[1])), rng)["loss"]

    def draw(self, rows: Rows, n: int, condition: Tensor | None) -> Tensor:
        """Frames ``(n frames, latent)`` of paths through the latents."""
        return self.go_on(rows, torch.empty(n, 0, *self.shape, device=self.device), self.frames).flatten(0, 1)

    def go_on(self, rows: Rows, z: Tensor, steps: int) -> Tensor:
        """What follows latents ``(n, frames, latent)``, drawn: ``(n, steps, latent)``."""
        head, drawn = self.rnn.head, list[Tensor]()
        u = rows.uniform(steps, *head.draws).to(z.device)
        said, state = self.rnn(torch.cat([head.start(len(z), z.device)[:, None], z], dim=1))
        said = said[:, -1]
        for each in u.unbind(1):
            drawn.append(self.rnn.drawing.draw(said, each, None))
            said, state = self.rnn.step(drawn[-1], state)
        return torch.stack(drawn, dim=1)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        clips: Tensor = super().sample(n, rng, condition).unflatten(0, (n, self.frames))
        return clips

    @torch.no_grad()
    def forecast(self, start: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        """One way to go on, drawn from many: squared errors of it are about twice those of their mean."""
        mean, scale = self.moments
        z = (self.coder.encode(Batch(start.flatten(0, 1)))[0] - mean) / scale
        drawn = self.go_on(Rows(rng, len(start)), z.unflatten(0, start.shape[:2]), steps)
        frames: Tensor = self.decode(drawn.flatten(0, 1)).unflatten(0, (len(start), steps))
        return frames

    def log_prob(self, batch: Batch) -> Tensor:
        """The bound above in nats, ``(batch,)``. Raises Omitted for a Bernoulli decoder of grey levels."""
        self.coder.pixels.check()
        return -self.example_loss(batch)

    @torch.no_grad()
    def example_loss(self, batch: Batch) -> Tensor:
        """Minus that in nats, ``(batch,)``. The clip itself decides what is drawn: it can be repeated."""
        batch, (mean, scale) = filled(batch), self.moments
        frames = batch.data.flatten(0, 1)
        mu, log_var = self.coder.encode(Batch(frames))
        z = mu + (0.5 * log_var).exp() * own_noise(batch.data, self.frames * mu.shape[1]).view_as(mu)
        log_p = self.coder.pixels.log_prob(frames, self.coder.decoder(z)) - log_normal(z, mu, log_var)
        path = ((z - mean) / scale).view(len(batch.data), self.frames, -1)
        log_p_z = self.rnn.log_prob(Batch(path)).double() - self.frames * scale.log().sum()
        return -(log_p.double().view(path.shape[:2]).sum(1) + log_p_z)
