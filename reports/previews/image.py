"""Images: the first ones as a grid."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from bench import preview
from reports.previews._files import Shape, beginning
from reports.previews._pictures import COLUMNS, FIRST, ROWS, grid, png
from reports.previews._shown import Shown


@preview("image")
def show(file: BinaryIO) -> Shown:
    """A grid of uint8 pictures ``(n, C, H, W)`` with one or three channels."""
    pictures = beginning(file, COLUMNS * ROWS, "pictures", _fits, lambda shape: shape[2] * shape[3]).samples
    return Shown(png=png(grid(pictures)), first=png(grid(pictures, columns=FIRST, rows=1)))


def _fits(shape: Shape, dtype: np.dtype) -> bool:
    return len(shape) == 4 and dtype == np.uint8 and shape[1] in (1, 3)
