"""The second stage, off unless it is asked for: noise that a set came with is taken out before anybody learns it.

median               each level by the median of the 3x3 around it: salt and pepper (Tukey 1977)
non-local-means      each pixel by the mean of those whose surroundings look alike (Buades et al. 2005,
                     doi:10.1109/CVPR.2005.38), as strong as the noise that the picture is found to have
spectral gating      of a waveform, frequencies no louder than in its quietest moments are turned down (Boll 1979,
                     doi:10.1109/TASSP.1979.1163209; as a soft gate)
repair               of a text, what wrong decoding and wrong tools leave behind
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PictureNoise = Literal["median", "non-local-means"]
TextNoise = Literal["repair"]
SoundNoise = Literal["spectral-gating"]
Floats = NDArray[np.float64]
PATCH, SEARCH = 5, 13  # pixels a side: what must look alike, and where it is looked for
QUIET = 0.2  # share of a waveform's moments that are taken for noise alone
ABOVE = 2.0  # times the noise that a frequency must reach to be let through
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_MOJIBAKE = re.compile("[\u0080-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u2122]{2,}")


def median(pixels: np.ndarray) -> np.ndarray:
    """``(C, H, W)`` uint8."""
    from scipy.ndimage import median_filter

    found: np.ndarray = median_filter(pixels, (1, 3, 3), mode="nearest")
    return found


def non_local_means(pixels: np.ndarray) -> np.ndarray:
    """``(C, H, W)`` uint8; patches are compared over all channels, and less what two noisy ones differ by anyway."""
    from scipy.ndimage import uniform_filter

    x = pixels.astype(np.float64)
    sigma = noise_level(pixels)
    if not sigma:
        return pixels
    reach = SEARCH // 2
    around = np.pad(x, ((0, 0), (reach, reach), (reach, reach)), "reflect" if min(x.shape[1:]) > reach else "edge")
    total, weights = np.zeros_like(x), np.zeros(x.shape[1:])
    for down in range(SEARCH):
        for right in range(SEARCH):
            other = around[:, down : down + x.shape[1], right : right + x.shape[2]]
            apart = uniform_filter(((x - other) ** 2).mean(0), PATCH, mode="nearest")
            weight = np.exp(-np.maximum(apart - 2 * sigma**2, 0) / sigma**2)
            total += weight * other
            weights += weight
    found: np.ndarray = (total / weights).round().clip(0, 255).astype(np.uint8)
    return found


def noise_level(pixels: np.ndarray) -> float:
    """Standard deviation of a picture's noise, in levels (Immerkaer 1996, doi:10.1006/cviu.1996.0060)."""
    from scipy.ndimage import convolve

    if min(pixels.shape[1:]) < 3:
        return 0.0
    mask = np.array([[[1, -2, 1], [-2, 4, -2], [1, -2, 1]]])
    found = np.abs(convolve(pixels.astype(np.float64), mask)[:, 1:-1, 1:-1])
    return float(np.sqrt(np.pi / 2) * found.mean() / 6)


def spectral_gating(waves: np.ndarray, window: int = 512) -> np.ndarray:
    """Waveforms ``(..., T)`` of floats, each by itself; what is shorter than two windows stays as it is.

    A frequency's noise is its magnitude in the fifth of the moments that are the quietest of all.
    """
    from scipy.ndimage import uniform_filter
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    length = waves.shape[-1]
    if length < 2 * window:
        return waves
    transform = ShortTimeFFT(hann(window, sym=False), window // 4, 1.0)
    spectrum = transform.stft(waves.astype(np.float64))  # (..., frequencies, moments)
    size = np.abs(spectrum)
    loudness = (size**2).sum(-2, keepdims=True)
    quiet = loudness <= np.quantile(loudness, QUIET, axis=-1, keepdims=True)
    noise = (size * quiet).sum(-1, keepdims=True) / quiet.sum(-1, keepdims=True)
    gate = 1 / (1 + np.exp(-4 * (size / np.maximum(ABOVE * noise, 1e-12) - 1)))
    gate = uniform_filter(gate, (*([1] * (gate.ndim - 2)), 3, 5))  # a gate that flutters is heard as music
    found = transform.istft(spectrum * gate, k1=length)
    return np.asarray(found[..., :length].astype(waves.dtype))


def repair(text: str) -> str:
    """One form of every letter (NFC), UTF-8 that was read as Windows-1252 read again, no control characters.

    Ends of lines become LF; tabs stay. What is clean stays as it is to the last character.
    """
    text = _MOJIBAKE.sub(_read_again, text.replace("\r\n", "\n").replace("\r", "\n"))
    return unicodedata.normalize("NFC", _CONTROLS.sub("", text))


def _read_again(found: re.Match[str]) -> str:
    """Characters as the bytes that they were, where these are UTF-8: of other text that is next to never so."""
    try:
        return b"".join(_byte(character) for character in found[0]).decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return found[0]


def _byte(character: str) -> bytes:
    """As Windows-1252 has it; the five bytes that it leaves out stand for themselves, as browsers take them."""
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")


OF_PICTURES: Mapping[PictureNoise, Callable[[np.ndarray], np.ndarray]] = {
    "median": median,
    "non-local-means": non_local_means,
}
