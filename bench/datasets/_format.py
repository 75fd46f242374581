"""The third stage: pictures of one size and one mode.

Sizes are changed by Pillow's antialiased bicubic filter on floats, plane by plane, rounded to levels at the end: the
rule of Parmar et al. (2022, arXiv:2104.11222) for what is measured, applied to what is learned from.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

from bench.errors import DataError
from bench.modalities._pixels import ends_of

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
    """Numbers between these ends as uint8; of "0..255", which are levels, those that are uint8 already.

    Raises DataError for what is not between them, which says what ``values`` would fit.
    """
    if values == "0..255" and pixels.dtype == np.uint8:
        return pixels
    low, high = map(float, values.split(".."))
    if values == "0..255" or not (low <= pixels.min() and pixels.max() <= high):  # NaN is neither
        wanted = "images must be uint8 0..255, got" if values == "0..255" else f'values = "{values}", and it holds'
        raise DataError(f"{what}: {wanted} {pixels.dtype}{_which_values(pixels)}")
    found: np.ndarray = ((pixels.astype(np.float64) - low) * (255 / (high - low))).round().astype(np.uint8)
    return found


def _which_values(pixels: np.ndarray) -> str:
    """Between what ends these are, and what to say or to do of such."""
    if bad := int((~np.isfinite(pixels)).reshape(len(pixels), -1).any(1).sum()):
        return f": {bad} of {len(pixels)} images hold NaN or infinity: leave them out"
    low, high = float(pixels.min()), float(pixels.max())
    ends = ends_of(low, high)
    if ends == "0..255":
        saved = "" if pixels.dtype == np.uint8 else "save them as x.round().astype('uint8') and "
        how = f"where 255 is white, {saved}leave values out"
    elif ends:
        how = f'where {ends.partition("..")[0]} is black and 1 white, set values = "{ends}"'
    else:
        how = 'scale them so that 0 is black and 1 white, and set values = "0..1"'
    return f" in [{low:.3g}, {high:.3g}]: {how}"
