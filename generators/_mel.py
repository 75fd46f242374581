"""Waveforms as pictures, and back: families of images make sound by its log-mel spectrogram.

    M = F |STFT x|,    picture = 20 log10 M, from FLOOR decibels at -1 to 0 at 1

with F triangles that overlap, evenly spaced in mel = 2595 log10(1 + f / 700), each of which averages the amplitudes
that it covers. The way back is F's pseudo-inverse, and phases by Griffin & Lim 1984 (doi:10.1109/TASSP.1984.1164317):
over and over again the amplitudes are given the phases of the spectrogram of the sound that they made, with momentum
(Perraudin et al. 2013, doi:10.1109/WASPAA.2013.6701851). It begins from phases that are always the same, so that a
picture has one sound. Behind the last frame of a picture stands one more, half of it past the end, whose amplitudes are
found as its phases are: without it, frames that overlap by half would leave the last samples to the rim of one window.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import Batch, DataSpec, GenbenchError, Split, Unsupported

FLOOR = -80.0  # decibels below full scale
MOMENTUM = 0.99
MULTIPLE = 8  # of frames, so that nets can halve them
ROUNDS = 32  # of Griffin and Lim, where nobody says otherwise


class LogMel(nn.Module):
    """Waveforms ``(batch, T)`` in [-1, 1] to pictures ``(batch, 1, bands, frames)`` in [-1, 1], and back.

    bands: of the mel scale. hop: samples from frame to frame. window: samples that a frame sees. ``images``: the form
    of the pictures. Raises Unsupported for several channels, and for data that does not say its rate, GenbenchError for
    frames that leave gaps between them.
    """

    window: Tensor
    filters: Tensor
    inverse: Tensor
    phases: Tensor

    def __init__(self, spec: DataSpec, bands: int, hop: int, window: int) -> None:
        super().__init__()
        if len(spec.shape) != 1 or spec.kind != "continuous":
            raise Unsupported(f"spectrograms are taken of waveforms (T,), not of {spec.kind} data of {spec.shape}")
        if spec.rate is None:
            raise Unsupported("a mel scale is in Hz, and the data does not say its rate")
        if hop > window // 2:
            raise GenbenchError(f"hop = {hop}: should be at most half of window, which is {window}")
        self.samples, self.hop, self.size = spec.shape[0], hop, window
        self.frames = MULTIPLE * math.ceil(spec.shape[0] / hop / MULTIPLE)
        form = (1, bands, self.frames)
        self.images = DataSpec("image", form, "continuous", classes=spec.classes, captions=spec.captions)
        triangles = mel_filters(bands, window // 2 + 1, spec.rate)
        angles = 2 * math.pi * torch.rand(window // 2 + 1, self.frames + 1, generator=torch.Generator().manual_seed(0))
        parts = {
            "window": torch.hann_window(window),
            "filters": triangles,
            "inverse": torch.linalg.pinv(triangles),
            "phases": torch.polar(torch.ones_like(angles), angles),
        }
        for name, tensor in parts.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        with torch.autocast(wave.device.type, enabled=False):
            amplitudes = self.filters @ self._spectrum(self._filled(wave))[:, :, : self.frames].abs()
            decibels = 20 * amplitudes.clamp(min=10 ** (FLOOR / 20)).log10()
        return (1 - 2 * decibels / FLOOR).clamp(-1, 1)[:, None]

    def seen(self, batch: Batch) -> Batch:
        """A batch of waveforms as one of pictures; padding is silence."""
        data = batch.data if batch.lengths is None else batch.data.where(batch.mask, 0)
        return Batch(self(data.float()), batch.condition)

    @torch.no_grad()
    def heard(self, pictures: Tensor, rounds: int = ROUNDS) -> Tensor:
        """Waveforms ``(batch, T)`` of pictures, by so many rounds of Griffin and Lim."""
        with torch.autocast(pictures.device.type, enabled=False):
            decibels = (1 - pictures[:, 0].float()) * FLOOR / 2
            amplitudes = (self.inverse @ (10 ** (decibels / 20))).clamp(min=0)
            amplitudes = torch.cat([amplitudes, amplitudes[:, :, -1:] / 2], dim=2)  # at first half of its neighbour's
            last, spectrum = torch.zeros_like(self.phases), self.phases.expand_as(amplitudes)
            for _ in range(rounds):
                rebuilt = self._spectrum(self._wave(amplitudes * spectrum))
                amplitudes[:, :, -1] = rebuilt[:, :, -1].abs()
                spectrum = rebuilt - MOMENTUM / (1 + MOMENTUM) * last
                spectrum, last = spectrum / spectrum.abs().clamp(min=1e-12), rebuilt
            return self._wave(amplitudes * spectrum)[:, : self.samples].clamp(-1, 1)

    def _filled(self, wave: Tensor) -> Tensor:
        return F.pad(wave, (0, self.frames * self.hop - wave.shape[1]))

    def _spectrum(self, wave: Tensor) -> Tensor:
        """``(batch, bins, frames + 1)``, in which a tone of amplitude 1 has amplitude 1."""
        found = torch.stft(
            wave, self.size, self.hop, window=self.window, center=True, pad_mode="constant", return_complex=True
        )
        return found * (2 / self.window.sum())

    def _wave(self, spectrum: Tensor) -> Tensor:
        """``(batch, frames * hop)``."""
        spectrum = spectrum * (self.window.sum() / 2)
        return torch.istft(spectrum, self.size, self.hop, window=self.window, length=self.frames * self.hop)


class Pictures:
    """A split of waveforms, seen as pictures."""

    def __init__(self, split: Split, mel: LogMel) -> None:
        self.split, self.mel = split, mel

    def __len__(self) -> int:
        return len(self.split)

    def batch(self, index: Tensor) -> Batch:
        return self.mel.seen(self.split.batch(index).to(self.mel.window.device))


def mel_filters(bands: int, bins: int, rate: float) -> Tensor:
    """``(bands, bins)``: triangles from 0 Hz to half the rate, each of sum 1."""
    highest = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, highest, bands + 2, dtype=torch.float64) / 2595) - 1)
    places = torch.linspace(0, rate / 2, bins, dtype=torch.float64)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    reach = rate / 2 / (bins - 1)  # a triangle narrower than a bin would see nothing
    rising = (places - low.minimum(middle - reach)) / (middle - low.minimum(middle - reach))
    falling = (high.maximum(middle + reach) - places) / (high.maximum(middle + reach) - middle)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles / triangles.sum(1, keepdim=True)).float()
