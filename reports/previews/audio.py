"""Audio: each clip as its waveform above its spectrogram, and as a sound to listen to, of a long one the beginning.

Pictures stand one below another, and so do the players, in the same order.
"""

from __future__ import annotations

import io
import math
import wave
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench import preview
from reports.previews._files import Shape, beginning
from reports.previews._pictures import grid, png
from reports.previews._shown import Shown

CLIPS = 3
LARGEST = 2**18  # bytes of a sound that a page carries: three seconds at 44.1 kHz
RATES = (1000, 192_000)  # samples a second that players take
WIDTH, WAVE, BANDS = 288, 32, 64  # pixels across, of the waveform and of the spectrogram in height
WINDOW, FLOOR = 2 * BANDS, -80.0  # samples of a spectrum; decibels that are black


@preview("audio")
def show(file: BinaryIO) -> Shown:
    """Waveforms ``(n, T)`` or ``(n, T, channels)``, float32 in [-1, 1]."""
    found = beginning(file, CLIPS, "waveforms", _fits, lambda shape: math.prod(shape[1:]))
    clips = [np.nan_to_num(x[:length]).clip(-1, 1) for x, length in zip(found.samples, found.lengths, strict=True)]
    drawn = np.stack([_drawn(x.mean(1) if x.ndim == 2 else x) for x in clips])
    playable = found.rate and RATES[0] <= found.rate <= RATES[1]
    sounds = tuple(_wav(x, found.rate) for x in clips) if found.rate and playable else ()
    return Shown(png=png(grid(drawn[:, None], columns=1)), sounds=sounds)


def _fits(shape: Shape, dtype: np.dtype) -> bool:
    return (len(shape) == 2 or (len(shape) == 3 and shape[2] <= 8)) and dtype == np.float32


def _drawn(x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey levels ``(WAVE + BANDS, WIDTH)`` of a clip ``(T,)``."""
    x = x if len(x) else np.zeros(1, np.float32)
    ends = np.linspace(0, len(x), WIDTH + 1).astype(int)
    starts = ends[:-1].clip(max=len(x) - 1)
    high, low = np.maximum.reduceat(x, starts), np.minimum.reduceat(x, starts)
    rows = np.linspace(1, -1, WAVE)[:, None]
    outline = (rows <= high + 1 / WAVE) & (rows >= low - 1 / WAVE)
    return np.concatenate([np.where(outline, 255, 0), _spectrogram(x)]).astype(np.uint8)


def _spectrogram(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Decibels below the loudest, as levels ``(BANDS, WIDTH)``, high tones first."""
    padded = np.pad(x, WINDOW // 2)
    places = np.linspace(0, len(x) - 1, WIDTH).astype(int)[:, None] + np.arange(WINDOW)
    power = np.abs(np.fft.rfft(padded[places] * np.hanning(WINDOW), axis=1)[:, 1:]) ** 2  # (WIDTH, BANDS)
    decibels = 10 * np.log10(np.maximum(power / max(power.max(), 1e-12), 1e-12))
    levels: NDArray[np.float64] = 255 * (1 - (decibels / FLOOR).clip(0, 1)).T[::-1]
    return levels


def _wav(x: NDArray[np.float32], rate: float) -> bytes:
    """A sound file of 16 bits, of no more than ``LARGEST`` bytes."""
    buffer, channels = io.BytesIO(), x.shape[1] if x.ndim == 2 else 1
    x = x[: (LARGEST - 44) // (2 * channels)]  # behind the header
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(round(rate))
        file.writeframes(np.rint(x * 32767).astype("<i2").tobytes())
    return buffer.getvalue()
