"""The third stage: pictures of one size and one mode.

Sizes are changed by Pillow's antialiased bicubic filter on floats, plane by plane, rounded to levels at the end: the
rule of Parmar et al. (2022, arXiv:2104.11222) for what is measured, applied to what is learned from.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

from bench.errors import DataError

Fit = Literal["crop", "pad", "stretch"]
Mode = Literal["RGB", "L"]
Values = Literal["0..255", "0..1", "-1..1"]
FILTER = "bicubic, antialiased"


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """``(C, H, W)`` uint8 to ``(C, height, width)`` uint8.

    Columns are resized first, then rows, as two calls: which one Pillow begins with depends on its version.
    """
    planes = []
    for plane in pixels.astype(np.float32):
        across = Image.fromarray(plane).resize((width, plane.shape[0]), Image.Resampling.BICUBIC)
        planes.append(np.asarray(across.resize((width, height), Image.Resampling.BICUBIC)))
    found: np.ndarray = np.stack(planes).round().clip(0, 255).astype(np.uint8)
    return found


def fitted(pixels: np.ndarray, size: int, fit: Fit) -> np.ndarray:
    """``(C, H, W)`` as ``(C, size, size)``; what has this size stays as it is.

    crop: the central square.   pad: the whole, black around it.   stretch: the whole, out of proportion.
    """
    height, width = pixels.shape[1:]
    if (height, width) == (size, size):
        return pixels
    if fit == "stretch":
        return resize(pixels, size, size)
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return resize(pixels[:, top : top + side, left : left + side], size, size)
    longer = max(height, width)
    height, width = max(1, round(size * height / longer)), max(1, round(size * width / longer))
    found = np.zeros((len(pixels), size, size), np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    found[:, top : top + height, left : left + width] = resize(pixels, height, width)
    return found


def in_mode(pixels: np.ndarray, mode: Mode) -> np.ndarray:
    """``(1, H, W)`` or ``(3, H, W)`` as grey (ITU-R 601, as Pillow has it) or RGB (grey repeated)."""
    if mode == "RGB":
        return np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])))
    if len(pixels) == 1:
        return pixels
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).convert("L"))[None]


def to_levels(pixels: np.ndarray, values: Values, what: str) -> np.ndarray:
    """Floats between these ends as uint8. Raises DataError for what lies beyond them."""
    low, high = map(float, values.split(".."))
    if not (np.isfinite(pixels).all() and low <= pixels.min() and pixels.max() <= high):
        raise DataError(f"{what}: values = {values!r}, and it holds {pixels.min():.3g} to {pixels.max():.3g}")
    found: np.ndarray = ((pixels.astype(np.float64) - low) * (255 / (high - low))).round().astype(np.uint8)
    return found
