"""Pixels as the pictures of a page."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLUMNS, ROWS = 6, 5
FIRST = 4  # pictures at the head of a page
_TILE = 56  # pixels a tile should have on the page
_WIDEST = 8 * _TILE
Pixels = NDArray[np.uint8]


def grid(images: Pixels, columns: int = COLUMNS, rows: int = ROWS) -> NDArray[np.uint8]:
    """The first images as tiles, ``(height, width, 4)``, gaps clear; small ones are enlarged."""
    tiles = [_tile(image) for image in images[: columns * rows]]
    size, gap = tiles[0].shape[:2], max(2, tiles[0].shape[0] // 24)
    lines = -(-len(tiles) // columns)
    across = min(columns, len(tiles))
    sheet = np.zeros((lines * (size[0] + gap) - gap, across * (size[1] + gap) - gap, 4), np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (number // columns) * (size[0] + gap), (number % columns) * (size[1] + gap)
        sheet[top : top + size[0], left : left + size[1]] = tile
    return sheet


def _tile(image: Pixels) -> NDArray[np.uint8]:
    """One picture as RGBA, at least 56 pixels high in whole multiples, at most 112, and at most 448 wide."""
    height, width = image.shape[1:]
    picture = Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
    shrink = max(height / (2 * _TILE), width / _WIDEST)
    if shrink > 1:
        small = (max(1, int(width / shrink)), max(1, int(height / shrink)))
        # Reduced in whole steps first, or a picture a million wide would need a filter as long.
        return np.asarray(picture.resize(small, Image.Resampling.LANCZOS, reducing_gap=3.0).convert("RGBA"))
    factor = max(1, min(round(_TILE / height), _WIDEST // width))
    return np.asarray(picture.convert("RGBA").resize((width * factor, height * factor), Image.Resampling.NEAREST))


def png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
