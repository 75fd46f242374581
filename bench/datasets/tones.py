"""Eight kinds of synthesised sound, made as they are needed: a labelled set of audio that comes with the install.

    pluck     a string by Karplus & Strong 1983: noise that goes round a loop, averaged at each turn
    bell      frequency modulation by Chowning 1973: a carrier, a modulator at 1.4 times its frequency, both dying away
    organ     five harmonics, each of a strength of its own, held
    flute     a tone with vibrato and breath
    chirp     a sweep over two octaves, up
    laser     a sweep over three octaves, down
    kick      a low tone that falls as it dies away, with a click
    snare     noise that dies away over a short tone

Pitch, decay, brightness and loudness are drawn for each, and the sound ends in silence of some length. Samples are
rounded to 16 bits, as files hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench import dataset
from bench.datasets._audio import AudioDataset
from bench.protocols import SplitName

RATE, LENGTH = 8000, 4096  # samples a second, and of a sound
SIZES: Mapping[SplitName, int] = {"train": 1600, "valid": 400, "test": 400}
Floats = NDArray[np.float64]
Rng = np.random.Generator


@dataset("tones", modality="audio")
def tones() -> AudioDataset:
    """2,400 synthesised sounds of eight kinds, half a second at 8 kHz; embedded (1,600 train, 400 valid, 400 test)."""
    splits = {split: made(n, seed) for seed, (split, n) in enumerate(SIZES.items())}
    return AudioDataset("tones", splits, tuple(KINDS), float(RATE))


@cache
def made(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sounds ``(n, LENGTH)`` float32, kinds in turn, and their labels; not to be written to."""
    rng = np.random.default_rng([1983, seed])
    labels = np.arange(n) % len(KINDS)
    makers = list(KINDS.values())
    rounded = [np.rint(32767 * _levelled(makers[label](rng), rng)) / 32768 for label in labels]
    return np.stack(rounded).astype(np.float32), labels


def _levelled(sound: Floats, rng: Rng) -> Floats:
    """At a loudness of its own, and faded out before the end."""
    fade = np.clip((LENGTH - rng.integers(0, LENGTH // 4) - np.arange(LENGTH)) / 200, 0, 1)
    levelled: Floats = fade * sound * rng.uniform(0.4, 0.95) / np.abs(sound).max()
    return levelled


def _pluck(rng: Rng) -> Floats:
    period, damping = int(rng.integers(20, 80)), rng.uniform(0.985, 0.999)
    loop = rng.uniform(-1, 1, period)
    rounds = [loop]
    for _ in range(LENGTH // period):
        loop = damping * 0.5 * (loop + np.roll(loop, 1))
        rounds.append(loop)
    return np.concatenate(rounds)[:LENGTH]


def _bell(rng: Rng) -> Floats:
    pitch, dies = rng.uniform(200, 800), np.exp(-_seconds() / rng.uniform(0.1, 0.3))
    modulator = rng.uniform(1, 4) * dies * np.sin(_phase(1.4 * pitch))
    return dies * np.sin(_phase(pitch) + modulator)


def _organ(rng: Rng) -> Floats:
    pitch, strengths = rng.uniform(100, 400), rng.uniform(0.2, 1, 5)
    tone = sum(strength * np.sin(_phase(pitch * (k + 1))) for k, strength in enumerate(strengths))
    return np.asarray(tone * _attack(0.03))


def _flute(rng: Rng) -> Floats:
    pitch, t = rng.uniform(400, 1200), _seconds()
    wobble = rng.uniform(0.01, 0.03) * pitch * np.sin(2 * np.pi * rng.uniform(4, 8) * t)
    breath = 0.05 * rng.normal(size=LENGTH)
    return (np.sin(_phase(pitch + wobble)) + 0.2 * np.sin(_phase(2 * (pitch + wobble))) + breath) * _attack(0.08)


def _chirp(rng: Rng) -> Floats:
    return np.sin(_phase(rng.uniform(150, 800) * 4 ** (np.arange(LENGTH) / LENGTH))) * _attack(0.02)


def _laser(rng: Rng) -> Floats:
    falling = rng.uniform(2000, 3500) * 8.0 ** -(np.arange(LENGTH) / LENGTH)
    return np.sin(_phase(falling)) * np.exp(-_seconds() / rng.uniform(0.15, 0.5))


def _kick(rng: Rng) -> Floats:
    t, low = _seconds(), rng.uniform(45, 80)
    body = np.sin(_phase(low * (1 + rng.uniform(2, 5) * np.exp(-t / 0.03)))) * np.exp(-t / rng.uniform(0.08, 0.2))
    return body + 0.3 * rng.normal(size=LENGTH) * np.exp(-t / 0.004)


def _snare(rng: Rng) -> Floats:
    t = _seconds()
    rattle = rng.normal(size=LENGTH) * np.exp(-t / rng.uniform(0.05, 0.15))
    return rattle + rng.uniform(0.3, 1) * np.sin(_phase(rng.uniform(150, 250))) * np.exp(-t / 0.05)


def _seconds() -> Floats:
    return np.arange(LENGTH) / RATE


def _phase(pitch: float | Floats) -> Floats:
    """Radians of a tone whose pitch in Hz may move."""
    return 2 * np.pi * np.cumsum(np.broadcast_to(pitch, LENGTH)) / RATE


def _attack(seconds: float) -> Floats:
    return np.clip(_seconds() / seconds, 0, 1)


KINDS: Mapping[str, Callable[[Rng], Floats]] = {
    "pluck": _pluck,
    "bell": _bell,
    "organ": _organ,
    "flute": _flute,
    "chirp": _chirp,
    "laser": _laser,
    "kick": _kick,
    "snare": _snare,
}
