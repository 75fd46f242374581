"""WaveGAN: a Wasserstein GAN of waveforms (Donahue, McAuley & Puckette 2019, arXiv:1802.04208).

DCGAN laid flat: each convolution has 25 taps in a row and a stride of 4, where that has 5x5 and 2x2. Its checkerboards
become a tone of one phase in all that is made, by which a critic would tell it apart at once; so the critic hears each
layer moved by a few samples, as many for all of a batch, with the edges mirrored (phase shuffle, section 3.3):

    h[t] -> h[t + k],    k uniform in {-n, ..., n}

z is uniform in [-1, 1]. The loss, its gradient penalty and its turns are those of ``generators/wgan_gp.py``, and so are
the rate that falls and the average of the generator that samples, neither of which is in the paper. Sounds are as long
as a power of 4 times a number of at most 16, and cut to the length of the data.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from bench import DataSpec, Presets, Rows, Unsupported, generator
from generators.wgan_gp import WGANGP

PRESETS: Presets = {
    "test": {"latent": 5, "width": 4, "lr": 5e-3, "critic_steps": 1},
    "tiny": {"latent": 64, "width": 8, "lr": 1e-3, "critic_steps": 1},
    "paper": {"latent": 100, "width": 64, "lr": 1e-4, "beta1": 0.5, "beta2": 0.9, "critic_steps": 5, "penalty": 10.0},
}
TAPS, STRIDE = 25, 4
COARSEST = 16  # samples of the coarsest layer, at most


@generator("wavegan", modalities={"audio"}, paper="arXiv:1802.04208", presets=PRESETS)
class WaveGAN(WGANGP):
    """Wasserstein GAN of waveforms.

    width: channels of the finest layer; twice as many after each. shuffle: samples by which the critic's layers are
    moved at most. The rest as of ``generators/wgan_gp.py``.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: PositiveInt = 100,
        width: PositiveInt = 64,
        shuffle: NonNegativeInt = 2,
        beta1: Annotated[float, Ge(0), Lt(1)] = 0.5,
        **rest: Any,
    ) -> None:
        nets = WaveGenerator(spec, latent, width), WaveCritic(spec, width, shuffle)
        super().__init__(spec, nets, latent=latent, width=width, beta1=beta1, **rest)

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        return 2 * torch.rand(n, self.latent, generator=rng, device=rng.device) - 1

    def draw_rows(self, rows: Rows) -> Tensor:
        return 2 * rows.uniform(self.latent) - 1


class WaveGenerator(nn.Module):
    """Noise ``(batch, latent)`` to waveforms ``(batch, T)`` or ``(batch, T, channels)`` in (-1, 1)."""

    def __init__(self, spec: DataSpec, latent: int, width: int) -> None:
        super().__init__()
        self.shape, (widths, self.coarse) = spec.shape, _sizes(spec, width)
        self.head = nn.Linear(latent, widths[-1] * self.coarse)
        self.grow = nn.ModuleList(
            # 11 - 10 of padding: each layer is exactly four times as long as the one before
            nn.ConvTranspose1d(a, b, TAPS, STRIDE, padding=11, output_padding=1)
            for a, b in pairwise(widths[::-1])
        )

    def forward(self, z: Tensor) -> Tensor:
        h = self.head(z).unflatten(1, (-1, self.coarse))
        for grow in self.grow:
            h = grow(F.relu(h))
        wave = h.tanh()[:, :, : self.shape[0]]
        out: Tensor = wave[:, 0] if len(self.shape) == 1 else wave.transpose(1, 2)
        return out


class WaveCritic(nn.Module):
    """Waveforms to one number each, ``(batch,)``. shuffle: see above; in training alone."""

    def __init__(self, spec: DataSpec, width: int, shuffle: int) -> None:
        super().__init__()
        self.shuffle, (widths, coarse) = shuffle, _sizes(spec, width)
        self.length = coarse * STRIDE ** (len(widths) - 1)
        self.halve = nn.ModuleList(nn.Conv1d(a, b, TAPS, STRIDE, padding=11) for a, b in pairwise(widths))
        self.answer = nn.Linear(widths[-1] * coarse, 1, bias=False)  # a bias would never learn: see _gan_nets

    def forward(self, x: Tensor) -> Tensor:
        h = x[:, None] if x.ndim == 2 else x.transpose(1, 2)
        h = F.pad(h, (0, self.length - h.shape[2]))
        for i, halve in enumerate(self.halve):
            h = F.leaky_relu(halve(F.pad(h, (0, 1))), 0.2)
            if i + 1 < len(self.halve) and self.training:
                h = shuffled(h, self.shuffle)
        out: Tensor = self.answer(h.flatten(1)).squeeze(1)
        return out


def shuffled(h: Tensor, most: int) -> Tensor:
    """``(batch, channels, T)`` moved by as many samples as the global generator draws, at most ``most`` either way."""
    most = min(most, h.shape[2] - 1)
    start = int(torch.randint(2 * most + 1, ()))
    return F.pad(h, (most, most), mode="reflect")[:, :, start : start + h.shape[2]]


def _sizes(spec: DataSpec, width: int) -> tuple[list[int], int]:
    """Channels of the sound and of each layer, from fine to coarse, and the length of the coarsest."""
    if spec.kind != "continuous" or not 1 <= len(spec.shape) <= 2:
        raise Unsupported(f"WaveGAN makes waveforms (T,) or (T, channels), not {spec.kind} data of {spec.shape}")
    layers = max(1, math.ceil(math.log(spec.shape[0] / COARSEST, STRIDE)))
    coarse = math.ceil(spec.shape[0] / STRIDE**layers)
    channels = 1 if len(spec.shape) == 1 else spec.shape[1]
    return [channels, *(width * 2**i for i in range(layers))], coarse
