"""Videos: a film strip each, frames at equal distances from the first to the last."""

from __future__ import annotations

import math
from typing import BinaryIO

import numpy as np

from bench import preview
from reports.previews._files import Shape, beginning
from reports.previews._pictures import COLUMNS, ROWS, grid, png
from reports.previews._shown import Shown


@preview("video")
def show(file: BinaryIO) -> Shown:
    """Strips of uint8 frames ``(n, T, C, H, W)`` with one or three channels."""
    found = beginning(file, ROWS, "videos", _fits, lambda shape: math.prod(shape[1:]))
    columns = min(COLUMNS, found.samples.shape[1])
    strips = [
        clip[np.linspace(0, max(0, length - 1), columns).round().astype(int)]
        for clip, length in zip(found.samples, found.lengths, strict=True)
    ]
    return Shown(png=png(grid(np.concatenate(strips), columns=columns)))


def _fits(shape: Shape, dtype: np.dtype) -> bool:
    return len(shape) == 5 and dtype == np.uint8 and shape[2] in (1, 3)
