"""Variational autoencoder of sound: a VAE (arXiv:1312.6114, see ``generators/vae.py``) over log-mel spectrograms, which
Griffin and Lim's algorithm makes heard (see ``generators/_mel.py``).

    wave -> log-mel -> q(z|x),    z -> p(x|z) -> its mean -> Griffin-Lim -> wave

What is bounded is the probability of a spectrogram. A waveform has none under it: its phases are made up.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from bench import Batch, DataSpec, Omitted, Presets, Split, generator
from generators._coders import Net
from generators._mel import ROUNDS, LogMel, Pictures
from generators.vae import VAE, Law

PRESETS: Presets = {
    "test": {"latent": 3, "net": "mlp", "width": 16, "bands": 8, "window": 64, "hop": 32, "rounds": 2, "lr": 5e-3},
    "tiny": {"latent": 32, "width": 32, "lr": 2e-3},
    "paper": {"net": "mlp", "latent": 20, "width": 500},  # the nets of arXiv:1312.6114, which made no sound
}


@generator("mel_vae", modalities={"audio"}, paper="arXiv:1312.6114", presets=PRESETS, sampling=("rounds",))
class MelVAE(VAE):
    """A VAE over log-mel spectrograms.

    bands, hop, window: of the mel scale, and samples from frame to frame and in a frame. rounds: of Griffin and Lim.
    The rest as of ``generators/vae.py``.
    """

    names = ("mel_cvae", "mel_vae")

    def __init__(
        self,
        spec: DataSpec,
        *,
        bands: PositiveInt = 64,
        hop: PositiveInt = 128,
        window: PositiveInt = 512,
        rounds: NonNegativeInt = ROUNDS,
        latent: PositiveInt = 32,
        net: Net = "conv",
        width: PositiveInt = 64,
        decoder: Law = "gaussian",
        **rest: Any,
    ) -> None:
        mel = LogMel(spec, bands, hop, window)
        super().__init__(mel.images, latent=latent, net=net, width=width, decoder=decoder, **rest)
        self.mel, self.rounds = mel, rounds

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        return super().train_step(self.mel.seen(batch), rng)

    def refit(self, data: Split, rng: torch.Generator) -> None:
        super().refit(Pictures(data, self.mel), rng)

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.mel.heard(super().sample(n, rng, condition), self.rounds)

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.mel.heard(super().reconstruct(self.mel.seen(batch)), self.rounds)

    def example_loss(self, batch: Batch) -> Tensor:
        """Minus the evidence bound of each spectrogram in nats, ``(batch,)``."""
        return super().example_loss(self.mel.seen(batch))

    def log_prob(self, batch: Batch) -> Tensor:
        """Raises Omitted: no waveform has a probability here."""
        raise Omitted("what is bounded is the probability of spectrograms, and of no waveform")


@generator(
    "mel_cvae", modalities={"audio"}, paper="Sohn et al. 2015, NeurIPS 28", presets=PRESETS, sampling=("rounds",)
)
class ConditionalMelVAE(MelVAE):
    """The same told the label on both sides: it makes the sounds that it is asked for."""

    conditional = True
