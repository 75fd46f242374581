"""Ear: a small network over log-mel spectrograms, its weights shipped.

Trained by ``python -m metrics.extractors._train_ear`` (recipe, accuracy and seed stand there) to tell sixty classes of
the Free Spoken Digit Dataset, ten digits by each of six speakers, and the eight kinds of sound of ``tones``. Features
are the 64 activations before the last layer. ``ear`` answers with the ten digits, whoever speaks them, ``ear_tones``
with the eight kinds. It has heard digits and tones only: its distances rank models of such sounds, and mean nothing for
others. It learned on the training takes, so that copies of them are not where held-out ones are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from bench import DataError, DataSpec, Features, extractor, sha256
from metrics.extractors._digits import are_digits
from metrics.extractors._image import exact_arithmetic

WEIGHTS = Path(__file__).with_name("ear.safetensors")
SHA256 = "99dbb059c591c9b48233daeb8a64282b9f4354c0d2812772b69be1effef448a9"
RATE, WINDOW, HOP, BANDS = 8000, 256, 80, 40
DIGITS, SPEAKERS = 10, 6
TONES = ("pluck", "bell", "organ", "flute", "chirp", "laser", "kick", "snare")
KINDS = len(TONES)
SHORTEST = 16 * HOP  # samples that the layers need; what is shorter goes on in silence
CHUNK = 100  # sounds at a time


class Ear(nn.Module):
    """Waveforms ``(n, T)`` at 8 kHz -> 64 features; logits of digit x speaker, then of kinds of tones."""

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("filters", mel_filters(), persistent=False)
        self.layers = nn.Sequential(
            *_halve(1, 16, 5),  # bands 20, frames a half
            *_halve(16, 32, 3), *_halve(32, 64, 3),  # bands 5, frames an eighth
        )  # fmt: skip
        self.embed = nn.Linear(2 * 64 * (BANDS // 8), 64)
        self.head = nn.Linear(64, DIGITS * SPEAKERS + KINDS)

    def forward(self, wave: Tensor) -> Features:
        features = self.seen(self.log_mel(wave))
        return Features(features, self.head(features))

    def seen(self, mel: Tensor) -> Tensor:
        """Features ``(n, 64)`` of ``log_mel``."""
        h = self.layers(mel).flatten(1, 2)  # (n, channels * bands, frames)
        return F.relu(self.embed(torch.cat([h.mean(2), h.amax(2)], dim=1)))

    def log_mel(self, wave: Tensor) -> Tensor:
        """``(n, 1, bands, frames)``: of silence -1.92, of a loud tone above 1."""
        wave = F.pad(wave, (0, max(0, SHORTEST - wave.shape[1])))
        spectrum = torch.stft(
            wave, WINDOW, HOP, window=self.window, center=True, pad_mode="constant", return_complex=True
        )
        power: Tensor = self.filters @ spectrum.abs().square()
        return ((power + 1e-5).log() / 6)[:, None]


class EarExtractor(nn.Module):
    """Extractor over the shipped weights; channels are mixed to one.

    tones: whether logits are of the kinds of tones; else of the digits, each the sum over its speakers.
    """

    protocol: Mapping[str, str] = {"weights": f"sha256:{SHA256}", "sample_rate": f"{RATE}"}

    def __init__(self, *, tones: bool = False) -> None:
        super().__init__()
        if (found := sha256(WEIGHTS)) != SHA256:
            raise DataError(f"{WEIGHTS} has SHA-256 {found}, expected {SHA256}; reinstall genbench")
        self.tones, self.net = tones, Ear().eval().requires_grad_(False)
        self.net.load_state_dict(load_file(WEIGHTS))

    @torch.no_grad()
    def forward(self, x: Tensor | Sequence[Tensor]) -> Features:
        """Waveforms ``(n, T)`` or ``(n, T, channels)``, or a list of such of several lengths, at 8 kHz."""
        parts = [self.heard(part) for part in (x.split(CHUNK) if isinstance(x, Tensor) else [one[None] for one in x])]
        return Features(*(torch.cat(of) for of in zip(*parts, strict=True)))

    def heard(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of waveforms of one length."""
        wave = wave.float() if wave.ndim == 2 else wave.float().mean(2)
        with exact_arithmetic(wave.device):
            features, logits = self.net(wave)
        return features, logits[:, -KINDS:] if self.tones else digits_of(logits)


def _halve(inside: int, outside: int, taps: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inside, outside, taps, stride=2, padding=taps // 2, bias=False)
    return conv, nn.BatchNorm2d(outside), nn.ReLU()


def digits_of(logits: Tensor) -> Tensor:
    """Log-probabilities of digits, ``(n, 10)``, but for a constant, of logits of digit x speaker."""
    found: Tensor = logits[:, : DIGITS * SPEAKERS].unflatten(1, (DIGITS, SPEAKERS)).logsumexp(2)
    return found


@cache
def mel_filters() -> Tensor:
    """``(bands, bins)``: triangles that overlap, evenly spaced in mel; what the weights were trained on."""
    highest = 2595 * math.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, highest, BANDS + 2, dtype=torch.float64) / 2595) - 1)
    places = torch.linspace(0, RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)
    rising = (places - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - places) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0).float()


def at_8_khz(spec: DataSpec) -> bool:
    """Whether sounds are at the rate that it was trained on, or do not say."""
    return spec.rate in (None, RATE)


def fad(embedding: str) -> dict[str, str]:
    """The Fréchet audio distance names its embedding: numbers of different ones do not compare."""
    return {"fd": f"fad_{embedding}", "fd_corrected": f"fad_corrected_{embedding}"}


@extractor("ear", on={"audio"}, fits=at_8_khz, knows=are_digits, default_for={"audio"}, classic=fad("ear"), lead=1)
def ear() -> EarExtractor:
    """Network of spoken digits and tones with 64 features, and 10 classes: the digits; weights shipped."""
    return EarExtractor()


@extractor(
    "ear_tones",
    on={"audio"},
    fits=at_8_khz,
    knows=lambda spec: spec.captions == TONES,
    classic=fad("ear_tones"),
    lead=2,
)
def ear_tones() -> EarExtractor:
    """The features of `ear`, and 8 classes: the kinds of sound of `tones`."""
    return EarExtractor(tones=True)
