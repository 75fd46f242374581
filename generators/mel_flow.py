"""Flow matching of sound: straight paths from noise (arXiv:2210.02747, see ``generators/flow_matching.py``) to log-mel
spectrograms, or to latents of them, which Griffin and Lim's algorithm makes heard (see ``generators/_mel.py``).

What it has a density of is spectrograms. A waveform has none under it: its phases are made up.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from bench import Batch, DataSpec, Omitted, Presets, generator
from generators._mel import ROUNDS, LogMel
from generators.flow_matching import FlowMatching

PRESETS: Presets = {
    "test": {
        "bands": 8, "window": 64, "hop": 32, "rounds": 2, "width": 8, "patch": 4, "lr": 5e-3, "steps": 2,
        "measured_steps": 2, "labels": True,
    },
    "tiny": {
        "space": "latent", "latent": 32, "decoder": "gaussian", "width": 256, "depth": 4, "lr": 2e-3, "coder_lr": 2e-3,
        "solver": "midpoint", "steps": 10, "labels": True,
    },
    "paper": {"width": 128, "dropout": 0.1, "lr": 5e-4, "ema_decay": 0.9999, "steps": 50, "solver": "midpoint"},
}  # fmt: skip


@generator(
    "mel_flow",
    modalities={"audio"},
    paper="arXiv:2210.02747",
    presets=PRESETS,
    sampling=("rounds", "guidance", "solver", "steps", "measured_steps"),
)
class MelFlow(FlowMatching):
    """Flow matching over log-mel spectrograms.

    bands, hop, window: of the mel scale, and samples from frame to frame and in a frame. rounds: of Griffin and Lim.
    measured_steps: of ``example_loss``. The rest as of ``generators/flow_matching.py``.
    """

    presets = PRESETS
    dequantised = False  # decibels have no levels whose cells noise would fill

    def __init__(
        self,
        spec: DataSpec,
        *,
        bands: PositiveInt = 64,
        hop: PositiveInt = 128,
        window: PositiveInt = 512,
        rounds: NonNegativeInt = ROUNDS,
        # No likelihood of sound rests on them, and losses of examples are compared alone: 5 rank these as 20 do.
        measured_steps: PositiveInt = 5,
        **rest: Any,
    ) -> None:
        mel = LogMel(spec, bands, hop, window)
        super().__init__(mel.images, measured_steps=measured_steps, **rest)
        self.mel, self.rounds = mel, rounds

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        return super().train_step(self.mel.seen(batch), rng)

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.mel.heard(super().sample(n, rng, condition), self.rounds)

    def example_loss(self, batch: Batch) -> Tensor:
        """Minus log p of each spectrogram in nats, or a bound on it, ``(batch,)``."""
        return super().example_loss(self.mel.seen(batch))

    def log_prob(self, batch: Batch) -> Tensor:
        """Raises Omitted: no waveform has a probability here."""
        raise Omitted("what has a density is spectrograms, and no waveform")
